"""The contract over every model, likelihood and network, and proof that it finds what it is there to find."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

import zoo
from zoo import (
    IWAE,
    MLP,
    VAE,
    Bernoulli,
    BernoulliVAE,
    Draw,
    FixedVariance,
    Gaussian,
    GaussianVAE,
    LearnedVariance,
    Prior,
)
from zoo.errors import NoClosedForm
from zoo.priors import diagonal_normal
from zoo.testing import check_model

MODELS = {
    "vae": (VAE, {}),
    "vae-one-draw-kl": (VAE, {"closed_form_kl": False}),
    "vae-beta": (VAE, {"kl_weight": 0.5}),
    "iwae": (IWAE, {}),
    "prior-shared": (zoo.PriorSampling, {}),
    "prior-fresh": (zoo.PriorSampling, {"share_draws": False}),
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


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_keeps_the_contract(model: str, likelihood: str, network: str) -> None:
    cls, own = MODELS[model]
    parts: dict[str, Any] = {"likelihood": LIKELIHOODS[likelihood], "decoder": NETWORKS[network]}
    if cls is not zoo.PriorSampling:
        parts["encoder"] = NETWORKS[network]
    check_model(cls, **own, **parts)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize(("cls", "own"), [(BernoulliVAE, {}), (GaussianVAE, {"variance": FixedVariance})])
def test_the_named_models_keep_the_contract(cls: type[VAE], own: dict[str, Any], k: int) -> None:
    assert check_model(cls, k=k, **own).k == k


class Mixture(Prior):
    """A learned mixture of two normal distributions, for whose KL term there is no closed form."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(2, latent_dim))

    def forward(self) -> Distribution:
        parts = diagonal_normal(self.means, torch.ones(()))
        return MixtureSameFamily(Categorical(logits=torch.zeros(2)), parts, validate_args=False)


class Shifted(Prior):
    """A normal distribution with a learned mean, for whose KL term there is a closed form."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(latent_dim))

    def forward(self) -> Distribution:
        return diagonal_normal(self.mean, torch.ones(()))


@pytest.mark.parametrize(("cls", "own"), [(VAE, {}), (VAE, {"closed_form_kl": False}), (IWAE, {})])
def test_a_prior_that_is_learned_keeps_the_contract(cls: type[VAE], own: dict[str, Any]) -> None:
    check_model(cls, prior=Shifted, **own)


def test_a_closed_form_that_does_not_exist_is_refused_and_never_replaced() -> None:
    x = torch.ones(7, 1, 5, 4)
    model = VAE(x_shape=(1, 5, 4), prior=Mixture)
    with pytest.raises(NoClosedForm, match="closed_form_kl=False"):
        model.objective(model.draw(x))
    model = IWAE(x_shape=(1, 5, 4), prior=Mixture)
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
