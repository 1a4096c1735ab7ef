"""Noise that is a function: of (seed, example, draw) in evaluation, of (seed, rank, step) in training."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import (
    Distribution,
    Exponential,
    Gamma,
    Laplace,
    MultivariateNormal,
    Normal,
    SigmoidTransform,
    TransformedDistribution,
    Uniform,
)

from zoo.errors import UnknownNoise
from zoo.noise import ExampleNoise, fingerprint, mix, seed_step

B, D = 7, 5
KEYS = fingerprint(torch.arange(B)[:, None])
FAMILIES: dict[str, Callable[[Tensor, Tensor], Distribution]] = {
    "normal": Normal,
    "laplace": Laplace,
    "uniform": lambda mean, std: Uniform(mean - std, mean + std),
    "correlated": lambda mean, std: MultivariateNormal(mean, scale_tril=torch.diag_embed(std).cumsum(-2)),
    "transformed": lambda mean, std: TransformedDistribution(Normal(mean, std), SigmoidTransform()),
}


def numbers(k: int, dim: int = D, keys: Tensor = KEYS, first: int = 0, seed: int = 0) -> Tensor:
    """Standard normal noise, (k, B, dim)."""
    with ExampleNoise(keys, first, seed):
        return Normal(torch.zeros(len(keys), dim), 1.0).rsample(torch.Size([k]))


def rows(family: str, examples: slice, k: int, first: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draws of a distribution whose parameters differ between examples, for some of the examples."""
    mean = torch.linspace(-2, 2, B * D, dtype=dtype).view(B, D)[examples]
    std = torch.linspace(0.5, 2, B, dtype=dtype)[examples, None].expand_as(mean)
    q = FAMILIES[family](mean, std)
    with ExampleNoise(KEYS[examples], first):
        return q.rsample(torch.Size([k]))


@pytest.mark.parametrize("dim", [1, 4, 5])  # two numbers come of each hash: the odd one stays out
def test_normal_numbers_have_the_moments_and_the_law_of_a_normal(dim: int) -> None:
    z = numbers(20_000, dim).flatten()
    n = z.numel()
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(z.pow(power).mean() - moment) < 4 * math.sqrt(variance / n)
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3
    tail = 2 * stats.norm.sf(4)
    assert abs((z.abs() > 4).double().mean() - tail) < 4 * math.sqrt(tail / n)


def test_uniform_numbers_are_uniform() -> None:
    with ExampleNoise(KEYS):
        u = Uniform(torch.full((B, D), -1.0), 3.0).rsample(torch.Size([5000]))
    assert stats.kstest(u.flatten().numpy(), "uniform", args=(-1, 4)).pvalue > 1e-3
    counts = u.flatten().histc(64, -1, 3)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("keys", [KEYS, torch.arange(B), torch.arange(B) << 32])  # poor keys do no harm
def test_draws_examples_and_dimensions_are_independent(keys: Tensor) -> None:
    z = numbers(20_001, keys=keys)
    pairs = [(z[1:], z[:-1]), (z[:, 1:], z[:, :-1]), (z[..., 1:], z[..., :-1]), (z[..., :3], z[..., 2:])]
    for a, b in pairs:
        for f in (lambda t: t, lambda t: t.square() - 1, torch.sign):  # of Box and Muller's pairs, too
            products = (f(a) * f(b)).flatten(1).mean(1)
            assert abs(products.mean()) < 4 * products.std() / math.sqrt(len(products))
    correlation = z.flatten(1).T.corrcoef() - torch.eye(B * D)
    assert correlation.abs().max() < 5 / math.sqrt(len(z))  # the largest of 595


def test_a_million_numbers_hold_no_repeat() -> None:
    assert numbers(1000, 100, keys=fingerprint(torch.arange(10.0)[:, None])).unique().numel() == 1_000_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("family", FAMILIES)
def test_noise_follows_the_example_and_the_draw(family: str, dtype: torch.dtype) -> None:
    whole = rows(family, slice(None), 11, dtype=dtype)
    assert whole.shape == (11, B, D) and whole.dtype == dtype and whole.isfinite().all()
    assert whole.unique().numel() == whole.numel()
    assert torch.equal(rows(family, slice(None), 11, dtype=dtype), whole)
    digits = 8 * torch.finfo(dtype).eps  # vectorised functions and their scalar forms differ in the last
    parts = [rows(family, slice(None), *part, dtype) for part in ((2, 0), (1, 2), (7, 3), (1, 10))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=digits, atol=digits)
    batches = [rows(family, slice(*part), 11, dtype=dtype) for part in ((0, 1), (1, 5), (5, 7))]
    torch.testing.assert_close(torch.cat(batches, 1), whole, rtol=digits, atol=digits)


def test_noise_follows_the_example_into_any_order_and_differs_between_seeds() -> None:
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    assert torch.equal(numbers(4, keys=KEYS[order]), numbers(4)[:, order])
    torch.manual_seed(5)  # the generator has no part in it, ...
    state = torch.get_rng_state()
    z = numbers(4)
    assert torch.equal(state, torch.get_rng_state())  # ... and is left where it was
    torch.manual_seed(6)
    assert torch.equal(numbers(4), z)
    assert torch.cat([z, numbers(4, seed=1), numbers(4, first=4)]).unique().numel() == 3 * z.numel()


