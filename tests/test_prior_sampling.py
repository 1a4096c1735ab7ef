"""Draws that a batch shares: the matrix product gives the numbers of the direct form, in bounded memory."""

import math
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import zoo
from tests import linear
from tests.linear import same
from zoo import MLP, Bernoulli, FixedVariance, Gaussian, LatentVariableModel, Likelihood, PriorSampling, StudentT

LIKELIHOODS = [Bernoulli, Gaussian, partial(Gaussian, variance=partial(FixedVariance, value=0.03))]
Like = Callable[[tuple[int, ...]], Likelihood]


def gradients(model: LatentVariableModel, value: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(value, list(model.parameters()), retain_graph=True))


def all_same(a: list[Tensor], b: list[Tensor], tolerance: float = 1e-10) -> None:
    for left, right in zip(a, b, strict=True):
        assert right.any()
        same(left, right, tolerance)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(("k", "n"), [(5, 7), (7, 5), (1, 3), (6, 1), (1, 1)])
@pytest.mark.parametrize("shape", [(11,), (1, 5, 3)])
def test_the_matrix_product_is_the_direct_form(likelihood: Like, k: int, n: int, shape: tuple[int, ...]) -> None:
    model = PriorSampling(x_shape=shape, latent_dim=2, k=k, likelihood=likelihood)
    x = torch.rand(n, *shape).round()
    draw = model.draw(x)
    assert draw.z.shape == (k, 1, 2)
    pixels = model.decode(draw.z).base_dist.log_prob(x)  # (k, B, *shape): torch's own density of each
    direct = pixels.flatten(2).sum(-1)
    assert draw.log_px.shape == direct.shape == (k, n)
    same(draw.log_px, direct)
    scale = torch.randn(k, n)  # so that every pair has a gradient of its own
    all_same(gradients(model, (scale * draw.log_px).sum()), gradients(model, (scale * direct).sum()), 1e-9)


@pytest.mark.parametrize("std", [0.01, 0.003, 0.001])
def test_single_precision_keeps_its_digits_where_the_square_cancels(std: float) -> None:
    mean = torch.rand(7, 1, 784)
    x = mean[:5, 0] + std * torch.randn(5, 784)  # each of five examples is near one of seven draws
    mean, x = mean.float(), x.float()
    torch.set_default_dtype(torch.float32)
    likelihood = Gaussian((784,), partial(FixedVariance, value=std**2))
    found = likelihood(mean[:, :, None]).log_prob(x)
    assert found.dtype == torch.float32
    exact = Normal(mean.double(), std).log_prob(x.double()).sum(-1)
    error = (zoo.logmeanexp(found).double() - zoo.logmeanexp(exact)).abs().max()
    assert error < 0.01
    a, b = (mean / std).squeeze(1), x / std
    expanded = a.square().sum(-1)[:, None] - 2 * a @ b.mT + b.square().sum(-1)
    constant = 784 / 2 * math.log(2 * math.pi * std**2)
    unpromoted = zoo.logmeanexp(-expanded / 2 - constant).double()
    assert (unpromoted - zoo.logmeanexp(exact)).abs().max() > 20 * error


@pytest.mark.parametrize("chunk", [1, 2, 7])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("cls", [PriorSampling, partial(PriorSampling, share_draws=False), zoo.IWAE, zoo.VAE])
def test_decoding_in_chunks_changes_neither_value_nor_gradient(
    monkeypatch: pytest.MonkeyPatch, cls: Callable[..., LatentVariableModel], likelihood: Like, chunk: int
) -> None:
    model = cls(x_shape=(1, 5, 3), latent_dim=2, k=11, likelihood=likelihood, decoder=partial(MLP, hidden=[6]))
    x = torch.rand(4, 1, 5, 3).round()

    def step() -> tuple[Tensor, list[Tensor]]:
        torch.manual_seed(3)
        objective = model.objective(model.draw(x))
        return objective, gradients(model, objective.sum())

    (whole, of_whole), rows = step(), []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z: rows.append(len(z)) or decode(z))
    monkeypatch.setattr("zoo.drawing.draws_at_once", lambda *_: chunk)
    parts, of_parts = step()
    assert max(rows) == chunk and sum(rows) == 2 * 11  # each draw once forward, and once again backward
    same(parts, whole)
    all_same(of_parts, of_whole)


