"""Checkpoints: a model comes back as it was, and a file that is none is refused in one sentence and runs nothing."""

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

import zoo
from tests.small import MODELS, SHAPE, SmallImages, quiet_trainer, small_model
from zoo import IWAE, MLP, Draw, FixedVariance, FusedAdam, GaussianVAE, LatentVariableModel
from zoo.errors import ZooError
from zoo.networks import Shape
from zoo.runs import WholeCheckpoints


class Mine(LatentVariableModel):
    """A user's own model, with an argument of its own."""

    def __init__(self, tilt: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tilt = tilt

    def objective(self, draw: Draw) -> Tensor:
        return draw.log_w.mean(0) * (1 + self.tilt)


def wide(in_shape: Shape, out_shape: Shape, hidden: int = 5) -> MLP:
    """A user's own factory, a function."""
    return MLP(in_shape, out_shape, hidden=[hidden])


SMALL = {"x_shape": SHAPE, "latent_dim": 3}
RELU = partial(MLP, hidden=[4], activation=nn.ReLU)
OWN: dict[str, Callable[[], LatentVariableModel]] = {
    **{name: partial(small_model, name) for name in MODELS},
    "own parts": partial(
        GaussianVAE,
        **SMALL,
        variance=partial(FixedVariance, value=0.3),
        encoder=RELU,
        decoder=partial(wide, hidden=6),
        optimizer=partial(FusedAdam, lr=0.01, betas=(0.8, 0.9)),
        scheduler=partial(zoo.BurdaSchedule, length=2.0),
        scheduler_interval="step",
    ),
    "own class": partial(Mine, **SMALL, tilt=0.5, encoder=wide, decoder=RELU),
}


@pytest.fixture
def trained(tmp_path: Path) -> Callable[[LatentVariableModel], Path]:
    """Trains a model for two steps, so that its weights are not those it was made with, and saves it."""

    def save(model: pl.LightningModule) -> Path:
        trainer = quiet_trainer(tmp_path, max_steps=2)
        trainer.fit(model, datamodule=SmallImages())
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return save


@pytest.mark.parametrize("name", OWN)
def test_a_model_comes_back(trained: Any, name: str) -> None:
    model = OWN[name]()
    path = trained(model)
    again = zoo.load(path)
    assert type(again) is type(model)
    assert not again.training
    assert str(again) == str(model.eval())  # the widths, activations and likelihoods
    assert again.hparams == model.hparams
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    x = SmallImages().splits.test.images / 255.0
    assert torch.equal(again.log_likelihood(x, 4), model.log_likelihood(x, 4))
    with path.open("rb") as file:
        assert torch.equal(zoo.load(file).log_likelihood(x, 4), model.log_likelihood(x, 4))


def test_a_models_own_parts_come_back() -> None:
    """What no weight shows."""
    model, checkpoint = OWN["own parts"](), {"state_dict": {}, "global_step": 0}
    model.on_save_checkpoint(checkpoint)
    again = GaussianVAE(**zoo.checkpoints.from_plain({k: v for k, v in model.hparams.items()}))
    optimizer, schedule = again.configure_optimizers().values()
    assert isinstance(optimizer, FusedAdam)
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert tuple(optimizer.param_groups[0]["betas"]) == (0.8, 0.9)
    assert schedule["scheduler"].length == 2
    assert schedule["interval"] == "step"
    assert again.report()["variance"] == pytest.approx(0.3)
    own = OWN["own class"]()
    assert Mine(**zoo.checkpoints.from_plain(dict(own.hparams))).tilt == 0.5


@pytest.mark.parametrize("loader", [IWAE, LatentVariableModel, pl.LightningModule])
def test_lightnings_own_way_loads_it_too(trained: Any, loader: type[pl.LightningModule]) -> None:
    model = small_model("iwae")
    again = loader.load_from_checkpoint(trained(model), weights_only=True)
    assert type(again) is IWAE
    assert again.k == 3
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())


