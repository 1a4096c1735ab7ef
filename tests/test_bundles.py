"""Bundles of recorded steps: the weights and counters of steps that go one by one, and a word where they cannot."""

import gc
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.demos.boring_classes import BoringModel
from torch import Tensor
from torch.optim.lr_scheduler import ExponentialLR

import zoo
from callbacks import Bundles, KeepLast, Stopped
from tests.ranks import trainer_of
from tests.small import SHAPE, SmallImages, quiet_trainer, small_model
from zoo import compiling
from zoo.bundles.purity import Unrecordable
from zoo.bundles.recording import RecordedStep
from zoo.errors import ZooError
from zoo.noise import seed_generators
from zoo.protocols import foreseeable

Run = tuple[dict[str, Tensor], dict[str, Any], dict[str, Any], dict[str, Tensor]]


class Counts(pl.Callback):
    """Counts the steps that it hears of."""

    n, patient = 0, True

    def on_train_batch_end(self, *args: Any, **rest: Any) -> None:
        self.n += 1


def run(
    folder: Path,
    make: Callable[[], pl.LightningModule],
    *callbacks: pl.Callback,
    in_bundles: bool = False,
    batch_size: int = 5,
    data: type[SmallImages] = SmallImages,
    **options: Any,
) -> Run:
    """What a fit leaves whose steps went in bundles or did not: weights, counters, the optimiser's state, its log."""
    pl.seed_everything(5, verbose=False)
    model = make()
    heard = Counts()
    trainer = quiet_trainer(folder, heard, *callbacks, **{"log_every_n_steps": 9} | options)
    trainer.fit(model, datamodule=data(sizes=(83, 11, 13), batch_size=batch_size))
    bundled = heard.n < trainer.fit_loop.epoch_loop.total_batch_idx + 1
    assert bundled == in_bundles
    counters, log = trainer.fit_loop.state_dict(), dict(trainer.callback_metrics)
    return model.state_dict(), counters, trainer.optimizers[0].state_dict(), log


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return all(same(x, y) for x, y in zip(a, b, strict=True)) if isinstance(a, list | tuple) else a == b


@pytest.mark.parametrize(
    ("name", "n_steps"), [("gaussian", 4), ("bernoulli", 20), ("iwae", 1), ("iwae", 4), ("iwae", 20), ("prior", 4)]
)
def test_bundles_change_no_bit_and_no_counter(tmp_path: Path, name: str, n_steps: int) -> None:
    make = partial(small_model, name)
    assert same(run(tmp_path, make, Bundles(n_steps, compile=False), in_bundles=n_steps > 1), run(tmp_path, make))


