"""Which pictures are made, on any number of ranks, and that they change nothing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure

from callbacks import KLTerm, LogLikelihood, Pictures, PosteriorVariance
from datamodules import Grey, ImageDataModule, Images, Splits
from tests.ranks import ON_RANKS, trainer_of
from tests.small import SIZES, SmallImages, quiet_trainer, small_model
from zoo import MLP, CouplingFlow, FullGaussian, GaussianVAE, LatentVariableModel
from zoo.cli.runs import KeptCSV
from zoo.errors import ZooError

pytestmark = ON_RANKS

PNG = b"\x89PNG\r\n\x1a\n"
OF_IMAGES = {"samples", "reconstructions"}
OF_CODES = {"interpolations", "traversals", "latent_plane"}


def pictures(folder: Path) -> dict[str, bytes]:
    """The pictures of a folder, by their names."""
    found = {path.stem: path.read_bytes() for path in folder.glob("*.png")}
    assert all(content.startswith(PNG) for content in found.values())
    assert len(found) == len([path for path in folder.iterdir() if path.is_file()])  # and no half of one
    return found


def drawn(
    folder: Path, model: LatentVariableModel, *callbacks: pl.Callback, data: Any = None, ranks: int = 1
) -> dict[str, bytes]:
    trainer_of(ranks, folder, *callbacks).test(model, datamodule=data or SmallImages(), verbose=False)
    return pictures(folder / "pictures")


class Vectors(ImageDataModule):
    """Data that are no images."""

    x_shape = (20,)

    def load(self) -> Splits:
        return Splits(*(Images(torch.rand(n, 20)) for n in SIZES))


class Colours(ImageDataModule):
    """Images of three channels, with labels."""

    x_shape = (3, 5, 4)

    def load(self) -> Splits:
        return Splits(*(Images(torch.rand(n, *self.x_shape), torch.arange(n) % 3) for n in SIZES))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: small_model("bernoulli"), OF_IMAGES | OF_CODES),
        (lambda: small_model("iwae", latent_dim=2), OF_IMAGES | OF_CODES | {"decoded_grid"}),
        (lambda: small_model("iwae", latent_dim=1), OF_IMAGES | OF_CODES - {"latent_plane"}),
        (lambda: small_model("prior"), OF_IMAGES),
        (lambda: small_model("prior", latent_dim=2), OF_IMAGES | {"decoded_grid"}),
        (lambda: small_model("bernoulli", posterior=FullGaussian), OF_IMAGES | OF_CODES),
        (lambda: small_model("bernoulli", posterior=CouplingFlow, closed_form_kl=False), OF_IMAGES | OF_CODES),
    ],
)
def test_each_model_gets_what_it_has(
    tmp_path: Path,
    make: Callable[[], LatentVariableModel],
    expected: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: path.write_bytes(PNG))  # which takes the time
    assert drawn(tmp_path, make(), Pictures(threshold=0.0)).keys() == expected


def test_colours_are_drawn(tmp_path: Path) -> None:
    network = partial(MLP, hidden=[6])
    model = GaussianVAE(x_shape=(3, 5, 4), latent_dim=3, encoder=network, decoder=network)
    assert drawn(tmp_path, model, Pictures(threshold=0.0), data=Colours()).keys() == OF_IMAGES | OF_CODES


def test_vectors_have_no_images(tmp_path: Path) -> None:
    data, logger = Vectors(batch_size=5, pixels=Grey()), KeptCSV(tmp_path)
    model = small_model("gaussian", x_shape=(20,))
    trainer = quiet_trainer(tmp_path, KLTerm(), Pictures(), logger=logger, log_every_n_steps=2)
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    assert pictures(tmp_path / "pictures").keys() == {"latent_plane", "monitors", "curves"}


def test_where_no_unit_is_active_none_is_moved(tmp_path: Path) -> None:
    assert "traversals" not in drawn(tmp_path, small_model("bernoulli"), Pictures(threshold=1e9))


def test_one_image_is_enough(tmp_path: Path) -> None:
    found = drawn(tmp_path, small_model("bernoulli"), Pictures(n=1), data=SmallImages((23, 11, 1)))
    assert found.keys() == OF_IMAGES | {"latent_plane"}


@pytest.mark.parametrize("first", [True, False])
def test_other_monitors_are_drawn_whatever_their_place(tmp_path: Path, first: bool) -> None:
    others = [KLTerm(), PosteriorVariance(cut_k=3), LogLikelihood((1, 30))]
    callbacks = [Pictures(), *others] if first else [*others, Pictures()]
    assert "monitors" in drawn(tmp_path, small_model("bernoulli"), *callbacks)


def test_each_validation_has_a_folder(tmp_path: Path) -> None:
    watch = Pictures(n=3, stages=("val",), every_n_epochs=2, folder=str(tmp_path / "own"))
    trainer = quiet_trainer(tmp_path, watch, max_epochs=5, num_sanity_val_steps=1)
    model = small_model("iwae")
    trainer.fit(model, datamodule=SmallImages())
    trainer.test(model, datamodule=SmallImages(), verbose=False)
    folders = sorted(path.relative_to(tmp_path / "own") for path in (tmp_path / "own").rglob("*") if path.is_dir())
    assert list(map(str, folders)) == ["val", "val/epoch-0001-step-000010", "val/epoch-0003-step-000020"]
    assert pictures(tmp_path / "own" / folders[1]).keys() >= OF_IMAGES
    assert not list((tmp_path / "own").glob("*.png"))  # of the test


@pytest.mark.parametrize("name", ["bernoulli", "prior"])
def test_the_training_is_the_same_to_the_bit(tmp_path: Path, name: str) -> None:
    weights = []
    for watch in ([], [Pictures(n=2, stages=("val",), every_n_epochs=2)]):
        model = small_model(name)
        quiet_trainer(tmp_path, *watch, max_epochs=2).fit(model, datamodule=SmallImages())
        weights.append(model.state_dict())
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_the_generator_and_the_model_are_left_as_they_were(tmp_path: Path) -> None:
    model = small_model("bernoulli").train()
    state = torch.get_rng_state()
    drawn(tmp_path, model, Pictures())
    assert torch.equal(state, torch.get_rng_state())
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("name", "ranks"), [("bernoulli", 3), ("prior", 2)])
def test_ranks_draw_the_same_pictures(tmp_path: Path, name: str, ranks: int) -> None:
    found = [
        drawn(
            tmp_path / str(r),
            small_model(name),
            *(KLTerm(), PosteriorVariance(), LogLikelihood((1, 30)), Pictures(n=7, threshold=0.0)),
            data=SmallImages(eval_batch_size=batch),
            ranks=r,
        )
        for r, batch in ((1, 5), (ranks, 3))
    ]
    assert found[0] == found[1]
    assert found[0].keys() >= OF_IMAGES | {"monitors"}


@pytest.mark.parametrize("option", ["n", "every_n_epochs"])
def test_bad_options_are_refused(option: str) -> None:
    with pytest.raises(ZooError, match=f"{option} is 0"):
        Pictures(**{option: 0})
