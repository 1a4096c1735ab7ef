"""The variance of a Gaussian decoder: where it begins, how low it gets, and what is reported of it."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

import zoo
from callbacks import Report
from datamodules import Grey, Images, Splits
from tests.linear import same
from tests.small import SmallImages, quiet_trainer, save_trained, small_model
from zoo import (
    Bernoulli,
    ChannelVariance,
    DecodedVariance,
    FixedVariance,
    Gaussian,
    GaussianVAE,
    LearnedVariance,
    OptimalVariance,
    PixelVariance,
    Variance,
)
from zoo.errors import ZooError
from zoo.likelihoods.learned_variances import SoftFloor

SHAPES = [(11,), (2, 5, 3)]
SHAPE = (2, 5, 3)
K, B = 3, 7
HELD = [LearnedVariance, ChannelVariance, PixelVariance]  # by a parameter
SOFT = [*HELD, DecodedVariance]
Factory = Callable[..., Variance]


def set_excess(part: Variance, excess: Tensor | float) -> None:
    part.get_parameter("excess").data.copy_(torch.as_tensor(excess))


def variance_of(part: Variance, raw: Tensor | None = None) -> Tensor:
    """σ² around a mean of zero, of what the decoder emits."""
    raw = torch.zeros(part.n_params, *part.x_shape) if raw is None else raw
    leading = raw.shape[: raw.ndim - 1 - len(part.x_shape)]
    return part.around(torch.zeros(*leading, *part.x_shape), raw).variance


def channel_means(variance: Tensor) -> Tensor:
    if variance.ndim == 1:  # each dimension is a channel
        return variance
    return torch.stack([each.mean().expand(each.shape) for each in variance])


# --- where it begins


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", SOFT)
@pytest.mark.parametrize(("start", "floor"), [(0.1, 1e-4), (3.0, 1e-12), (0.02, 0.0199)])
def test_a_given_start_holds_whatever_the_data_say(
    cls: Factory, start: float, floor: float, shape: tuple[int, ...]
) -> None:
    likelihood = Gaussian(shape, partial(cls, start=start, floor=floor))
    mean = torch.rand(shape)
    for variance in (None, torch.rand(shape)):
        emitted = likelihood.start_at(mean, variance)
        assert emitted.shape == (likelihood.n_params, *shape)
        p = likelihood(emitted)
        same(p.mean, mean)
        same(p.variance, start, 1e-10 * start)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (LearnedVariance, Tensor.mean),
        (ChannelVariance, channel_means),
        (PixelVariance, channel_means),
        (DecodedVariance, channel_means),
        (OptimalVariance, Tensor.mean),
        (partial(FixedVariance, value=0.7), lambda variance: torch.tensor(0.7)),
    ],
)
def test_without_a_start_it_begins_at_the_variance_of_the_data(
    cls: Factory, expected: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    likelihood = Gaussian(shape, cls).eval()
    mean, variance = torch.rand(shape), 0.01 + torch.rand(shape)
    p = likelihood(likelihood.start_at(mean, variance))
    same(p.mean, mean)
    same(p.variance, expected(variance))


@pytest.mark.parametrize("cls", [*SOFT, OptimalVariance])
def test_without_data_it_begins_at_a_tenth(cls: Factory) -> None:
    likelihood = Gaussian(SHAPE, cls).eval()
    same(likelihood(likelihood.start_at(torch.rand(SHAPE))).variance, 0.1)


@pytest.mark.parametrize("cls", SOFT)
def test_data_that_never_vary_begin_above_the_floor_so_that_it_can_be_left(cls: Factory) -> None:
    likelihood = Gaussian(SHAPE, partial(cls, floor=0.01))
    same(likelihood(likelihood.start_at(torch.rand(SHAPE), torch.zeros(SHAPE))).variance, 0.04)


@pytest.mark.parametrize("cls", [*HELD, OptimalVariance])
def test_only_an_untrained_variance_is_started(cls: Factory) -> None:
    part = cls(SHAPE)
    part.start_at(torch.full(SHAPE, 0.5))
    if isinstance(part, OptimalVariance):
        part.fit(torch.tensor(0.3))
    else:
        set_excess(part, part.get_parameter("excess") + 1e-3)
    before = variance_of(part.eval())
    part.start_at(torch.full(SHAPE, 0.2))
    assert torch.equal(variance_of(part), before)


class Dim(SmallImages):
    """The same images a quarter as bright, whose variance is a sixteenth."""

    def load(self) -> Splits:
        return Splits(*(Images(part.images // 4) for part in super().load()))


def test_a_model_begins_at_its_training_data_and_a_trained_one_does_not_begin_again(tmp_path: Path) -> None:
    def begin(model: zoo.LatentVariableModel) -> float:
        data = Dim(pixels=Grey())
        quiet_trainer(tmp_path, max_epochs=1, limit_train_batches=0).fit(model, datamodule=data)
        assert data.variance().mean() < 0.01
        return model.report()["variance"].item()

    data = Dim(pixels=Grey())
    assert begin(small_model("gaussian")) == pytest.approx(data.variance().mean().item(), rel=1e-12)
    trained = small_model("gaussian")
    path = save_trained(trained, tmp_path)
    before = trained.report()["variance"].item()
    assert before > 0.2  # of binary pixels, half of them on
    assert begin(zoo.load(path)) == before


# --- how low it gets


@pytest.mark.parametrize("cls", HELD)
def test_the_floor_is_approached_softly_and_never_undercut(cls: Factory) -> None:
    part = cls(SHAPE, floor=0.03)
    for excess in (-1e4, -40.0, -3.0, 0.0, 5.0, 100.0):
        set_excess(part, excess)
        variance = variance_of(part)
        assert (variance >= 0.03 * (1 - 1e-12)).all()
        same(variance, 0.03 * (1 + math.exp(excess)), 1e-9 * variance.max().item())
        (gradient,) = torch.autograd.grad(variance.log().sum(), part.get_parameter("excess"))
        same(gradient, 30 / gradient.numel() * torch.tensor(excess).sigmoid(), 1e-9)


def test_a_decoded_variance_is_what_the_decoder_emits_above_the_floor() -> None:
    part = DecodedVariance(SHAPE, start=0.5, floor=0.03)
    assert isinstance(part, SoftFloor) and part.n_params == 1
    raw = (5 * torch.randn(K, B, 1, *SHAPE)).requires_grad_()
    variance = variance_of(part, raw)
    assert variance.shape == (K, B, *SHAPE) and (variance > 0.03).all()
    excess = raw[:, :, 0] + math.log(0.5 / 0.03 - 1)  # where nothing is emitted σ² is the start
    same(variance, 0.03 * (1 + excess.exp()), 1e-9 * variance.max().item())
    (gradient,) = torch.autograd.grad(variance.log().sum(), raw)
    same(gradient[:, :, 0], excess.sigmoid().detach())


@pytest.mark.parametrize("cls", [*SOFT, OptimalVariance])
@pytest.mark.parametrize("spread", [0.0, 1e-5, 1.0])
def test_the_floor_bounds_the_density(cls: Factory, spread: float) -> None:
    floor = 0.004
    part = cls(SHAPE, floor=floor)
    if cls in HELD:
        set_excess(part, -1e4)
    emitted = torch.randn(K, B, 1 + part.n_params, *SHAPE)
    emitted[:, :, 1:] -= 1e4
    likelihood = Gaussian(SHAPE, lambda _: part)
    p = likelihood(emitted)
    x = emitted[0, :, 0] + spread * torch.randn(B, *SHAPE)  # of the first draw, the mean itself
    bound = -30 / 2 * math.log(2 * math.pi * floor)
    log_px = p.log_prob(x)
    assert (log_px <= bound + 1e-9).all()
    if spread == 0 and cls is not OptimalVariance:
        same(log_px[0], bound)  # and is reached


@pytest.mark.parametrize("value", [0.0, -0.1, math.inf, math.nan])
def test_a_fixed_variance_refuses_what_is_no_variance(value: float) -> None:
    with pytest.raises(ZooError, match=r"the variance is .* a positive number was expected"):
        FixedVariance(SHAPE, value)


@pytest.mark.parametrize("cls", SOFT)
@pytest.mark.parametrize(
    ("start", "floor"),
    [(0.1, 0.0), (0.1, 0.1), (0.1, 0.2), (0.1, -1.0), (math.inf, 0.1), (math.nan, 0.1), (None, 0.1)],
)
def test_a_start_that_is_not_above_the_floor_is_refused(cls: Factory, start: float | None, floor: float) -> None:
    with pytest.raises(ZooError, match=rf"floor is {floor} and start is [\dinfa.]+, where 0 < floor < start"):
        cls(SHAPE, start=start, floor=floor)


# --- what is reported


def test_a_fixed_variance_is_its_value_and_its_floor() -> None:
    part = FixedVariance(SHAPE, 0.03)
    assert variance_of(part).unique().item() == pytest.approx(0.03) and part.floor == 0.03
    assert not list(part.parameters()) and not part.state_dict()
    assert part.report() == {"variance": torch.tensor(0.03)}


@pytest.mark.parametrize("cls", HELD)
def test_the_mean_of_a_held_variance_and_its_share_at_the_floor_are_reported(cls: Factory) -> None:
    part = cls(SHAPE, floor=0.01)
    excess = torch.full_like(part.get_parameter("excess"), math.log(2))  # three times the floor
    excess.view(-1)[0] = math.log(0.9)  # 1.9 times
    set_excess(part, excess)
    one = 1 / excess.numel()
    report = Gaussian(SHAPE, lambda _: part).report()
    same(report["variance"], 0.03 - one * 0.011)
    same(report["variance_at_floor"], one)
    excess.view(-1)[0] = math.log(1.1)  # above twice the floor it counts as free
    set_excess(part, excess)
    same(part.report()["variance_at_floor"], 0.0)


def test_a_decoded_variance_is_described_for_each_example() -> None:
    likelihood = Gaussian(SHAPE, partial(DecodedVariance, start=0.03, floor=0.01))  # e^λ = 2 where nothing is emitted
    emitted = torch.zeros(B, 2, *SHAPE)
    for i in range(B):
        emitted[i, 1].view(-1)[:i] = math.log(0.05)
    described = likelihood.describe(likelihood(emitted))
    share = torch.arange(B) / 30
    assert likelihood.varies and likelihood.report() == {}
    same(described["variance"], 0.03 - share * 0.019)
    same(described["variance_at_floor"], share)


def test_the_running_average_of_an_optimal_variance_is_reported() -> None:
    part = OptimalVariance(SHAPE, floor=0.01)
    likelihood = Gaussian(SHAPE, lambda _: part)
    for error, share in ((0.5, 0.0), (1e-6, 1.0)):
        part.steps.zero_()  # so that the average is its last step
        part.fit(torch.tensor(error))
        same(likelihood.report()["variance"], max(error, 0.01))
        same(likelihood.report()["variance_at_floor"], share)


def test_a_bernoulli_has_no_variance_to_report() -> None:
    assert Bernoulli(SHAPE).report() == {} and not Bernoulli(SHAPE).varies


class Logged(pl.Callback):
    """Keeps what was logged of the last training step, before it changes the weights."""

    def __init__(self) -> None:
        self.report: dict[str, float] = {}

    def on_before_backward(self, trainer: pl.Trainer, pl_module: Any, loss: Tensor) -> None:
        self.report = {name: value.item() for name, value in pl_module.report().items()}


@pytest.mark.parametrize("variance", [FixedVariance, LearnedVariance, ChannelVariance, PixelVariance, OptimalVariance])
def test_a_variance_is_logged_in_training_and_stands_in_the_metrics(variance: Factory, tmp_path: Path) -> None:
    model, data, logged = small_model("gaussian", variance=variance), SmallImages(pixels=Grey()), Logged()
    trainer = quiet_trainer(tmp_path, Report(), logged, max_epochs=2, log_every_n_steps=1)
    trainer.fit(model, datamodule=data)
    found = {name: value.item() for name, value in trainer.callback_metrics.items() if "variance" in name}
    assert found == pytest.approx({f"train/{name}": value for name, value in logged.report.items()})
    trainer.test(model, datamodule=data, verbose=False)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["test"]
    for name, value in model.report().items():
        assert metrics[name] == value.item()


def test_a_decoded_variance_is_logged_over_each_split(tmp_path: Path) -> None:
    model = small_model("gaussian", variance=partial(DecodedVariance, start=0.02, floor=0.01))
    data = SmallImages(pixels=Grey(), eval_batch_size=4)
    trainer = quiet_trainer(tmp_path, Report(), max_epochs=1, log_every_n_steps=1)
    trainer.fit(model, datamodule=data)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    trainer.test(model, datamodule=data, verbose=False)
    logged |= {f"test/{k}": v for k, v in json.loads((tmp_path / "metrics.json").read_text())["test"].items()}
    model.eval()
    for stage in ("val", "test"):
        x = getattr(data.splits, stage).images / 255
        variance = model.decode(model.evaluation_draw(x).z[0]).variance
        at_floor = (variance < 0.02).double().mean()
        assert 0 < at_floor < 1
        assert logged[f"{stage}/variance"] == pytest.approx(variance.mean().item(), abs=1e-10)
        assert logged[f"{stage}/variance_at_floor"] == pytest.approx(at_floor.item(), abs=1e-10)
    assert {"train/variance", "train/variance_at_floor"} <= logged.keys()


class HalfConstant(SmallImages):
    """The upper half of every image is black."""

    def load(self) -> Splits:
        splits = super().load()
        for part in splits:
            part.images[..., :2, :] = 0
            part.images[..., 2, :2] = 0
        return splits


@pytest.mark.parametrize("cls", [PixelVariance, DecodedVariance])
def test_too_much_freedom_stands_at_its_floor_and_the_run_says_so(
    cls: Factory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    for each in (cls, LearnedVariance):
        torch.manual_seed(1)
        model = GaussianVAE(
            x_shape=SmallImages.x_shape,
            latent_dim=2,
            variance=partial(each, floor=0.01),
            encoder=partial(zoo.MLP, hidden=[]),
            decoder=partial(zoo.MLP, hidden=[]),
            optimizer=partial(torch.optim.Adam, lr=0.1),
        )
        data = HalfConstant(pixels=Grey(), batch_size=23)
        trainer = quiet_trainer(tmp_path, Report(), max_epochs=60, limit_val_batches=0)
        trainer.fit(model, datamodule=data)
        trainer.test(model, datamodule=data, verbose=False)
        found[each] = json.loads((tmp_path / "metrics.json").read_text())["test"]["variance_at_floor"]
        assert ("stands at its floor" in capsys.readouterr().out) == (found[each] > 0)
    assert found[cls] > 0.2 and found[LearnedVariance] == 0  # half of the pixels never change
