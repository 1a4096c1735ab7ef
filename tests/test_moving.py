"""Compiled steps that move the weights too: what single steps of Adam make of weights, moments and counters."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR

from callbacks import Bundles, KeepLast, Stopped
from tests.plain_code import PlainCode, taken
from tests.small import SHAPE, SmallImages, quiet_trainer, small_model
from tests.test_bundles import Interrupts, Sets, averaging, freeze, run, same
from zoo import IWAE, MLP, FusedAdam, LatentVariableModel, compiling
from zoo.bundles import shares
from zoo.bundles.adam import PlainAdam
from zoo.bundles.moving import MovingStep, takes_over
from zoo.bundles.recorder import Recorder
from zoo.bundles.recording import RecordedStep


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "machine_code", taken)


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[MovingStep]:
    """The steps that compiled code made."""
    made: list[MovingStep] = []
    call = MovingStep.__call__

    def noted(self: MovingStep, x: Tensor, factors: Tensor) -> None:
        made.append(self)
        call(self, x, factors)

    monkeypatch.setattr(MovingStep, "__call__", noted)
    return made


def close(a: Any, b: Any) -> None:
    """The same counters, and the same tensors but for rounding."""
    torch.testing.assert_close(a[0], b[0], rtol=1e-10, atol=1e-12)
    assert same(a[1], b[1]), "the counters"
    assert a[2]["param_groups"] == b[2]["param_groups"] and a[2]["state"].keys() == b[2]["state"].keys()
    for own, other in zip(a[2]["state"].values(), b[2]["state"].values(), strict=True):
        assert torch.equal(own["step"], other["step"])
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-15)


def grouped() -> tuple[list[Tensor], FusedAdam]:
    """Parameters of two groups that are moved in different ways, after a step."""
    torch.manual_seed(1)
    parameters = [torch.randn(*size, requires_grad=True) for size in ((3, 2), (5,), (1, 7))]
    groups: list[Any] = [
        {"params": parameters[:2], "lr": 0.3, "weight_decay": 0.2},
        {"params": parameters[2:], "betas": (0.7, 0.95), "eps": 1e-3},
    ]
    optimizer = FusedAdam(groups, lr=0.01)
    sum((each**2).sum() for each in parameters).backward()  # pyright: ignore[reportAttributeAccessIssue]
    optimizer.step()
    return parameters, optimizer


def test_plain_operations_make_the_moves_of_adam() -> None:
    (fused, optimizer), (plain, own) = grouped(), grouped()
    adam = PlainAdam(own, plain)
    assert adam.possible and adam.counted == 1
    for t in range(2, 6):
        gradients = [torch.randn_like(each) for each in fused]
        for parameter, gradient in zip(fused, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        with torch.no_grad():
            adam.move(gradients, *adam.factors(t))
        for group in (*optimizer.param_groups, *own.param_groups):
            group["lr"] *= 0.9  # as a schedule does
    adam.count(4)
    torch.testing.assert_close(plain, fused, rtol=1e-13, atol=1e-13)
    for a, b in zip(fused, plain, strict=True):
        torch.testing.assert_close(own.state[b], optimizer.state[a], rtol=1e-13, atol=1e-15)


def hooked(parameters: list[Tensor], optimizer: FusedAdam) -> None:
    optimizer.register_step_pre_hook(lambda *_: None)


def maximises(parameters: list[Tensor], optimizer: FusedAdam) -> None:
    optimizer.param_groups[0]["maximize"] = True


def never_forgets(parameters: list[Tensor], optimizer: FusedAdam) -> None:
    optimizer.param_groups[1]["amsgrad"] = True


def moved_less(parameters: list[Tensor], optimizer: FusedAdam) -> None:
    optimizer.state[parameters[1]]["step"] -= 1


def never_moved(parameters: list[Tensor], optimizer: FusedAdam) -> None:
    del optimizer.state[parameters[2]]


@pytest.mark.parametrize("change", [hooked, maximises, never_forgets, moved_less, never_moved])
def test_where_adam_does_more_there_are_no_plain_operations(change: Callable[..., None]) -> None:
    parameters, optimizer = grouped()
    change(parameters, optimizer)
    assert not PlainAdam(optimizer, parameters).possible


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "iwae", "prior"])
def test_a_run_is_that_of_single_steps(tmp_path: Path, name: str, moves: list[MovingStep]) -> None:
    make = partial(small_model, name)
    close(run(tmp_path, make, Bundles(7, compile=True), in_bundles=True), run(tmp_path, make))
    assert len(moves) > 30 and len(set(map(id, moves))) == 1


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("n_steps", [2, 4, 11])
def test_which_steps_are_watched_changes_no_bit(tmp_path: Path, n_steps: int, moves: list[MovingStep]) -> None:
    make = partial(small_model, "iwae")
    assert same(*(run(tmp_path, make, Bundles(n, compile=True), in_bundles=True) for n in (20, n_steps)))
    assert moves


def grown() -> IWAE:
    """A model of a size at which compiled code is another for sums and products than for those of toys."""
    torch.manual_seed(2)
    return IWAE(
        x_shape=SHAPE, latent_dim=7, k=9, encoder=partial(MLP, hidden=[160]), decoder=partial(MLP, hidden=[160])
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2])
def test_nor_does_it_where_the_compiler_is_torchs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: list[MovingStep], n: int
) -> None:
    monkeypatch.setattr(shares, "shares", lambda step, x: n)
    torch.set_default_dtype(torch.float32)
    ways = (run(tmp_path, grown, Bundles(m, compile=True), in_bundles=True, batch_size=8) for m in (20, 3))
    assert same(*ways)
    assert {each._compiled.n for each in moves} == {n}


def turned() -> LatentVariableModel:
    """A model of which matrices lie in memory column by column."""
    model = small_model("iwae")
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data = parameter.data.t().contiguous().t()
    return model


@pytest.mark.usefixtures("compiled")
def test_weights_may_lie_in_memory_in_any_order(tmp_path: Path, moves: list[MovingStep]) -> None:
    close(run(tmp_path, turned, Bundles(7, compile=True), in_bundles=True), run(tmp_path, turned))
    assert moves


def test_an_optimiser_is_given_back_as_it_was() -> None:
    _, optimizer = grouped()
    moved: list[Any] = []
    undo = takes_over(optimizer, moved.append)
    assert "step" in vars(optimizer) and optimizer.step(lambda: 2.5) == 2.5
    assert len(moved) == 1
    undo()
    assert "step" not in vars(optimizer)


def decay(model: Any, epoch: int) -> None:
    model.trainer.optimizers[0].param_groups[0]["weight_decay"] = 0.1 * epoch


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("change", [decay, freeze])
def test_what_changes_between_epochs_holds_at_once(
    tmp_path: Path, moves: list[MovingStep], change: Callable[[Any, int], None]
) -> None:
    make = partial(small_model, "bernoulli")
    close(run(tmp_path, make, Bundles(compile=True), Sets(change), in_bundles=True), run(tmp_path, make, Sets(change)))
    assert moves


@pytest.mark.usefixtures("compiled")
def test_a_schedule_goes_by_the_step(tmp_path: Path, moves: list[MovingStep]) -> None:
    make = partial(small_model, "bernoulli", scheduler=partial(ExponentialLR, gamma=0.9), scheduler_interval="step")
    close(run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make))
    assert moves


@pytest.mark.usefixtures("compiled")
def test_so_does_one_of_the_momentum(tmp_path: Path, moves: list[MovingStep]) -> None:
    schedule = partial(OneCycleLR, max_lr=0.02, total_steps=100)
    make = partial(small_model, "bernoulli", scheduler=schedule, scheduler_interval="step")
    close(run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make))
    assert moves


class TwoSizes(SmallImages):
    """Batches of two sizes, one after the other."""

    def train_dataloader(self) -> Any:
        x, sizes = torch.rand(83, *SHAPE, generator=torch.Generator().manual_seed(4)).round(), [7, 7, 7, 4, 7, 7, 3, 7]
        return torch.utils.data.DataLoader([*x[: sum(sizes)].split(sizes)], batch_size=None)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch if isinstance(batch, Tensor) else super().on_after_batch_transfer(batch, dataloader_idx)


@pytest.mark.usefixtures("compiled")
def test_a_batch_of_another_size_within_a_bundle_is_counted(tmp_path: Path, moves: list[MovingStep]) -> None:
    make = partial(small_model, "iwae")
    close(*(run(tmp_path, make, *own, in_bundles=bool(own), data=TwoSizes) for own in ([Bundles(compile=True)], [])))
    assert moves


class ByHand:
    """A model, Adam and a batch, without a trainer."""

    def __init__(self) -> None:
        self.model, self.x = small_model("iwae"), torch.rand(6, *SHAPE).round()
        self.parameters = [*self.model.parameters()]
        self.optimizer = FusedAdam(self.parameters, lr=0.01)
        self.differentiate(0)
        self.optimizer.move()

    def differentiate(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.model.zero_grad()
        self.model.loss(self.x).backward()

    def moving(self) -> MovingStep:
        step = RecordedStep(self.model, self.x)
        shares.compile_step(step, self.x)
        return MovingStep(step, self.optimizer, self.x)


@pytest.mark.usefixtures("compiled")
def test_moves_by_others_are_counted() -> None:
    def moved(by_code: set[int]) -> list[Tensor]:
        torch.manual_seed(8)
        own = ByHand()
        moving = own.moving()
        for seed in range(1, 5):
            own.differentiate(seed)
            (moving.by_gradients if seed in by_code else own.optimizer.move)()
        return own.parameters

    torch.testing.assert_close(moved({1, 3, 4}), moved(set()), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("compiled")
def test_where_adam_moves_by_itself_it_knows_all_moves_before() -> None:
    own, counts = ByHand(), []
    recorder = Recorder(own.model, calls=9)
    recorder.moving = own.moving()
    for move in recorder.moving.moves(3):
        move(own.x)
    own.parameters[0].grad = None  # which the code has a gradient for
    recorder.move(lambda: counts.append(int(own.optimizer.state[own.parameters[1]]["step"])))
    assert counts == [4]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("at", [3, 16, 30])
def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path, moves: list[MovingStep], at: int) -> None:
    def fit(folder: Path, at: int, **resumed: Any) -> dict[str, Tensor]:
        pl.seed_everything(5, verbose=False)
        model, data = small_model("iwae"), Interrupts(sizes=(83, 11, 13))
        data.at = at
        trainer = quiet_trainer(folder, Bundles(n_steps=7, compile=True), KeepLast(), log_every_n_steps=9)
        trainer.fit(model, datamodule=data, **resumed)
        return model.state_dict()

    with pytest.raises(Stopped) as stopped:
        fit(tmp_path / "a", at)
    went_on = fit(tmp_path / "a", -1, ckpt_path=stopped.value.checkpoint, weights_only=True)
    assert same(went_on, fit(tmp_path / "b", -1)) and moves


class MovesTooFar(PlainCode):
    """Has a learning rate that is a hundredth larger."""

    def __call__(self, *inputs: Tensor) -> Any:
        further = torch.tensor([[1.01, 1.0, 1.0, 1.0, 1.0]])
        return super().__call__(*(each * further if each.shape == (1, 5) else each for each in inputs))


class Stands(PlainCode):
    """Does not move."""

    def __call__(self, *inputs: Tensor) -> Any:
        return inputs[0] if inputs[0].shape == (1, 5) else super().__call__(*inputs)


@pytest.mark.parametrize("code", [MovesTooFar, Stands])
def test_one_that_moves_otherwise_is_not_used(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, moves: list[MovingStep], code: type[PlainCode]
) -> None:
    monkeypatch.setattr(compiling, "machine_code", lambda graph, inputs, threads: code(graph, inputs))
    make = partial(small_model, "iwae")
    close(run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make))
    assert "Adam's move are compiled apart, since" in capsys.readouterr().out and not moves


def test_where_only_the_step_can_be_compiled_it_is(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, moves: list[MovingStep]
) -> None:
    def fails(graph: Any, inputs: Any, threads: int) -> PlainCode:
        if inputs[0].shape == (1, 5):
            raise RuntimeError("too much to compile")
        return taken(graph, inputs, threads)

    monkeypatch.setattr(compiling, "machine_code", fails)
    make = partial(small_model, "iwae")
    close(run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make))
    assert "compiled apart" in capsys.readouterr().out and not moves


@pytest.mark.usefixtures("compiled")
def test_another_optimiser_moves_by_itself(tmp_path: Path, capsys: Any, moves: list[MovingStep]) -> None:
    make = partial(small_model, "iwae", optimizer=partial(torch.optim.SGD, lr=0.01))
    found, expected = run(tmp_path, make, Bundles(compile=True), in_bundles=True), run(tmp_path, make)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-10, atol=1e-12)
    assert not moves and "note" not in capsys.readouterr().out


@pytest.mark.usefixtures("compiled")
def test_a_running_average_counts_each_batch_once(tmp_path: Path, moves: list[MovingStep]) -> None:
    close(run(tmp_path, averaging, Bundles(compile=True), in_bundles=True), run(tmp_path, averaging))
    assert moves
