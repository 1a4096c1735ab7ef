"""The mean, the variance and the examples that a model is started from: of training data, as the model sees them."""

import pytest
import torch
from torch import Generator, Tensor

from datamodules import Binary, Dequantised, Dynamic, Grey, ImageDataModule, Images, Pixels, Splits, Static, Threshold
from datamodules.statistics import moments_of
from tests.linear import same
from tests.toy import Given, Toy

pytestmark = pytest.mark.usefixtures("own_place")

LEVELS = torch.randint(256, (37, 1, 3, 2), dtype=torch.uint8, generator=Generator().manual_seed(1))
BLACK = torch.zeros_like(LEVELS)
KINDS: list[Pixels] = [Grey(), Dequantised(), Threshold(), Static(), Dynamic()]


def given(images: Tensor, pixels: Pixels) -> ImageDataModule:
    """Training images beside others that must not count."""
    return Given(Images(images), Images(BLACK), pixels=pixels)


def seen(data: ImageDataModule, draws: int) -> Tensor:
    """The training examples as a model sees them, over and over, (draws, N, *x_shape)."""
    images = data.splits.train.images
    if not data.pixels.anew:
        return images[None].double() / 255
    drawn = (data.pixels.freeze(images, Generator().manual_seed(100 + i)) for i in range(draws))
    return torch.stack([x.double() / 255 if x.dtype == torch.uint8 else x.double() for x in drawn])


@pytest.mark.parametrize("pixels", KINDS)
def test_mean_and_variance_are_those_of_what_a_model_sees(pixels: Pixels) -> None:
    data = given(LEVELS, pixels)
    x = seen(data, draws=2000).flatten(0, 1)
    assert data.mean().shape == data.variance().shape == data.x_shape
    noise = 5 / len(x) ** 0.5 if pixels.anew else 1e-7
    same(data.mean(), x.mean(0), noise * 0.5)
    same(data.variance(), x.var(0, correction=0), noise * 0.5)


def test_the_moments_of_dequantised_pixels_are_exact() -> None:
    data, levels = given(LEVELS, Dequantised()), LEVELS.double()
    same(data.mean(), (levels.mean(0) + 0.5) / 256, 1e-7)  # of intensities in float32
    same(data.variance(), levels.var(0, correction=0) / 256**2 + 1 / 12 / 256**2, 1e-7)


def test_the_variance_of_pixels_drawn_anew_is_that_of_a_coin() -> None:
    mean = LEVELS.double().mean(0) / 255
    same(given(LEVELS, Dynamic()).variance(), mean * (1 - mean), 1e-7)


@pytest.mark.parametrize("kind", ["all", "some"])
def test_moments_do_not_depend_on_the_pieces_they_are_summed_in(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(29, 5, 2) + 1e6  # far from zero, where a sum of squares would lose its digits
    part = Images(x) if kind == "all" else Images(x).choose(torch.randperm(29)[:17])
    for pixels in (1, 30, 10_000):
        monkeypatch.setattr("datamodules.records.PIECE", pixels)
        mean, variance = moments_of(part)
        same(mean, part.images.mean(0), 1e-8)
        same(variance, part.images.var(0, correction=0), 1e-8)


def test_a_pixel_that_never_changes_has_no_variance() -> None:
    assert not given(torch.full_like(LEVELS, 77), Grey()).variance().any()


@pytest.mark.parametrize("pixels", KINDS)
def test_examples_are_training_images_as_a_model_sees_them(pixels: Pixels) -> None:
    data = given(LEVELS, pixels)
    x = data.examples(11)
    assert x.shape == (11, *data.x_shape)
    assert x.dtype == torch.get_default_dtype()
    if pixels.binary:
        assert x.unique().tolist() == [0, 1]
    stored = {tuple(image) for image in data.splits.train.images.flatten(1).tolist()}
    if isinstance(pixels, Grey):
        assert {tuple(image) for image in (x * 255).round().flatten(1).tolist()} <= stored
    if isinstance(pixels, Dequantised):
        assert {tuple(image) for image in (x * 256).floor().flatten(1).tolist()} <= stored


def test_examples_are_the_same_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Toy(pixels=Dynamic()).examples(7)
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    torch.manual_seed(99)
    data = Toy(pixels=Dynamic())
    assert torch.equal(data.examples(7), first)
    data.setup("fit")
    next(iter(data.train_dataloader()))
    assert torch.equal(data.examples(7), first)


def test_examples_differ_until_there_are_no_more_and_then_come_round_again() -> None:
    class Numbered(ImageDataModule):
        x_shape = (1,)
        default_pixels = Grey

        def load(self) -> Splits:
            x = torch.arange(11.0)[:, None]
            return Splits(Images(x), Images(x[:0]), Images(-x))

    x = Numbered().examples(25)[:, 0]
    assert sorted(x[:11].tolist()) == sorted(x[11:22].tolist()) == list(range(11))
    assert torch.equal(x[:11], x[11:22])
    assert torch.equal(Numbered().examples(3)[:, 0], x[:3])


def test_frozen_pixels_do_not_depend_on_the_pieces_they_are_drawn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for pixels in KINDS:
        whole = given(LEVELS, pixels).splits
        with monkeypatch.context() as patch:
            patch.setattr("datamodules.records.PIECE", 20)
            for part, expected in zip(given(LEVELS, pixels).splits, whole, strict=True):
                assert torch.equal(part.images, expected.images)


def test_pixels_that_stand_for_levels_say_so() -> None:
    assert Toy(pixels=Dequantised()).pixels_levels == 256
    assert Toy(pixels=Binary()).pixels_levels is None