@pytest.mark.parametrize(
    "options",
    [
        {"max_steps": 13},
        {"val_check_interval": 3},
        {"val_check_interval": 5, "check_val_every_n_epoch": None},
        {"limit_train_batches": 4},
        {"precision": "32-true"},
        {"precision": "bf16-mixed"},
        {"overfit_batches": 2},
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_they_follow_the_trainers_settings(tmp_path: Path, options: dict[str, Any]) -> None:
    make = partial(small_model, "iwae")
    assert same(run(tmp_path, make, Bundles(compile=False), in_bundles=True, **options), run(tmp_path, make, **options))


class Forgets(zoo.MLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.nn.functional.dropout(x, 0.4, self.training))


def forgetful() -> zoo.IWAE:
    """A model whose networks draw as well: what is logged of a draw has to be of the same ones."""
    torch.manual_seed(2)
    network = partial(Forgets, hidden=[6])
    return zoo.IWAE(x_shape=SHAPE, latent_dim=3, k=4, encoder=network, decoder=network)


def test_what_networks_draw_is_trained_on_and_logged(tmp_path: Path) -> None:
    found, expected = run(tmp_path, forgetful, Bundles(compile=False), in_bundles=True), run(tmp_path, forgetful)
    assert {"train/objective", "train/log_px", "train/elbo"} <= found[3].keys()
    assert same(found, expected)


def far_apart() -> zoo.IWAE:
    """A model whose draws have weights of which some are denormal numbers."""
    torch.manual_seed(2)
    model = zoo.IWAE(x_shape=SHAPE, latent_dim=3, k=9)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(8)
        w = model.draw(torch.rand(30, *SHAPE).round()).log_w.double().softmax(0)
    assert ((w > 0) & (w < 2.0**-126)).any()
    return model


def test_denormal_weights_of_draws_change_no_bit(tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(True)
    assert same(run(tmp_path, far_apart, Bundles(compile=False), in_bundles=True), run(tmp_path, far_apart))


def test_a_schedule_goes_by_the_step(tmp_path: Path) -> None:
    make = partial(small_model, "bernoulli", scheduler=partial(ExponentialLR, gamma=0.9), scheduler_interval="step")
    assert same(run(tmp_path, make, Bundles(), in_bundles=True), run(tmp_path, make))


class Impatient(Counts):
    patient = False


def test_hooks_hear_of_few_steps(tmp_path: Path) -> None:
    heard = Counts()
    run(tmp_path, partial(small_model, "iwae"), heard, Bundles(n_steps=6), in_bundles=True)
    watched = [0]
    for step in range(1, 51):  # of 3 epochs of 17 steps
        if step % 17 == 16 or step % 9 == 8 or step - watched[-1] == 6:
            watched.append(step)
    assert heard.n == len(watched)


@pytest.mark.parametrize(
    ("options", "callbacks", "reason"),
    [
        ({"gradient_clip_val": 0.1}, [], "the gradient is clipped"),
        ({"accumulate_grad_batches": 2}, [], "gradients are accumulated"),
        ({"log_every_n_steps": 1}, [], "each of them is logged"),
        ({"profiler": "simple"}, [], "a profiler looks"),
        ({}, [Impatient()], "Impatient watches each of them"),
        ({}, [KeepLast(every_minutes=0)], "KeepLast watches each of them"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_what_watches_each_step_is_named_and_gets_each_step(
    tmp_path: Path, capsys: Any, options: dict[str, Any], callbacks: list[pl.Callback], reason: str
) -> None:
    make = partial(small_model, "iwae")
    assert same(run(tmp_path, make, Bundles(), *callbacks, **options), run(tmp_path, make, **options))
    assert f"note: steps go one by one, since {reason}" in capsys.readouterr().out


class ByStep(zoo.IWAE):
    def objective(self, draw: zoo.Draw) -> Tensor:
        return super().objective(draw) * (1 + self.global_step / 100)


class Logs(zoo.IWAE):
    def objective(self, draw: zoo.Draw) -> Tensor:
        self.log("mine", draw.log_px.mean())
        return super().objective(draw)


class CountsCalls(zoo.IWAE):
    calls = 0

    def objective(self, draw: zoo.Draw) -> Tensor:
        self.calls += 1
        return super().objective(draw) * (1 + self.calls)


class Python(zoo.IWAE):
    def objective(self, draw: zoo.Draw) -> Tensor:
        return super().objective(draw) * random.random()


class ByValue(zoo.IWAE):
    def objective(self, draw: zoo.Draw) -> Tensor:
        bound = super().objective(draw)
        return bound if bound.mean() > -14 else 2 * bound


class Owns(zoo.IWAE):
    def on_before_optimizer_step(self, optimizer: Any) -> None:
        for parameter in self.parameters():
            assert parameter.grad is not None
            parameter.grad *= 2


def small(cls: type[zoo.IWAE]) -> zoo.IWAE:
    torch.manual_seed(2)
    network = partial(zoo.MLP, hidden=[6])
    return cls(x_shape=SHAPE, latent_dim=3, k=2, encoder=network, decoder=network)


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (ByStep, "since it asks the trainer for `global_step`"),
        (Logs, "since it asks the trainer"),
        (CountsCalls, "its objective changes attributes"),
        (Python, "its objective changes attributes or draws"),
        (ByValue, "each step goes by itself, as it is written, since what it does depends on values"),
        (Owns, "since Owns has an `on_before_optimizer_step` of its own"),
    ],
)
def test_a_model_that_cannot_be_recorded_trains_as_it_is_written(
    tmp_path: Path, capsys: Any, cls: type[zoo.IWAE], reason: str
) -> None:
    found = run(tmp_path, partial(small, cls), Bundles())
    assert reason in capsys.readouterr().out
    assert same(found, run(tmp_path, partial(small, cls)))


class Anneals(zoo.IWAE):
    weight = 1.0

    def objective(self, draw: zoo.Draw) -> Tensor:
        return self.weight * super().objective(draw)


class Sets(pl.Callback):
    """Changes the model between two epochs."""

    def __init__(self, change: Callable[[Any, int], None]) -> None:
        self.change = change

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.change(pl_module, trainer.current_epoch)


def anneal(model: Any, epoch: int) -> None:
    model.weight = 1.0 + epoch


def freeze(model: Any, epoch: int) -> None:
    model.encoder.requires_grad_(epoch != 1)
    model.encoder.train(epoch != 2)


@pytest.mark.parametrize("change", [anneal, freeze])
def test_a_model_that_changes_between_epochs_is_recorded_anew(
    tmp_path: Path, capsys: Any, change: Callable[[Any, int], None]
) -> None:
    make = partial(small, Anneals)
    assert same(run(tmp_path, make, Bundles(), Sets(change), in_bundles=True), run(tmp_path, make, Sets(change)))
    assert "note" not in capsys.readouterr().out


def test_one_that_changes_often_is_not_recorded_any_more(tmp_path: Path, capsys: Any) -> None:
    make = partial(small, Anneals)
    found = run(tmp_path, make, Bundles(), Sets(anneal), in_bundles=True, max_epochs=6)
    assert "its attributes change as it trains" in capsys.readouterr().out
    assert same(found, run(tmp_path, make, Sets(anneal), max_epochs=6))


def limit(model: Any, epoch: int) -> None:
    for parameter in model.parameters() if epoch == 1 else ():
        parameter.register_hook(lambda gradient: 0.5 * gradient.clamp(-0.1, 0.1))


def look_back(model: Any, epoch: int) -> None:
    if epoch == 1:
        model.decoder.register_full_backward_hook(lambda module, before, after: tuple(0.5 * each for each in before))


@pytest.mark.parametrize("change", [limit, look_back])
def test_where_hooks_watch_gradients_nothing_is_recorded(
    tmp_path: Path, capsys: Any, change: Callable[[Any, int], None]
) -> None:
    make = partial(small, Anneals)
    assert same(run(tmp_path, make, Bundles(), Sets(change), in_bundles=True), run(tmp_path, make, Sets(change)))
    assert "a hook watches its gradients" in capsys.readouterr().out


class Tracks(zoo.IWAE):
    """Keeps a running mean in a tensor that is no buffer."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seen = torch.zeros(())

    def objective(self, draw: zoo.Draw) -> Tensor:
        self.seen.mul_(0.9).add_(0.1 * draw.log_px.detach().mean())
        return super().objective(draw) * (1 + self.seen.abs())


def test_a_tensor_that_is_changed_in_place_counts_each_batch_once(tmp_path: Path, capsys: Any) -> None:
    found, expected = (run(tmp_path, partial(small, Tracks), *own) for own in ([Bundles()], []))
    assert "its objective changes attributes" in capsys.readouterr().out
    assert same(found, expected)


class SetsEachStep(pl.Callback):
    """Changes the model before each step."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        pl_module.weight = 1.0 + trainer.global_step


def test_what_is_set_before_each_step_holds_for_that_step(tmp_path: Path) -> None:
    make = partial(small, Anneals)
    assert same(run(tmp_path, make, Bundles(), SetsEachStep()), run(tmp_path, make, SetsEachStep()))


def accumulate(model: Any, epoch: int) -> None:
    model.trainer.accumulate_grad_batches = 2**epoch  # by which a gradient is divided without rounding


def test_a_callback_may_begin_to_accumulate(tmp_path: Path) -> None:
    make = partial(small, Anneals)
    assert same(
        run(tmp_path, make, Bundles(), Sets(accumulate), in_bundles=True), run(tmp_path, make, Sets(accumulate))
    )


def averaging() -> zoo.VAE:
    """A model with a running average in a buffer."""
    torch.manual_seed(2)
    return zoo.VAE(x_shape=SHAPE, latent_dim=3, likelihood=partial(zoo.Gaussian, variance=zoo.OptimalVariance))


def test_a_running_average_counts_each_batch_once(tmp_path: Path) -> None:
    assert same(run(tmp_path, averaging, Bundles(compile=False), in_bundles=True), run(tmp_path, averaging))


@pytest.mark.parametrize("often", [0, 9])
def test_nothing_need_be_logged(tmp_path: Path, often: int) -> None:
    make = partial(small_model, "iwae")
    options: dict[str, Any] = {"log_every_n_steps": often}
    assert same(run(tmp_path, make, Bundles(), in_bundles=True, **options), run(tmp_path, make, **options))


class Interrupts(SmallImages):
    """Sends Ctrl-C as a batch is on its way."""

    at = -1

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.at == 0:
            signal.raise_signal(signal.SIGINT)
        self.at -= 1
        return super().on_after_batch_transfer(batch, dataloader_idx)


class InterruptsAhead(Interrupts):
    """Sends it as several batches are on their way."""

    @foreseeable
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return super().on_after_batch_transfer(batch, dataloader_idx)


@pytest.mark.parametrize("make", [Interrupts, InterruptsAhead])
@pytest.mark.parametrize("at", [3, 8, 16, 30])
def test_a_run_that_is_stopped_within_a_bundle_goes_on_as_if_it_had_not_been(
    tmp_path: Path, at: int, make: type[Interrupts]
) -> None:
    def fit(folder: Path, at: int, **resumed: Any) -> dict[str, Tensor]:
        pl.seed_everything(5, verbose=False)
        model, data = small_model("iwae"), make(sizes=(83, 11, 13))
        data.at = at
        trainer = quiet_trainer(folder, Bundles(n_steps=7), KeepLast(), log_every_n_steps=9)
        trainer.fit(model, datamodule=data, **resumed)
        return model.state_dict()

    with pytest.raises(Stopped) as stopped:
        fit(tmp_path / "a", at)
    went_on = fit(tmp_path / "a", -1, ckpt_path=stopped.value.checkpoint, weights_only=True)
    assert same(went_on, fit(tmp_path / "b", -1))


class Looks(SmallImages):
    """Notes at which step a batch is asked for."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seen: list[int] = []

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        assert self.trainer is not None
        if self.trainer.training:
            self.seen.append(self.trainer.global_step)
        return super().on_after_batch_transfer(batch, dataloader_idx)


class LooksAhead(Looks):
    """Does so though it was said not to."""

    @foreseeable
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return super().on_after_batch_transfer(batch, dataloader_idx)


def test_batches_are_had_ahead_of_steps_only_where_they_do_not_depend_on_them(tmp_path: Path) -> None:
    def seen(make: type[Looks], **arguments: Any) -> list[int]:
        data = make(sizes=(83, 11, 13))
        trainer = quiet_trainer(tmp_path, Bundles(n_steps=7, compile=False), max_epochs=2, log_every_n_steps=0)
        trainer.fit(small_model("iwae", **arguments), datamodule=data)
        return data.seen

    assert seen(Looks) == list(range(2 * 17))
    by_step = seen(LooksAhead, scheduler=partial(ExponentialLR, gamma=0.9), scheduler_interval="step")
    assert by_step == list(range(2 * 17))
    ahead = seen(LooksAhead)
    assert len(ahead) == 2 * 17 and ahead == sorted(ahead) and len(set(ahead)) < 2 * 17


def test_what_fails_within_a_bundle_leaves_the_counters_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def failing(seed: int) -> None:
        seeds.append(seed)
        if len(seeds) == 20:
            raise ZooError("it failed")
        seed_generators(seed)

    monkeypatch.setattr("zoo.bundles.loop.seed_generators", failing)
    trainer = quiet_trainer(tmp_path, Bundles(n_steps=9, compile=False), log_every_n_steps=0)
    with pytest.raises(ZooError, match="it failed"):
        trainer.fit(small_model("iwae"), datamodule=SmallImages(sizes=(83, 11, 13)))
    made = {int(each["step"]) for each in trainer.optimizers[0].state.values()}
    assert made == {trainer.global_step}
    assert 20 <= trainer.global_step < 30


class CountsLeftAlone(pl.Callback):
    """Tells how many objects Python does not look through for garbage while a model is trained."""

    n = 0

    def on_validation_start(self, *args: Any) -> None:
        self.n = gc.get_freeze_count()


@pytest.mark.parametrize("at", [-1, 17])
def test_garbage_is_looked_for_everywhere_again_once_a_run_has_ended(tmp_path: Path, at: int) -> None:
    data, counts, before = Interrupts(sizes=(83, 11, 13)), CountsLeftAlone(), gc.get_freeze_count()
    data.at = at
    with suppress(Stopped):
        quiet_trainer(tmp_path, Bundles(), counts, KeepLast()).fit(small_model("iwae"), datamodule=data)
    assert counts.n > before
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("no_process_group")
def test_several_ranks_train_as_without_bundles(tmp_path: Path, ranks: int) -> None:
    def fit(folder: Path, *callbacks: pl.Callback) -> dict[str, Tensor]:
        pl.seed_everything(5, verbose=False)
        model = small_model("iwae")
        trainer = trainer_of(ranks, folder, *callbacks, log_every_n_steps=9)
        trainer.fit(model, datamodule=SmallImages(sizes=(83, 11, 13)))
        trainer.save_checkpoint(folder / "a.ckpt")
        return torch.load(folder / "a.ckpt", weights_only=True)["state_dict"]

    torch.testing.assert_close(fit(tmp_path / "a", Bundles(n_steps=5)), fit(tmp_path / "b"), rtol=1e-12, atol=1e-12)


def refuse(*args: Any, **options: Any) -> Any:
    raise RuntimeError("no C++ compiler")


def test_without_a_compiler_it_is_recorded_only(tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "machine_code", refuse)
    make = partial(small_model, "iwae")
    assert same(run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make))
    assert "the training step is not compiled" in caplog.text and "no C++ compiler" in caplog.text


def test_a_compiled_step_that_gives_other_numbers_is_not_used(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(graph: Callable[..., Any], inputs: Any, threads: int) -> Callable[..., Any]:
        return lambda x: tuple(2 * each for each in graph(x))

    monkeypatch.setattr(compiling, "machine_code", wrong)
    make = partial(small_model, "iwae")
    assert same(run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make))
    assert "its compiled version gives other numbers" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "iwae", "prior"])
def test_a_compiled_run_differs_by_rounding(tmp_path: Path, name: str) -> None:
    make = partial(small_model, name)
    found, expected = run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-9, atol=1e-9)


def test_a_recorded_step_is_the_models_own() -> None:
    model, x = small(Anneals), torch.ones(5, *SHAPE)
    step = RecordedStep(model, x)
    anneal(model, 2)
    with pytest.raises(Unrecordable, match="more than a function"):
        step.compare(x, 1e-6)


def test_what_is_no_model_of_this_zoo_is_refused(tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, Bundles())
    with pytest.raises(ZooError, match="BoringModel is none"):
        trainer.fit(BoringModel())


@pytest.mark.parametrize("n_steps", [0, -3])
def test_a_bundle_has_at_least_one_step(n_steps: int) -> None:
    with pytest.raises(ZooError, match="n_steps"):
        Bundles(n_steps)
