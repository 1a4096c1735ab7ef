"""Threads that share a batch: the gradient of the whole, of the same draws, and only where no example needs another."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from callbacks import Bundles
from tests.plain_code import taken
from tests.small import SHAPE, small_model
from tests.test_bundles import averaging, forgetful, run, same
from tests.test_moving import close
from zoo import compiling
from zoo.bundles import shares as module
from zoo.bundles.recording import RecordedStep
from zoo.bundles.shares import CompiledStep, Unshareable, compile_step, mean, shares

Make = Callable[[], Any]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "machine_code", taken)
    monkeypatch.setattr(module, "runs_natively", lambda: True)


def binary(n: int) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(4)).round()


def flowing() -> zoo.IWAE:
    torch.manual_seed(2)
    return zoo.IWAE(x_shape=SHAPE, latent_dim=3, k=3, posterior=zoo.CouplingFlow)


OWN_DRAWS = partial(small_model, "own draws of the prior")
MODELS: dict[str, Make] = {
    **{name: partial(small_model, name) for name in ("gaussian", "bernoulli", "iwae", "student")},
    "networks that draw": forgetful,
    "a flow": flowing,
    "own draws of the prior": OWN_DRAWS,
}


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_shares_make_the_gradient_of_the_whole_of_the_same_draws(make: Make, n: int) -> None:
    model, x = make(), binary(12)
    step = RecordedStep(model, x)
    compiled = CompiledStep(step, x, n)
    torch.manual_seed(7)
    loss, log_px, *gradients = compiled.run(x)
    state = torch.get_rng_state()
    torch.manual_seed(7)
    expected, draw = model.loss_and_draw(x)
    assert torch.equal(torch.get_rng_state(), state), "as many numbers were drawn"
    expected.backward()
    torch.testing.assert_close((loss, log_px), (expected.detach(), draw.log_px.detach()), rtol=1e-12, atol=1e-12)
    for parameter, gradient in zip(step.parameters, gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-11, atol=1e-13)


class Normalised(nn.Module):
    """An encoder in which the examples of a batch are set in relation to each other."""

    def __init__(self, in_shape: Any, out_shape: Any) -> None:
        super().__init__()
        self.network, self.out_shape = nn.Linear(20, 6), out_shape

    def forward(self, x: Tensor) -> Tensor:
        h = self.network(x.flatten(1))
        return (h - h.mean(0)).view(-1, *self.out_shape)


class Counting(zoo.MLP):
    """A network that counts how often it is called."""

    def __init__(self, *shapes: Any) -> None:
        super().__init__(*shapes, hidden=[6])
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)  # pyright: ignore[reportCallIssue]
        return super().forward(x)


class FreeBits(zoo.VAE):
    """A mean over the batch that counts from where it exceeds a floor: here it never does, and might later."""

    def objective(self, draw: zoo.Draw) -> Tensor:
        return draw.log_px.mean(0) - draw.kl.mean().clamp_min(1e3)


class ChosenBits(zoo.VAE):
    """The same by a comparison, which has an answer also where there is no number to compare."""

    def objective(self, draw: zoo.Draw) -> Tensor:
        return draw.log_px.mean(0) - torch.where(draw.kl.mean() > 1e3, draw.kl, 1e3)


class Limited(zoo.VAE):
    """Limits a gradient on its way: here it is smaller, but that of a share, of fewer examples, gets there sooner."""

    def objective(self, draw: zoo.Draw) -> Tensor:
        if draw.z.requires_grad:
            draw.z.register_hook(lambda gradient: gradient.clamp(-10, 10))
        return super().objective(draw)


class Neighbours(zoo.VAE):
    """An objective in which an example meets the next one, only as a gradient."""

    def objective(self, draw: zoo.Draw) -> Tensor:
        surrogate = draw.kl.roll(1)
        return super().objective(draw) + surrogate - surrogate.detach()


class BySize(zoo.VAE):
    def objective(self, draw: zoo.Draw) -> Tensor:
        return super().objective(draw) / draw.log_px.shape[1]


class DrawsByValue(zoo.VAE):
    def objective(self, draw: zoo.Draw) -> Tensor:
        return super().objective(draw) * torch.bernoulli(torch.full_like(draw.log_px[0], 0.5))


class Picky(zoo.VAE):
    def objective(self, draw: zoo.Draw) -> Tensor:
        if draw.log_px.shape[1] < 12:
            raise ValueError("this takes a whole batch")
        return super().objective(draw)


def model_of(cls: type[zoo.VAE], **arguments: Any) -> zoo.VAE:
    torch.manual_seed(2)
    return cls(**{"x_shape": SHAPE, "latent_dim": 3, "likelihood": zoo.Bernoulli} | arguments)


@pytest.mark.parametrize(
    "make",
    [
        *(partial(model_of, zoo.VAE, encoder=encoder) for encoder in (Normalised, Counting)),
        *(partial(model_of, cls) for cls in (FreeBits, ChosenBits, Limited, Neighbours, DrawsByValue, Picky)),
        partial(small_model, "prior"),  # whose draws all examples share
        averaging,  # whose variance is that of the whole batch
    ],
)
def test_where_examples_need_each_other_nothing_is_shared(make: Make) -> None:
    model, x = make(), binary(12)
    step = RecordedStep(model, x)
    with pytest.raises(Unshareable):
        CompiledStep(step, x, 2)


@pytest.mark.parametrize(
    "make", [partial(model_of, BySize), partial(model_of, FreeBits), partial(small_model, "prior")]
)
def test_and_the_step_is_compiled_as_a_whole(monkeypatch: pytest.MonkeyPatch, make: Make) -> None:
    monkeypatch.setattr(module, "shares", lambda step, x: 4)
    model, x = make(), binary(12)
    step = RecordedStep(model, x)
    compile_step(step, x)
    assert step.compiled.n == 1


@pytest.mark.parametrize(
    ("threads", "size", "hidden", "expected"),
    [
        (2, 100, 200, 2),
        (2, 99, 200, 1),  # of which no two threads have as many
        (3, 99, 200, 1),  # no power of two
        (1, 100, 200, 1),
        (2, 4, 200, 1),  # whose products are soon made
        (64, 128, 200, 1),  # whose gradients are more than what is left for each to do
    ],
)
def test_how_many_share_follows_from_sizes(
    monkeypatch: pytest.MonkeyPatch, threads: int, size: int, hidden: int, expected: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    network = partial(zoo.MLP, hidden=[hidden])
    model = zoo.IWAE(x_shape=(1, 28, 28), latent_dim=9, k=3, encoder=network, decoder=network).float()
    x = torch.rand(size, 1, 28, 28).round().float()
    assert shares(RecordedStep(model, x), x) == expected


@pytest.mark.parametrize("n", [1, 2, 8])
def test_the_mean_of_equal_numbers_is_that_number(n: int) -> None:
    x = torch.rand(1000, dtype=torch.float32)
    assert torch.equal(mean([x] * n), x)


@pytest.mark.parametrize("n", [2, 4])
def test_a_run_is_that_of_single_steps_and_no_watcher_changes_a_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    monkeypatch.setattr(module, "shares", lambda step, x: n)
    made: list[int] = []
    inputs = CompiledStep._inputs
    monkeypatch.setattr(CompiledStep, "_inputs", lambda self, x: made.append(self.n) or inputs(self, x))
    make = partial(small_model, "iwae")
    found, again = (run(tmp_path, make, Bundles(m, compile=True), in_bundles=True, batch_size=8) for m in (7, 3))
    assert len(made) > 60 and set(made) == {n}
    assert same(found, again)
    close(found, run(tmp_path, make, batch_size=8))