def test_a_second_draw_does_not_repeat_the_first() -> None:
    q = Normal(torch.zeros(B, D), 1.0)
    with ExampleNoise(KEYS):
        twice = torch.stack([q.rsample(torch.Size([3])), q.rsample(torch.Size([3]))])
    assert twice.unique().numel() == twice.numel()
    assert torch.equal(twice[0], numbers(3))


@pytest.mark.parametrize("q", [Gamma(torch.ones(B, D), 1.0), Exponential(torch.ones(B, D))])
def test_a_distribution_that_cannot_be_made_a_function_is_refused(q: Distribution) -> None:
    with (
        ExampleNoise(KEYS),
        pytest.raises(UnknownNoise, match="cannot be drawn as a function of the example"),
    ):
        q.rsample(torch.Size([3]))


@pytest.mark.parametrize("shape", [(D,), (B, D), (3, B + 1, D), ()])
def test_draws_without_the_leading_axes_are_refused(shape: tuple[int, ...]) -> None:
    with (
        ExampleNoise(KEYS),
        pytest.raises(UnknownNoise, match=r"where \(draws, 7, \.\.\.\) was expected"),
    ):
        Normal(torch.zeros(()), 1.0).rsample(torch.Size(shape))


@pytest.mark.parametrize("bits", [0, -1])  # the smallest and the largest hash
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_no_hash_makes_an_infinite_number(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, bits: int) -> None:
    monkeypatch.setattr(ExampleNoise, "_bits", lambda noise, shape, n, _: torch.full((*shape[:2], n), bits))
    zeros = torch.zeros(B, D, dtype=dtype)
    with ExampleNoise(KEYS):
        for q in (Normal(zeros, 1.0), Laplace(zeros, 1.0)):
            assert q.rsample(torch.Size([3])).isfinite().all()
        assert (torch.empty(3, B, D, dtype=dtype).uniform_(100, 101) < 101).all()
        u = torch.empty(3, B, D, dtype=dtype).uniform_()
    assert (u < 1).all() and ((u > 0).all() or dtype.itemsize == 2)  # half precision has no number so small


def test_a_fingerprint_is_one_of_the_numbers_of_an_example_alone() -> None:
    x = torch.rand(B, 1, 5, 4).round()
    keys = fingerprint(x)
    assert keys.shape == (B,) and keys.dtype == torch.int64
    assert torch.equal(fingerprint(x.flip(0)), keys.flip(0))
    assert torch.equal(fingerprint(torch.where(x == 0, -0.0, x)), keys)
    assert torch.equal(fingerprint(x.float()), keys)
    assert torch.equal(fingerprint(x[3:4]), keys[3:4])


def test_a_fingerprint_changes_with_every_pixel_and_with_their_order() -> None:
    x = torch.rand(784).round()
    flipped = (x - torch.eye(784)).abs()  # each example has one pixel flipped
    assert fingerprint(torch.cat([x[None], flipped])).unique().numel() == 785
    assert fingerprint(torch.eye(784)).unique().numel() == 784


def test_fingerprints_of_many_images_do_not_collide() -> None:
    keys = fingerprint(torch.rand(5000, 784).round())
    assert keys.unique().numel() == 5000
    set_bits = (keys[:, None] >> torch.arange(64) & 1).double().mean(0)
    assert (set_bits - 0.5).abs().max() < 4.5 * 0.5 / math.sqrt(5000)  # the largest of 64


def test_mix_is_splitmix64() -> None:
    assert mix(0) == 0xE220A8397B1DCDAF >> 1  # the published first outputs for the seeds 0 and 1234567
    assert mix(1234567) == 6457827717110365317 >> 1
    seeds = {mix(a, b) for a in range(100) for b in range(100)}
    assert len(seeds) == 10_000
    assert all(0 < seed < 2**63 for seed in seeds)


def test_the_noise_of_a_step_is_a_function_of_its_numbers() -> None:
    def drawn(*step: int) -> tuple[float, ...]:
        seed_step(*step)
        return tuple(torch.randn(3).tolist())

    first = drawn(0, 1, 2)
    drawn(5, 5, 5)
    assert drawn(0, 1, 2) == first
    assert len({drawn(seed, rank, step) for seed in range(5) for rank in range(4) for step in range(10)}) == 200


@pytest.mark.parametrize(("like", "make"), [(torch.randn_like, torch.randn), (torch.rand_like, torch.rand)])
def test_every_way_to_ask_for_numbers_gives_the_same(like: Callable[..., Tensor], make: Callable[..., Tensor]) -> None:
    keys = torch.arange(3)
    with ExampleNoise(keys):
        a = like(torch.empty(4, 3, 5))
    with ExampleNoise(keys):
        b = make(4, 3, 5)
    assert torch.equal(a, b)
