"""The priors: densities that integrate to one, whose parameters all learn, begun at the data once."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

import zoo
from datamodules import Grey, LinearGaussian, Static
from tests.linear import same
from tests.small import SHAPE, SmallImages, quiet_trainer, save_trained, small_model
from zoo import (
    IWAE,
    MLP,
    CouplingFlow,
    DiagonalGaussian,
    FullGaussian,
    MixtureOfGaussians,
    PriorSampling,
    StandardNormal,
    VampPrior,
)
from zoo.distributions import GaussianMixture
from zoo.errors import NoClosedForm, ZooError

K, B, D, C = 3, 7, 5, 4
VAMP = partial(VampPrior, components=C)
FLOW = partial(CouplingFlow, context=3, hidden=[6])
POSTERIORS = {"diagonal": DiagonalGaussian, "full": FullGaussian, "flow": FLOW}


def model_with(latent_dim: int = D, **parts: Any) -> IWAE:
    affine = partial(MLP, hidden=[4])
    return IWAE(x_shape=SHAPE, latent_dim=latent_dim, k=K, encoder=affine, decoder=affine, **parts)


def integral(log_p: Tensor, step: float) -> Tensor:
    return log_p.exp().sum() * step


def test_the_standard_normal_is_scipys_and_follows_its_model() -> None:
    prior, z = StandardNormal(D), torch.randn(K, B, D)
    p = prior()
    assert (p.batch_shape, p.event_shape) == ((), (D,))
    same(p.log_prob(z), torch.as_tensor(stats.norm.logpdf(z.numpy()).sum(-1)))
    assert prior.float()().sample().dtype == torch.float32
    assert not prior.state_dict()  # so that a checkpoint fits a model whose prior was made otherwise


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_learned_priors_integrate_to_one(posterior: str) -> None:
    model = model_with(1, prior=VAMP, posterior=POSTERIORS[posterior])
    other = MixtureOfGaussians(1, components=C)
    other.log_std.data.uniform_(-1, 0.5)
    z = torch.linspace(-15, 15, 20_001)[:, None]
    for p in (model.prior(model.encode), other()):
        same(integral(p.log_prob(z), 30 / 20_000), 1.0, 1e-6)


def test_a_mixture_of_gaussians_is_the_sum_that_it_says() -> None:
    prior, z = MixtureOfGaussians(D, components=C), torch.randn(K, B, D)
    for parameter in prior.parameters():
        parameter.data.normal_()
    weights = prior.logits.softmax(0)
    expected = sum(
        weights[c] * torch.as_tensor(stats.norm(mean, std).pdf(z).prod(-1))
        for c, (mean, std) in enumerate(zip(prior.mean.detach(), prior.log_std.detach().exp(), strict=True))
    )
    same(prior().log_prob(z).exp(), torch.as_tensor(expected))


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_vamp_prior_is_the_mean_of_the_posteriors_of_its_pseudo_inputs(posterior: str, clip: bool) -> None:
    model = model_with(prior=partial(VAMP, clip=clip), posterior=POSTERIORS[posterior])
    model.prior.pseudo_inputs.data.normal_()
    p, z = model.prior(model.encode), torch.randn(K, B, D)
    seen = model.prior.pseudo_inputs.clamp(0, 1) if clip else model.prior.pseudo_inputs
    each = torch.stack([model.encode(u[None]).log_prob(z.reshape(-1, 1, D)).view(K, B) for u in seen])
    assert (p.batch_shape, p.event_shape) == ((), (D,))
    same(p.log_prob(z).exp(), each.exp().mean(0))
    assert p.sample(torch.Size([11])).shape == (11, D)
    same(p.mean, model.encode(seen).mean.mean(0))


@pytest.mark.parametrize("prior", [VAMP, partial(MixtureOfGaussians, components=C)])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_gradient_reaches_every_number_of_a_learned_prior(prior: Any, posterior: str) -> None:
    model = model_with(prior=prior, posterior=POSTERIORS[posterior])
    model.objective(model.draw(torch.rand(B, *SHAPE).round())).sum().backward()
    for name, parameter in model.prior.named_parameters():
        assert parameter.grad is not None and parameter.grad.all(), name


def test_a_vamp_prior_begins_at_training_examples_and_only_once(tmp_path: Path) -> None:
    data = SmallImages(pixels=Static())
    model = small_model("iwae", prior=VAMP)
    quiet_trainer(tmp_path, max_epochs=1, limit_train_batches=0).fit(model, datamodule=data)
    same(model.prior.pseudo_inputs.detach(), data.examples(C))
    path = save_trained(model, tmp_path)
    trained = model.prior.pseudo_inputs.detach().clone()
    assert not torch.equal(trained, data.examples(C))
    for again in (model, zoo.load(path)):
        quiet_trainer(tmp_path, max_epochs=1, limit_train_batches=0).fit(again, datamodule=data)
        same(again.prior.pseudo_inputs.detach(), trained, 0)


def test_pseudo_inputs_of_which_clipping_would_take_their_gradient_are_refused(tmp_path: Path) -> None:
    data = LinearGaussian(latent_dim=2, x_dim=6, n_train=20, n_val=3, n_test=3)
    networks = {"encoder": partial(MLP, hidden=[4]), "decoder": partial(MLP, hidden=[4]), "closed_form_kl": False}
    for clip in (True, False):
        model = zoo.GaussianVAE(x_shape=(6,), latent_dim=2, prior=partial(VAMP, clip=clip), **networks)
        trainer = quiet_trainer(tmp_path, max_epochs=1, limit_train_batches=0)
        if clip:
            with pytest.raises(ZooError, match=r"outside \[0, 1\].*set clip=False"):
                trainer.fit(model, datamodule=data)
        else:
            trainer.fit(model, datamodule=data)
            same(model.prior.pseudo_inputs.detach(), data.examples(C))


@pytest.mark.parametrize("prior", [VampPrior, MixtureOfGaussians])
def test_priors_whose_draws_have_no_gradient_are_refused_by_prior_sampling(prior: type) -> None:
    with pytest.raises(ZooError, match=f"draws of {prior.__name__} have no gradient.*take StandardNormal"):
        PriorSampling(x_shape=SHAPE, prior=prior)


@pytest.mark.parametrize("prior", [VampPrior, MixtureOfGaussians])
def test_a_vae_with_a_closed_form_kl_refuses_a_learned_prior_at_its_first_step(prior: type, tmp_path: Path) -> None:
    with pytest.raises(NoClosedForm, match="closed_form_kl=False"):
        quiet_trainer(tmp_path).fit(small_model("gaussian", prior=prior), datamodule=SmallImages(pixels=Grey()))


@pytest.mark.parametrize("prior", [VampPrior, MixtureOfGaussians])
def test_a_prior_of_no_components_is_refused(prior: type) -> None:
    with pytest.raises(ZooError, match="components is 0, where an integer of at least 1"):
        prior(D, SHAPE, components=0)


def test_a_vamp_prior_without_an_encoder_is_refused() -> None:
    with pytest.raises(ZooError, match="pass the encode of a model"):
        VampPrior(D, SHAPE)()


@pytest.mark.parametrize("prior", [MixtureOfGaussians, partial(VampPrior, components=500)])
def test_a_mixture_in_16_bits_is_weighed_in_32(prior: Any) -> None:
    model = model_with(prior=prior).to(torch.bfloat16)
    draw = model.draw(torch.rand(B, *SHAPE).round().bfloat16())
    assert draw.log_ratio.dtype == torch.float32
    assert isinstance(draw.p, GaussianMixture)
    same(draw.p.mixture_distribution.logits.double().logsumexp(0), 0.0, 1e-6)  # the weights sum to 1


def test_no_more_draws_are_weighed_at_once_than_the_components_of_a_vamp_prior_leave_room_for() -> None:
    model = model_with(prior=partial(VampPrior, components=50_000))
    with torch.no_grad():
        sizes = [len(z) for _, z in model.evaluation_codes(torch.ones(B, *SHAPE), 10)]
    assert sizes == [9, 1]  # 10 of 7 × 50,000 × 5 numbers are more than 2^24
