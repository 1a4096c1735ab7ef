"""The distributions over z that torch lacks, against those that it has."""

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Gumbel,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from tests.linear import same, standard_error
from zoo.distributions import GaussianMixture, diagonal_normal

C, D, B, K = 4, 3, 7, 5


def parameters(scale: float = 1.0) -> list[Tensor]:
    values = torch.randn(C), torch.randn(C, D), scale * (0.3 + torch.rand(C, D))
    return [value.requires_grad_() for value in values]


def torchs_own(logits: Tensor, mean: Tensor, std: Tensor) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(logits=logits), Independent(Normal(mean, std), 1))


@pytest.mark.parametrize("leading", [(), (B,), (K, B), (2, K, B), (K, 1)])
def test_a_gaussian_mixture_has_the_density_and_gradient_of_torchs_mixture(leading: tuple[int, ...]) -> None:
    parts, z = parameters(), (2 * torch.randn(*leading, D)).requires_grad_()
    found, expected = (make(*parts).log_prob(z) for make in (GaussianMixture, torchs_own))
    assert found.shape == leading
    same(found, expected)
    weights = torch.randn(leading)
    gradients = [torch.autograd.grad((weights * each).sum(), [*parts, z]) for each in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        assert other.any()
        same(one, other, 1e-9)


def test_a_gaussian_mixture_keeps_its_digits_in_single_precision() -> None:
    logits, mean, std = (each.detach().float() for each in parameters(scale=1e-3))
    z = mean + std * torch.randn(C, D, dtype=torch.float32)
    found = GaussianMixture(logits, mean, std).log_prob(z)
    assert found.dtype == torch.float32
    expected = torchs_own(*(each.double() for each in (logits, mean, std))).log_prob(z.double())
    same(found.double(), expected, 0.01)


def test_draws_of_a_gaussian_mixture_have_its_moments() -> None:
    parts = parameters()
    p, other = GaussianMixture(*parts), torchs_own(*parts)
    same(p.mean, other.mean)
    same(p.variance, other.variance)
    z = p.sample(torch.Size([20_000]))
    assert ((z.mean(0) - p.mean).abs() < 4 * standard_error(z)).all()


@pytest.mark.parametrize("batch", [(), (B,)])
def test_the_kl_of_a_full_gaussian_to_a_diagonal_one_is_torchs_of_two_full_ones(batch: tuple[int, ...]) -> None:
    scale_tril = torch.randn(*batch, D, D).tril(-1) + torch.diag_embed(0.2 + torch.rand(*batch, D))
    q = MultivariateNormal(torch.randn(*batch, D).requires_grad_(), scale_tril=scale_tril.requires_grad_())
    mean, std = torch.randn(D).requires_grad_(), (0.2 + torch.rand(D)).requires_grad_()
    found = kl_divergence(q, diagonal_normal(mean, std))
    expected = kl_divergence(q, MultivariateNormal(mean, scale_tril=std.diag()))
    assert found.shape == batch
    same(found, expected)
    gradients = [torch.autograd.grad(each.sum(), [q.loc, scale_tril, mean, std]) for each in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        same(one, other, 1e-9)


@pytest.mark.parametrize(
    "p",
    [
        Independent(Laplace(torch.zeros(D), torch.ones(D)), 1),
        Independent(Gumbel(torch.zeros(D), torch.ones(D)), 1),
        Independent(Normal(torch.zeros(2, D), torch.ones(2, D)), 2),
        Independent(Normal(torch.zeros(D), torch.ones(D)), 0),
    ],
)
def test_a_kl_that_has_no_closed_form_here_is_not_made_up(p: Independent) -> None:
    q = MultivariateNormal(torch.zeros(D), scale_tril=torch.eye(D))
    with pytest.raises(NotImplementedError):
        kl_divergence(q, p)
