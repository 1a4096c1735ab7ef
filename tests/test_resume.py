"""A run that was stopped anywhere and goes on ends as one that was never stopped, to the last bit."""

import functools
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.optim.lr_scheduler import StepLR
from torch.utils import _pytree

from callbacks import KeepLast, Stopped
from tests.small import SmallImages, quiet_trainer, small_model
from zoo import BurdaSchedule

pytestmark = [
    # Lightning warns of a folder that a run goes on in, and of a monitor without a validation set.
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
    pytest.mark.filterwarnings("ignore:.ModelCheckpoint.monitor='val/objective'.. could not find"),
]


@dataclass(frozen=True)
class Case:
    """What is trained, and how; 23 examples in batches of 5 make 5 batches an epoch, the last of 3."""

    model: str = "bernoulli"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[int, int, int] = (23, 11, 13)
    options: Mapping[str, Any] = field(default_factory=dict)
    batches: int = 15


BY_STEP = {"scheduler": partial(StepLR, step_size=2, gamma=0.8), "scheduler_interval": "step"}
BY_EPOCH = {"scheduler": partial(BurdaSchedule, length=0.4), "scheduler_interval": "epoch"}
CASES = {
    "gaussian": Case("gaussian", BY_STEP),
    "bernoulli": Case("bernoulli", BY_EPOCH),
    "iwae": Case("iwae"),
    "prior": Case("prior"),
    "kl warm-up": Case(arguments={"kl_warmup_steps": 9, "closed_form_kl": False}),
    "no validation": Case(arguments=BY_STEP, sizes=(23, 0, 13)),
    "accumulate": Case(arguments=BY_STEP, options={"accumulate_grad_batches": 2}),
    "limited": Case(arguments=BY_EPOCH, options={"limit_train_batches": 3}, batches=9),
    "validate within": Case(options={"val_check_interval": 2}),
    "validate seldom": Case(options={"check_val_every_n_epoch": 2}),
    "steps": Case(options={"max_steps": 12, "max_epochs": -1}, batches=12),
}
THOROUGH = ("bernoulli", "accumulate", "validate within")
# Of the others: the first step, the last of an epoch, the first of the next, and the last of all.
STOPS = [(n, i) for n, case in CASES.items() for i in range(case.batches) if n in THOROUGH or i in (0, 4, 5)]
STOPS += [(n, case.batches - 1) for n, case in CASES.items() if n not in THOROUGH]
KILLS = [(n, i) for n in ("accumulate", "no validation", "limited") for i in range(2, CASES[n].batches)]


class Killed(Exception):
    """What no program can save itself from."""


