"""A file that is no checkpoint of the zoo is refused in one sentence, runs nothing and imports nothing."""

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
from tests.small import LATENT, SHAPE, save_trained, small_model
from zoo import IWAE, MLP
from zoo.errors import ZooError
from zoo.networks import Shape


@pytest.fixture
def trained(tmp_path: Path) -> Callable[[pl.LightningModule], Path]:
    return lambda model: save_trained(model, tmp_path)


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

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Without it Lightning warns of validation data."""

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
        (partial(MLP, SHAPE), r"encoder is a functools.partial with unnamed arguments: name them"),
        (partial(MLP, activation=lambda: nn.ReLU()), r"encoder is <lambda>, which cannot be found again"),
    ],
)
def test_parts_that_cannot_be_saved_are_refused_when_a_model_is_made(part: Any, sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        IWAE(x_shape=SHAPE, latent_dim=LATENT, encoder=part)