class Bomb:
    """What a hostile file does where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["BOMB"],)


def test_a_checkpoint_runs_no_code(tmp_path: Path, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, crater = trained(small_model("iwae")), tmp_path / "crater"
    monkeypatch.setenv("BOMB", str(crater))
    checkpoint = torch.load(path)
    torch.save(checkpoint | {"bomb": Bomb()}, path)
    with pytest.raises(ZooError, match="is not a checkpoint of a model of this zoo"):
        zoo.load(path)
    assert not crater.exists()
    torch.load(path, weights_only=False)
    assert crater.exists(), "the bomb is a dud: the test above says nothing"


@pytest.mark.parametrize("where", ["model", "part"])
def test_a_checkpoint_imports_nothing(
    tmp_path: Path, trained: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    name, crater = f"hostile_{where}", tmp_path / "crater"
    (tmp_path / f"{name}.py").write_text(
        f"import pathlib\nfrom zoo import IWAE as Thing\npathlib.Path({str(crater)!r}).mkdir()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = trained(small_model("iwae"))
    checkpoint = torch.load(path)
    if where == "model":
        checkpoint["hyper_parameters"]["_class_path"] = f"{name}.Thing"
    else:
        checkpoint["hyper_parameters"]["encoder"]["class_path"] = f"{name}.Thing"
    torch.save(checkpoint, path)
    with pytest.raises(ZooError, match=rf"names {name}\.Thing, which has not been imported.* import or define it"):
        zoo.load(path)
    assert name not in sys.modules
    assert not crater.exists()
    importlib.import_module(name)
    assert crater.exists()  # it could have been imported
    del sys.modules[name]


class Foreign(pl.LightningModule):
    """Another project's module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(20, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.layer(batch.x.flatten(1)).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_files_of_something_else_are_refused(tmp_path: Path, trained: Any) -> None:
    model = small_model("iwae")
    whole = trained(model).read_bytes()
    foreign = trained(Foreign()).read_bytes()
    (tmp_path / "foreign.ckpt").write_bytes(foreign)
    torch.save(model.state_dict(), tmp_path / "weights.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    torch.save({"hyper_parameters": {"_class_path": "zoo.IWAE"}}, tmp_path / "half.ckpt")
    (tmp_path / "empty.ckpt").touch()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "folder.ckpt").mkdir()
    names = ("foreign", "weights", "list", "half", "empty", "cut", "text", "folder", "missing")
    for path in (tmp_path / f"{name}.ckpt" for name in names):
        with pytest.raises(ZooError) as refusal:
            zoo.load(path)
        sentence = str(refusal.value)
        assert str(path) in sentence
        assert sentence.endswith(".") and "\n" not in sentence


def test_a_class_that_is_no_model_is_refused(tmp_path: Path, trained: Any) -> None:
    path = trained(small_model("iwae"))
    checkpoint = torch.load(path)
    for thing, sentence in (("os.system", "not a model of this zoo"), ("zoo.Nothing", "has not been imported")):
        checkpoint["hyper_parameters"]["_class_path"] = thing
        torch.save(checkpoint, path)
        with pytest.raises(ZooError, match=sentence):
            zoo.load(path)


def local(in_shape: Shape, out_shape: Shape) -> Any:
    def inner(in_shape: Shape, out_shape: Shape) -> MLP:
        return MLP(in_shape, out_shape)

    return inner


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (lambda n_in, n_out: MLP(n_in, n_out), r"encoder is <lambda>, which cannot be found again .* give it a name"),
        (local(SHAPE, SHAPE), r"encoder is local.<locals>.inner, which cannot be found again"),
        (MLP(SHAPE, (2, 3)), r"encoder is a MLP, which cannot be written .* pass a class, or functools.partial"),
        (partial(wide, SHAPE), r"encoder is a functools.partial with unnamed arguments: name them"),
        (partial(MLP, activation=lambda: nn.ReLU()), r"encoder is <lambda>, which cannot be found again"),
    ],
)
def test_parts_that_cannot_be_saved_are_refused_when_a_model_is_made(part: Any, sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        IWAE(**SMALL, encoder=part)


def test_a_save_that_is_interrupted_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a second Ctrl-C, with half of the file on the disk."""
    path, save = tmp_path / "checkpoints" / "last.ckpt", torch.save

    def interrupted(checkpoint: Any, path: Path) -> None:
        save(checkpoint, path)
        path.write_bytes(path.read_bytes()[:100])
        raise KeyboardInterrupt

    WholeCheckpoints().save_checkpoint({"saved": 1}, path)
    monkeypatch.setattr(torch, "save", interrupted)
    for target in (path, tmp_path / "new" / "first.ckpt"):
        with pytest.raises(KeyboardInterrupt):
            WholeCheckpoints().save_checkpoint({"saved": 2}, target)
    assert torch.load(path) == {"saved": 1}
    assert not list(tmp_path.rglob("first.ckpt"))
