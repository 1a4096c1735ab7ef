"""What the pixels are, how they are drawn, and how they are named on a command line."""

import math
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningCLI
from torch import Generator, Tensor

from datamodules import (
    Binary,
    DataError,
    Dequantised,
    Dynamic,
    Grey,
    ImageDataModule,
    Images,
    LinearGaussian,
    MNIST5k,
    Pixels,
    Static,
    Threshold,
)
from datamodules import intensity as intensity_of

GREYS = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def frozen(pixels: Pixels, images: Tensor, seed: int = 3) -> Tensor:
    return pixels.freeze(images, Generator().manual_seed(seed))


def test_intensities_lie_between_0_and_1_and_floats_are_kept() -> None:
    assert intensity_of(GREYS).dtype == torch.float32
    assert intensity_of(GREYS).aminmax() == (0, 1)
    floats = torch.tensor([-2.0, 3.0], dtype=torch.float64)
    assert intensity_of(floats) is floats


def test_grey_keeps_everything() -> None:
    assert frozen(Grey(), GREYS) is GREYS


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("images", [GREYS, GREYS.double() / 255])
def test_threshold_divides_at_its_level(level: float, images: Tensor) -> None:
    expected = (GREYS.double() / 255 > level) * 255
    assert torch.equal(frozen(Threshold(level), images), expected.to(torch.uint8))


@pytest.mark.parametrize("level", [-0.1, 1.0, float("nan")])
def test_threshold_refuses_a_level_that_no_pixel_or_every_pixel_passes(level: float) -> None:
    with pytest.raises(DataError, match=r"level=.*give a level in \[0, 1\)"):
        Threshold(level)


@pytest.mark.parametrize("pixels", [Static(), Dynamic()])
def test_draws_are_binary_follow_the_intensity_and_the_seed(pixels: Pixels) -> None:
    images = GREYS.expand(4000, 1, 16, 16)
    drawn = frozen(pixels, images)
    assert drawn.dtype == torch.uint8
    assert drawn.unique().tolist() == [0, 255]
    error = (drawn.double() / 255).mean(0) - GREYS[0].double() / 255
    assert error.abs().max() < 5 * 0.5 / 4000**0.5
    assert torch.equal(drawn, frozen(pixels, images))
    assert not torch.equal(drawn, frozen(pixels, images, seed=4))
    assert not drawn[:, 0, 0, 0].any()
    assert drawn[:, 0, -1, -1].all()


def test_draws_do_not_depend_on_the_default_dtype() -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float32)
        single = frozen(Static(), GREYS)
        torch.set_default_dtype(torch.float64)
        assert torch.equal(single, frozen(Static(), GREYS))
    finally:
        torch.set_default_dtype(before)


def test_dequantised_levels_fill_their_intervals_evenly() -> None:
    n = 4000
    images = GREYS.expand(n, 1, 16, 16)
    x = frozen(Dequantised(), images)
    assert x.dtype == torch.float32  # whatever the default dtype
    assert torch.equal((x.double() * 256).floor().to(torch.uint8), images)  # none is rounded up to the next level
    u = x.double() * 256 - images
    assert abs(u.mean() - 1 / 2) < 5 / (12 * u.numel()) ** 0.5
    assert abs(u.var() - 1 / 12) < 5 * (1 / 180 / u.numel()) ** 0.5
    assert torch.equal(x, frozen(Dequantised(), images))
    assert not torch.equal(x, frozen(Dequantised(), images, seed=4))


def test_the_whitest_dequantised_pixel_is_below_1() -> None:
    white = torch.full((2**20,), 255, dtype=torch.uint8)
    x = frozen(Dequantised(), white)
    assert 1 - 2**-22 < x.max() < 1


def test_a_density_of_dequantised_pixels_bounds_the_probability_of_the_image() -> None:
    """For p(x) constant on every interval the bound is tight: log P(i) = log p(x) - D log 256."""
    probability = torch.rand(256, dtype=torch.float64)
    probability /= probability.sum()
    levels = torch.randint(256, (7, 3), dtype=torch.uint8)
    x = frozen(Dequantised(), levels).double()
    log_density = (256 * probability[(256 * x).long()]).log().sum(-1)
    expected = probability[levels.long()].log().sum(-1)
    torch.testing.assert_close(log_density - 3 * math.log(Dequantised.levels or 0), expected)