class Held(TorchDispatchMode):
    """Counts the bytes of the storages that were made within it and still live, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor) and (storage := value.untyped_storage()) not in self.seen:
                self.seen.add(storage)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self.free, storage.nbytes())
        return out

    def free(self, n: int) -> None:
        self.now -= n


def test_a_training_step_holds_no_tensor_of_draws_times_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    k, n, d, pixels, chunk = 20_000, 5, 3, 784, 500
    model = PriorSampling(x_shape=(pixels,), latent_dim=d, k=k, decoder=partial(MLP, hidden=[4]))
    x = torch.rand(n, pixels).round()

    def peak() -> float:
        with Held() as held:
            model.objective(model.draw(x)).mean().neg().backward()
        return held.peak / 8

    assert peak() > k * pixels  # all draws at once do
    monkeypatch.setattr("zoo.drawing.draws_at_once", lambda *_: chunk)
    assert peak() < 4 * chunk * pixels + 2 * k * (n + d) < k * pixels / 8


def test_a_likelihood_that_is_no_matrix_product_counts_the_pixels_of_every_pair() -> None:
    product, pairs = (PriorSampling(x_shape=(300,), likelihood=each) for each in (Gaussian, StudentT))
    assert product.draw_size(1, 7) == 300
    assert pairs.draw_size(1, 7) == 7 * 300 > pairs.decoder.width
    assert pairs.draw_size(7, 7) == 7 * pairs.decoder.width == 7 * 900  # own draws: three numbers a pixel are decoded


def test_a_code_is_taken_without_dropout() -> None:
    model = PriorSampling(x_shape=(5,), latent_dim=3, k=4, decoder=partial(MLP, activation=torch.nn.Dropout))
    same(model.codes(torch.ones(7, 5)), model.eval().codes(torch.ones(7, 5)))


def test_the_examples_share_their_draws_or_each_has_its_own() -> None:
    x = torch.ones(7, 5)
    for share in (True, False):
        model = PriorSampling(x_shape=(5,), latent_dim=3, k=4, share_draws=share)
        for draw in (model.draw(x), model.evaluation_draw(torch.cat([x[:3], 0 * x[3:]]))):
            assert draw.z.shape == ((4, 1, 3) if share else (4, 7, 3))
            assert draw.log_px.shape == draw.log_w.shape == (4, 7)
            assert torch.equal(draw.log_w, draw.log_px)  # the proposal is the prior
        if not share:
            z = model.draw(x).z
            assert z.unique().numel() == z.numel()
        assert not hasattr(model, "encoder")


def test_the_objective_of_prior_sampling_does_not_depend_on_the_batch() -> None:
    data = linear.linear_data()
    x = linear.examples_of(data)
    model = linear.exact_model(PriorSampling, data, k=5)

    def objective(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return model.objective(model.draw(x))

    for size in (1, 2, 3):
        same(torch.cat([objective(part) for part in x.split(size)]), objective(x))


def test_draws_of_the_prior_tell_at_most_log_k_nats_apart() -> None:
    k = 6
    data = linear.linear_data(variance=1e-6)
    model = linear.exact_model(PriorSampling, data, k)
    torch.manual_seed(3)
    z = model.draw(torch.zeros(k, 5)).z
    torch.manual_seed(3)
    draw = model.draw(model.decode(z).mean[:, 0].detach())  # each example is the mean of one of the draws
    share = draw.log_px.softmax(0)
    assert torch.equal(share.argmax(0), torch.arange(k))
    information = math.log(k) + (share * share.clamp(min=1e-300).log()).sum(0)
    same(information, math.log(k))  # all that can be told apart is, ...
    same(model.objective(draw), -5 / 2 * math.log(2 * math.pi * 1e-6) - math.log(k), 1e-8)  # ... and paid for
