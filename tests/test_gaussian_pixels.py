"""The density of Gaussian pixels, with a variance of any shape, and where a batch shares its draws."""

import math
from functools import partial

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal

from tests.linear import same, standard_error
from zoo import FixedVariance, Gaussian
from zoo.likelihoods import GaussianPixels

SHAPES = [(11,), (2, 5, 3)]
K, B = 3, 7
LEADING = [(), (B,), (K, B), (K, 1)]
VARIANCES = ["scalar", "channel", "pixel", "each z"]


def variance_of(kind: str, leading: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    sizes = {
        "scalar": (),
        "channel": (shape[0], *(1 for _ in shape[1:])),
        "pixel": shape,
        "each z": (*leading, *shape),
    }
    return 0.02 + torch.rand(sizes[kind])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("kind", VARIANCES)
def test_gaussian_pixels_have_scipys_density(kind: str, leading: tuple[int, ...], shape: tuple[int, ...]) -> None:
    mean, variance = torch.randn(*leading, *shape), variance_of(kind, leading, shape)
    x = torch.randn(B, *shape) if leading else torch.randn(shape)
    p = GaussianPixels(mean, variance, len(shape))
    assert (p.batch_shape, p.event_shape) == (leading, shape)
    density = torch.as_tensor(stats.norm(mean.numpy(), variance.sqrt().numpy()).logpdf(x.numpy()))
    same(p.log_prob(x), density.flatten(-len(shape)).sum(-1))
    same(p.mean, mean)
    same(p.variance, variance.expand(mean.shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sizes", [(1,), (1, 1)])
def test_a_variance_may_leave_axes_to_broadcasting(shape: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    mean, x = torch.randn(K, B, *shape), torch.randn(B, *shape)
    variance = torch.rand(B, *(1 for _ in shape)) + 0.1  # one for each example
    found = GaussianPixels(mean, variance, len(shape)).log_prob(x)
    same(found, Normal(mean, variance.sqrt()).log_prob(x).flatten(2).sum(-1))
    found = GaussianPixels(mean, torch.full(sizes, 0.3), len(shape)).log_prob(x)
    same(found, Normal(mean, math.sqrt(0.3)).log_prob(x).flatten(2).sum(-1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", VARIANCES)
def test_the_matrix_product_has_the_gradients_of_the_direct_form(kind: str, shape: tuple[int, ...]) -> None:
    mean = torch.randn(K, 1, *shape, requires_grad=True)
    variance = variance_of(kind, (K, 1), shape).requires_grad_()
    x = torch.randn(B, *shape, requires_grad=True)
    shared = GaussianPixels(mean, variance, len(shape)).log_prob(x)
    own = GaussianPixels(mean.expand(K, B, *shape), variance, len(shape)).log_prob(x)
    same(shared, own)
    scale = torch.randn(K, B)  # so that every pair has a gradient of its own
    of_shared, of_own = (torch.autograd.grad((scale * each).sum(), [mean, variance, x]) for each in (shared, own))
    for left, right in zip(of_shared, of_own, strict=True):
        assert right.any()
        same(left, right, 1e-9)


@pytest.mark.parametrize("kind", VARIANCES)
def test_single_precision_keeps_its_digits_where_the_square_cancels(kind: str) -> None:
    std = 0.01
    mean = torch.rand(K, 1, 784)
    x = (mean[:, 0] + std * torch.randn(K, 784)).float()  # each example is near one of the draws
    variance = std**2 * variance_of(kind, (K, 1), (784,))
    found = GaussianPixels(mean.float(), variance.float(), 1).log_prob(x)
    assert found.dtype == torch.float32
    exact = Normal(mean.float().double(), variance.float().double().sqrt()).log_prob(x.double()).sum(-1)
    same(found.diagonal().double(), exact.diagonal(), 0.02)


def test_pixels_in_16_bits_are_weighed_in_32() -> None:
    mean, x = torch.rand(K, 1, 11, dtype=torch.float32), torch.rand(B, 11).bfloat16()
    variance = torch.tensor(0.25, dtype=torch.bfloat16)
    for means in (mean, mean.expand(K, B, 11)):
        found = GaussianPixels(means, variance, 1).log_prob(x)
        assert found.dtype == torch.float32
        same(found.double(), Normal(mean.double(), 0.5).log_prob(x.double()).sum(-1), 1e-4)


def test_draws_follow_their_own_mean_and_variance() -> None:
    p = GaussianPixels(torch.linspace(-2, 2, 5), torch.linspace(0.1, 3, 5), 1)
    draws = p.sample(torch.Size([20_000]))
    for found, expected in ((draws, p.mean), ((draws - p.mean).square(), p.variance)):
        assert ((found.mean(0) - expected).abs() < 4 * standard_error(found)).all()


@pytest.mark.parametrize("variance", [0.01, 0.7, 30.0])
def test_a_gaussian_likelihood_is_the_density_around_what_the_decoder_emits(variance: float) -> None:
    emitted, x = torch.randn(K, B, 1, 2, 5, 3), torch.randn(B, 2, 5, 3)
    p = Gaussian((2, 5, 3), partial(FixedVariance, value=variance))(emitted)
    same(p.log_prob(x), Normal(emitted[:, :, 0], variance**0.5).log_prob(x).flatten(2).sum(-1))