def test_binary_pixels_are_kept() -> None:
    images = (GREYS > 99).to(torch.uint8) * 255
    assert frozen(Binary(), images) is images
    for stored in (images, images / 255, images > 0):
        assert Binary().refusal(Images(stored)) is None


@pytest.mark.parametrize(
    ("pixels", "stored", "message"),
    [
        (Binary(), GREYS, "holds values beside 0 and 255, so its pixels are not binary yet: choose Threshold"),
        (Binary(), torch.tensor([[0.0, 0.3]]), "holds values beside 0 and 1"),
        (Dequantised(), torch.tensor([[0, 1]]).double(), "holds torch.float64 values, and only uint8 images"),
        (Dequantised(), torch.tensor([[True]]), "holds torch.bool values, and only uint8 images"),
        (Static(), torch.tensor([[0.5, 1.5], [0.2, 0.3]]), "holds values from 0.2 to 1.5, which static pixels"),
    ],
)
def test_pixels_refuse_what_they_cannot_be_made_of(pixels: Pixels, stored: Tensor, message: str) -> None:
    refusal = pixels.refusal(Images(stored))
    assert refusal is not None
    assert refusal.startswith(message)


def test_values_in_every_piece_of_a_split_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.records.PIECE", 2)
    bad = Images(torch.tensor([[0.0], [0.5], [1.0], [0.0], [2.0]]))
    refusal = Static().refusal(bad)
    assert refusal is not None
    assert "from 0 to 2" in refusal
    assert Static().refusal(bad.choose(torch.tensor([3, 1]))) is None
    assert Binary().refusal(bad.choose(torch.tensor([3, 2, 1]))) is not None
    assert Binary().refusal(bad.choose(torch.tensor([3, 2, 0]))) is None


def test_every_kind_says_what_it_is() -> None:
    kinds = (Grey, Dequantised, Binary, Threshold, Static, Dynamic)
    names = ["grey", "dequantised", "binary", "threshold", "static", "dynamic"]
    assert [kind.name for kind in kinds] == names
    assert [kind.name for kind in kinds if kind.binary] == ["binary", "threshold", "static", "dynamic"]
    assert [kind.name for kind in kinds if kind.anew] == ["dequantised", "dynamic"]
    assert [kind.name for kind in kinds if kind.as_stored] == ["grey", "binary"]
    assert {kind.name: kind.levels for kind in kinds if kind.levels} == {"dequantised": 256}


@pytest.fixture(autouse=True)
def a_bare_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # Lightning 2.6 calls jsonargparse in a way that 4.53 deprecates.
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    monkeypatch.setattr("sys.argv", ["zoo"])


def parsed(*args: str) -> ImageDataModule:
    cli = LightningCLI(
        pl.LightningModule,
        ImageDataModule,
        subclass_mode_data=True,
        run=False,
        seed_everything_default=False,
        save_config_callback=None,
        trainer_defaults={"accelerator": "cpu", "logger": False, "enable_checkpointing": False},
        args=list(args),
    )
    return cli.datamodule


def test_a_command_line_names_pixels_by_their_class() -> None:
    assert isinstance(parsed("--data=MNIST5k").pixels, Dynamic)
    assert isinstance(parsed("--data=MNIST5k", "--data.pixels=Grey").pixels, Grey)
    threshold = parsed("--data=MNIST5k", "--data.pixels=Threshold", "--data.pixels.level=0.3").pixels
    assert isinstance(threshold, Threshold)
    assert threshold.level == 0.3


def test_a_config_file_names_pixels_with_their_arguments(tmp_path: Path) -> None:
    config = tmp_path / "data.yaml"
    config.write_text(
        "data: {class_path: MNIST5k, init_args: {pixels: {class_path: Threshold, init_args: {level: 0.3}}}}"
    )
    data = parsed(f"--config={config}", "--data.batch_size=7")
    assert isinstance(data, MNIST5k)
    assert isinstance(data.pixels, Threshold)
    assert (data.pixels.level, data.batch_size) == (0.3, 7)


def test_linear_gaussian_data_have_no_pixels_to_choose() -> None:
    assert isinstance(parsed("--data=LinearGaussian").pixels, Grey)
    with pytest.raises(TypeError, match="pixels"):
        LinearGaussian(pixels=Dynamic())  # type: ignore[call-arg]
