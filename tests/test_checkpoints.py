"""Checkpoints: a model comes back as it was, and a save that is interrupted spoils nothing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

import zoo
from tests.small import LATENT, MODELS, SHAPE, SmallImages, save_trained, small_model
from zoo import IWAE, MLP, Draw, FixedVariance, FusedAdam, GaussianVAE, LatentVariableModel
from zoo.cli.runs import WholeCheckpoints
from zoo.networks import Shape


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


SMALL = {"x_shape": SHAPE, "latent_dim": LATENT}
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
def trained(tmp_path: Path) -> Callable[[pl.LightningModule], Path]:
    return lambda model: save_trained(model, tmp_path)


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


@pytest.mark.parametrize("loader", [IWAE, pl.LightningModule])
def test_lightnings_own_way_loads_it_too(trained: Any, loader: type[pl.LightningModule]) -> None:
    model = small_model("iwae")
    again = loader.load_from_checkpoint(trained(model), weights_only=True)
    assert type(again) is IWAE
    assert again.k == 3
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())


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
