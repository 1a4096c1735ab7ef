"""The contract over every model, likelihood and network, and proof that it finds what it is there to find."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

import zoo
from zoo import (
    IWAE,
    MLP,
    VAE,
    Bernoulli,
    BernoulliVAE,
    ChannelVariance,
    CouplingFlow,
    DecodedVariance,
    Draw,
    FixedVariance,
    FullGaussian,
    Gaussian,
    GaussianVAE,
    LearnedVariance,
    MixtureOfGaussians,
    OptimalVariance,
    PixelVariance,
    Prior,
    PriorSampling,
    VampPrior,
)
from zoo.distributions import diagonal_normal
from zoo.errors import NoClosedForm
from zoo.networks import Shape
from zoo.priors import Encode
from zoo.testing import check_model

MODELS = {
    "vae": (VAE, {}),
    "vae-one-draw-kl": (VAE, {"closed_form_kl": False}),
    "vae-beta": (VAE, {"kl_weight": 0.5}),
    "iwae": (IWAE, {}),
    "prior-shared": (PriorSampling, {}),
    "prior-fresh": (PriorSampling, {"share_draws": False}),
}
LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian-fixed": partial(Gaussian, variance=partial(FixedVariance, value=0.5)),
    "gaussian-learned": partial(Gaussian, variance=partial(LearnedVariance, start=0.5)),
}
NETWORKS = {
    "deep": partial(MLP, hidden=[6, 4, 3]),
    "relu": partial(MLP, hidden=[6], activation=nn.ReLU),
    "affine": partial(MLP, hidden=[]),
}
DEEP = {"encoder": NETWORKS["deep"], "decoder": NETWORKS["deep"]}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_keeps_the_contract(model: str, likelihood: str, network: str) -> None:
    cls, own = MODELS[model]
    parts: dict[str, Any] = {"likelihood": LIKELIHOODS[likelihood], "decoder": NETWORKS[network]}
    if cls is not PriorSampling:
        parts["encoder"] = NETWORKS[network]
    check_model(cls, **own, **parts)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize(("cls", "own"), [(BernoulliVAE, {}), (GaussianVAE, {"variance": FixedVariance})])
def test_the_named_models_keep_the_contract(cls: type[VAE], own: dict[str, Any], k: int) -> None:
    assert check_model(cls, k=k, **DEEP, **own).k == k


FLOW = partial(CouplingFlow, transforms=1, context=3, hidden=[5])
VAMP = partial(VampPrior, components=4)
MIXTURE = partial(MixtureOfGaussians, components=4)


def gaussian(variance: type[zoo.Variance]) -> partial[Gaussian]:
    return partial(Gaussian, variance=variance)


@pytest.mark.parametrize(
    ("cls", "parts"),
    [
        (VAE, {"posterior": FullGaussian, "likelihood": gaussian(OptimalVariance)}),
        (VAE, {"likelihood": gaussian(DecodedVariance)}),
        (VAE, {"posterior": FLOW, "prior": VAMP, "closed_form_kl": False}),
        (VAE, {"prior": MIXTURE, "likelihood": gaussian(OptimalVariance), "closed_form_kl": False}),
        (IWAE, {"posterior": FLOW}),
        (IWAE, {"posterior": FLOW, "prior": MIXTURE, "likelihood": gaussian(PixelVariance)}),
        (IWAE, {"posterior": FullGaussian, "prior": VAMP, "likelihood": gaussian(ChannelVariance)}),
        (IWAE, {"prior": VAMP, "likelihood": gaussian(DecodedVariance)}),
        (PriorSampling, {"likelihood": gaussian(DecodedVariance)}),
        (PriorSampling, {"likelihood": gaussian(PixelVariance), "share_draws": False}),
    ],
)
def test_priors_posteriors_and_variances_go_together(cls: type[VAE], parts: dict[str, Any]) -> None:
    networks = {"decoder": NETWORKS["deep"]} if cls is PriorSampling else DEEP
    check_model(cls, **networks, **parts)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_a_flow_of_few_dimensions_keeps_the_contract(latent_dim: int) -> None:
    check_model(IWAE, posterior=FLOW, latent_dim=latent_dim, **DEEP)


class Shifted(Prior):
    """A normal distribution with a learned mean, for whose KL term there is a closed form."""

    def __init__(self, latent_dim: int, x_shape: Shape) -> None:
        super().__init__(latent_dim, x_shape)
        self.mean = nn.Parameter(torch.randn(latent_dim))

    def forward(self, encode: Encode | None = None) -> Distribution:
        return diagonal_normal(self.mean, torch.ones(()))


@pytest.mark.parametrize(("cls", "own"), [(VAE, {}), (VAE, {"closed_form_kl": False}), (IWAE, {})])
def test_a_prior_that_is_learned_keeps_the_contract(cls: type[VAE], own: dict[str, Any]) -> None:
    check_model(cls, prior=Shifted, **DEEP, **own)


def test_a_closed_form_that_does_not_exist_is_refused_and_never_replaced() -> None:
    x = torch.ones(7, 1, 5, 4)
    model = VAE(x_shape=(1, 5, 4), prior=MixtureOfGaussians)
    with pytest.raises(NoClosedForm, match="closed_form_kl=False"):
        model.objective(model.draw(x))
    model = IWAE(x_shape=(1, 5, 4), prior=MixtureOfGaussians)
    assert {"elbo_mc", "kl_mc"} < model.terms(model.draw(x)).keys()


def test_colour_images_of_odd_sizes_keep_the_contract() -> None:
    check_model(IWAE, torch.rand(4, 3, 9, 11).round(), latent_dim=2, k=6)


class AddsDraws(IWAE):
    """Sums over the draws where it should average."""

    def objective(self, draw: Draw) -> Tensor:
        return draw.log_w.logsumexp(0)


class TakesTheWrongAxis(IWAE):
    """Averages over the examples."""

    def objective(self, draw: Draw) -> Tensor:
        return draw.log_w.logsumexp(1)


class HasMoreThanItUses(VAE):
    """Carries a layer that nothing goes through."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spare = nn.Linear(2, 3)


class UsesTheBatch(VAE):
    """Encodes an example by its neighbours."""

    def encode(self, x: Tensor) -> Distribution:
        return diagonal_normal(x.mean().expand(len(x), self.latent_dim), torch.ones(()))


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        (AddsDraws, "nats above log p"),
        (TakesTheWrongAxis, r"objective is \(3,\), not \(B,\)"),
        (HasMoreThanItUses, "no gradient reaches spare"),
        (UsesTheBatch, "the batch size moves the log-likelihood"),
    ],
)
def test_the_contract_finds_a_broken_model(cls: type[zoo.LatentVariableModel], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_model(cls)
