"""The optimal variance of a σ-VAE: best for a batch, the same on every rank, refused where it is not the best."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

import zoo
from datamodules import Grey
from tests.linear import same
from tests.small import SHAPE, SmallImages, quiet_trainer, small_model
from zoo import IWAE, MLP, VAE, Gaussian, GaussianVAE, OptimalVariance, PriorSampling
from zoo.cli import main
from zoo.distributions import diagonal_normal
from zoo.errors import ZooError

K, B, D = 3, 7, 20
FITTED = partial(Gaussian, variance=OptimalVariance)


def mean_at(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return Normal(mean, variance.sqrt()).log_prob(x).flatten(2).sum(-1)  # (k, B)


def test_training_weighs_a_batch_with_its_own_mean_square_error_which_is_the_best() -> None:
    emitted, x = torch.randn(K, B, 1, *SHAPE), torch.randn(B, *SHAPE)
    found = FITTED(SHAPE)(emitted).log_prob(x)
    mean = emitted[:, :, 0]
    best = (x - mean).square().mean()
    same(found, mean_at(x, mean, best))
    same(found.mean(), -D / 2 * (math.log(2 * math.pi * best) + 1))
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert mean_at(x, mean, factor * best).mean() < found.mean()


def test_an_error_below_the_floor_is_weighed_at_the_floor() -> None:
    emitted = torch.randn(K, B, 1, *SHAPE)
    x = emitted[0, :, 0]
    found = FITTED(SHAPE)(emitted[:1]).log_prob(x)
    same(found, -D / 2 * math.log(2 * math.pi * 1e-4))


def test_the_decoder_has_the_gradient_that_goes_through_the_best_variance() -> None:
    model, x = small_model("gaussian", variance=OptimalVariance, k=K), torch.rand(B, *SHAPE)
    parameters = [*model.decoder.parameters(), *model.encoder.parameters()]

    def objective() -> Tensor:
        torch.manual_seed(5)
        return model.objective(model.draw(x)).mean()

    def by_hand() -> Tensor:
        torch.manual_seed(5)
        draw = model.draw(x)
        error = (x - model.decode(draw.z).mean).square().mean()
        return -D / 2 * ((2 * math.pi * error).log() + 1) - draw.kl.mean()

    same(objective(), by_hand())
    found, expected = (torch.autograd.grad(value(), parameters) for value in (objective, by_hand))
    for one, other in zip(found, expected, strict=True):
        assert other.any()
        same(one, other)
    directions = [torch.randn_like(each) for each in parameters]
    slope = sum((one * way).sum() for one, way in zip(found, directions, strict=True))
    ends = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for parameter, way in zip(parameters, directions, strict=True):
                parameter += step * way
            ends.append(objective())
    same(torch.as_tensor(slope), (ends[0] - ends[1]) / 2e-5, 1e-6)


def test_the_average_runs_over_the_steps_and_evaluation_takes_it() -> None:
    part, expected = OptimalVariance(SHAPE, momentum=0.75), 0.0
    for step, error in enumerate([0.9, 0.3, 0.5, 0.2, 0.7, 0.4], start=1):
        same(part.fit(torch.tensor(error)), error)
        expected += max(1 / step, 0.25) * (error - expected)
        same(part.running, expected)
    likelihood = Gaussian(SHAPE, lambda _: part).eval()
    emitted, x = torch.randn(K, B, 1, *SHAPE), torch.randn(B, *SHAPE)
    same(likelihood(emitted).log_prob(x), mean_at(x, emitted[:, :, 0], torch.tensor(expected)))
    same(part.running, expected)  # which does not move it


def test_a_forward_pass_without_gradient_in_evaluation_leaves_the_average() -> None:
    model, x = small_model("gaussian", variance=OptimalVariance), torch.rand(B, *SHAPE)
    model.draw(x)
    before = model.report()["variance"].clone()
    model.log_likelihood(x, 5)
    model.reconstruct(x)
    model.sample(4)
    assert model.training and torch.equal(model.report()["variance"], before)


@pytest.mark.parametrize("chunk", [1, 2])
def test_all_draws_of_a_batch_are_fitted_together_however_few_may_be_decoded_at_once(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    model, x = small_model("gaussian", variance=OptimalVariance, k=5), torch.rand(B, *SHAPE)

    def step() -> tuple[Tensor, tuple[Tensor, ...]]:
        torch.manual_seed(3)
        objective = model.objective(model.draw(x))
        return objective, torch.autograd.grad(objective.sum(), list(model.decoder.parameters()))

    (whole, of_whole) = step()
    monkeypatch.setattr("zoo.drawing.draws_at_once", lambda *_: chunk)
    (parts, of_parts) = step()
    same(parts, whole)
    for one, other in zip(of_parts, of_whole, strict=True):
        same(one, other)


@pytest.mark.parametrize("cls", [IWAE, PriorSampling])
def test_objectives_it_is_not_the_optimum_of_refuse_it(cls: type) -> None:
    with pytest.raises(ZooError, match=f"the likelihood of this {cls.__name__} is fitted to each batch"):
        cls(x_shape=SHAPE, likelihood=FITTED)


def test_the_command_line_refuses_it_in_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = "--model=IWAE --model.likelihood=Gaussian --model.likelihood.variance=OptimalVariance"
    with pytest.raises(SystemExit) as stop:
        main(["fit", *model.split(), f"--trainer.default_root_dir={tmp_path}"])
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "fitted to each batch" in line and "take another variance" in line


def test_the_average_begins_no_lower_than_its_floor() -> None:
    part = OptimalVariance(SHAPE, floor=0.3)
    same(part.running, 0.3)
    part.start_at(torch.full(SHAPE, 0.2))
    same(part.running, 0.3)


@pytest.mark.parametrize(("momentum", "floor"), [(1.0, 1e-4), (-0.1, 1e-4), (0.9, 0.0), (0.9, math.inf)])
def test_a_momentum_or_floor_out_of_its_range_is_refused(momentum: float, floor: float) -> None:
    with pytest.raises(ZooError, match=r"0 <= momentum < 1 and a positive floor"):
        OptimalVariance(SHAPE, momentum, floor)


def test_a_model_in_16_bits_refuses_it_since_its_average_would_stand_still() -> None:
    model = GaussianVAE(x_shape=SHAPE, variance=OptimalVariance).to(torch.bfloat16)
    with pytest.raises(ZooError, match="OptimalVariance needs 32 bits"):
        model.draw(torch.rand(B, *SHAPE).bfloat16())


def test_a_resumed_run_goes_on_with_the_average(tmp_path: Path) -> None:
    def fit(epochs: int, path: Path | None = None) -> tuple[zoo.LatentVariableModel, pl.Trainer]:
        model = small_model("gaussian", variance=OptimalVariance)
        trainer = quiet_trainer(tmp_path, max_epochs=epochs)
        trainer.fit(model, datamodule=SmallImages(pixels=Grey()), ckpt_path=path, weights_only=True)
        return model, trainer

    whole, _ = fit(3)
    stopped, trainer = fit(1)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    same(zoo.load(tmp_path / "a.ckpt").report()["variance"], stopped.report()["variance"])
    resumed, _ = fit(3, tmp_path / "a.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert not torch.equal(whole.report()["variance"], stopped.report()["variance"])


# --- over ranks


class Certain(VAE):
    """Its draws are a function of x, so that they are the same on any number of ranks."""

    def encode(self, x: Tensor) -> Distribution:
        return diagonal_normal(x.flatten(1)[:, : self.latent_dim], torch.tensor(1e-40))


class Steps(pl.Callback):
    """Each rank writes the gradient and the running average of its steps."""

    def __init__(self, path: Path) -> None:
        self.path, self.steps = path, []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        gradient = torch.cat([each.grad.flatten() for each in pl_module.parameters()])
        self.steps.append((gradient, pl_module.likelihood.variance.running.clone()))

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        torch.save(self.steps, f"{self.path}-{trainer.world_size}-{trainer.global_rank}.pt")


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("no_process_group")
def test_two_ranks_have_the_average_and_the_gradient_of_one_with_their_joined_batch(tmp_path: Path) -> None:
    for ranks, strategy in ((1, "auto"), (2, "ddp_fork")):
        torch.manual_seed(3)
        model = Certain(x_shape=SHAPE, latent_dim=3, likelihood=FITTED, decoder=partial(MLP, hidden=[6]))
        data = SmallImages(sizes=(12, 3, 5), batch_size=12 // ranks, pixels=Grey())  # a step takes all examples
        steps, options = Steps(tmp_path / "steps"), {"limit_val_batches": 0, "max_epochs": 4}
        quiet_trainer(tmp_path, steps, devices=ranks, strategy=strategy, **options).fit(model, datamodule=data)
    one, *two = (torch.load(f"{tmp_path}/steps-{each}.pt") for each in ("1-0", "2-0", "2-1"))
    assert len(one) == 4 and one[0][1] != one[3][1]
    for rank in two:
        for (gradient, running), (expected, average) in zip(rank, one, strict=True):
            same(gradient, expected)
            same(running, average)