class Validations(pl.Callback):
    """What each validation found; one that is repeated must find the same."""

    def __init__(self) -> None:
        self.found: dict[int, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        value = float(trainer.callback_metrics["val/objective"])
        assert self.found.setdefault(trainer.global_step, value) == value


class At(pl.Callback):
    """Does something within one step of a run."""

    def __init__(self, batch: int, kill: bool) -> None:
        self.batch, self.kill, self.seen = batch, kill, 0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen += 1
        if self.seen == self.batch + 1:
            if self.kill:
                raise Killed
            signal.raise_signal(signal.SIGINT)


def fit(
    folder: Path,
    case: Case,
    validations: Validations,
    *callbacks: pl.Callback,
    seed: int = 3,
    resume: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Trains, or goes on from the last checkpoint; everything is made anew, under a seed of its own."""
    last = folder / "checkpoints" / "last.ckpt"
    best = ModelCheckpoint(last.parent, "best", monitor="val/objective", mode="max", enable_version_counter=False)
    trainer = quiet_trainer(folder, *callbacks, validations, best, **{**case.options, **options})
    model, data = small_model(case.model, seed=seed, **case.arguments), SmallImages(case.sizes)
    torch.manual_seed(seed)
    trainer.fit(model, datamodule=data, ckpt_path=last if resume else None, weights_only=True)
    return {
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "optimizer": trainer.optimizers[0].state_dict(),
        "schedules": [each.scheduler.state_dict() for each in trainer.lr_scheduler_configs],
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "validations": validations.found,
        "score": best.best_model_score,
        "best": torch.load(best.best_model_path)["state_dict"] if best.best_model_score is not None else None,
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The end of each run that nothing stops, made when it is first asked for."""
    return functools.cache(lambda name: fit(tmp_path_factory.mktemp("whole"), CASES[name], Validations()))


def assert_same(run: Any, expected: Any) -> None:
    leaves, others = (_pytree.tree_flatten_with_path(each)[0] for each in (run, expected))
    assert [path for path, _ in leaves] == [path for path, _ in others]
    for (path, value), (_, other) in zip(leaves, others, strict=True):
        same = torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
        assert same, f"{_pytree.keystr(path)}: {value} is not {other}"


@pytest.mark.parametrize(("name", "at"), STOPS)
def test_a_run_stopped_by_ctrl_c_goes_on(tmp_path: Path, uninterrupted: Any, name: str, at: int) -> None:
    expected, validations = uninterrupted(name), Validations()
    with pytest.raises(Stopped) as stopped:
        fit(tmp_path, CASES[name], validations, KeepLast(), At(at, kill=False))
    assert stopped.value.checkpoint == tmp_path / "checkpoints" / "last.ckpt"
    assert_same(fit(tmp_path, CASES[name], validations, KeepLast(), seed=99, resume=True), expected)


@pytest.mark.parametrize(("name", "at"), KILLS)
def test_a_killed_run_goes_on_from_its_last_save(tmp_path: Path, uninterrupted: Any, name: str, at: int) -> None:
    expected, validations = uninterrupted(name), Validations()
    with pytest.raises(Killed):
        fit(tmp_path, CASES[name], validations, KeepLast(every_minutes=0), At(at, kill=True))
    assert_same(fit(tmp_path, CASES[name], validations, seed=99, resume=True), expected)


@pytest.mark.parametrize("model", ["bernoulli", "prior"])
def test_a_finished_run_goes_on_beyond_its_end(tmp_path: Path, model: str) -> None:
    case, once, twice = Case(model, BY_EPOCH), Validations(), Validations()
    expected = fit(tmp_path / "once", case, once, KeepLast(), max_epochs=4)
    fit(tmp_path / "twice", case, twice, KeepLast(), max_epochs=2)
    assert_same(fit(tmp_path / "twice", case, twice, KeepLast(), seed=99, resume=True, max_epochs=4), expected)


def test_the_best_checkpoint_goes_on_as_well(tmp_path: Path, uninterrupted: Any) -> None:
    """It is written at the end of an epoch, where Lightning forgets the state of the loader."""
    validations, folder = Validations(), tmp_path / "checkpoints"
    fit(tmp_path, CASES["bernoulli"], validations, max_epochs=2)
    (folder / "best.ckpt").rename(folder / "last.ckpt")
    run = fit(tmp_path, CASES["bernoulli"], validations, seed=99, resume=True)
    assert_same(run["weights"], uninterrupted("bernoulli")["weights"])


def test_the_environments_seed_does_not_reach_a_resumed_run(
    tmp_path: Path, uninterrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, validations = uninterrupted("iwae"), Validations()
    with pytest.raises(Stopped):
        fit(tmp_path, CASES["iwae"], validations, KeepLast(), At(6, kill=False))
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    assert_same(fit(tmp_path, CASES["iwae"], validations, resume=True), expected)


def test_another_seed_makes_another_run(tmp_path: Path, uninterrupted: Any) -> None:
    """Without this, the tests above could not fail."""
    with pytest.raises(AssertionError, match="weights"):
        assert_same(fit(tmp_path, CASES["bernoulli"], Validations(), seed=4), uninterrupted("bernoulli"))


def test_ctrl_c_is_given_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    for at in (At(2, kill=False), At(2, kill=True)):
        with pytest.raises((Stopped, Killed)):
            fit(tmp_path, CASES["bernoulli"], Validations(), KeepLast(), at)
        assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_aborts_at_once(tmp_path: Path) -> None:
    """Within the step, so that the last checkpoint is that of before."""
    last = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(SystemExit):  # Lightning turns the KeyboardInterrupt into this
        twice = (At(7, kill=False), At(7, kill=False))
        fit(tmp_path, CASES["bernoulli"], Validations(), KeepLast(every_minutes=0), *twice)
    assert torch.load(last)["global_step"] == 7
