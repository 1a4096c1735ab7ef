"""Batches of the data modules, and the data that are refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules import (
    Binary,
    DataError,
    Dequantised,
    Dynamic,
    Grey,
    ImageDataModule,
    Images,
    LinearGaussian,
    Static,
    Stored,
    Threshold,
)
from tests.toy import Given, Toy, batches_of

pytestmark = pytest.mark.usefixtures("own_place")


def test_a_batch_is_scaled_to_the_default_dtype() -> None:
    data = Toy(batch_size=4)
    data.setup("fit")
    stored = next(iter(data.train_dataloader()))
    batch = data.on_after_batch_transfer(stored, 0)
    assert batch.x.shape == (4, 1, 3, 2)
    assert batch.x.dtype == torch.get_default_dtype()
    assert batch.y.dtype == torch.int64
    torch.testing.assert_close(batch.x * 255, stored.images.to(batch.x.dtype))


def test_data_without_labels_have_labels_of_minus_one() -> None:
    data = LinearGaussian(batch_size=7, n_train=11)
    data.setup("fit")
    last = batches_of(data, data.train_dataloader())[-1]
    assert last.x.shape == (4, 5)
    assert last.y.tolist() == [-1] * 4


def test_dynamic_pixels_are_a_function_of_the_noise_seed() -> None:
    data = Toy(pixels=Dynamic())
    images = torch.full((5, 1, 3, 2), 128, dtype=torch.uint8)

    def drawn(noise_seed: int) -> Tensor:
        return data.on_after_batch_transfer(Stored(images, None, noise_seed), 0).x

    assert drawn(8).unique().tolist() == [0, 1]
    assert torch.equal(drawn(8), drawn(8))
    assert not torch.equal(drawn(8), drawn(9))
    torch.testing.assert_close(drawn(0), images.to(drawn(0).dtype) / 255)  # 0: drawn already


def test_dynamic_pixels_differ_between_epochs_and_static_ones_do_not() -> None:
    def epochs(data: ImageDataModule) -> list[Tensor]:
        data.setup("fit")
        passes = [next(iter(batches_of(data, data.train_dataloader()))) for _ in range(2)]
        return [batch.x[batch.y.argsort()] for batch in passes]

    assert not torch.equal(*epochs(Toy(pixels=Dynamic())))
    assert torch.equal(*epochs(Toy(pixels=Static())))


def test_evaluation_pixels_are_drawn_once_whatever_the_run_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluated(**options: Any) -> tuple[Tensor, Tensor]:
        data = Toy(**options)
        data.setup("fit")
        first = data.splits
        data.setup("test")
        assert data.splits is first
        return data.splits.val.images, data.splits.test.images

    val, test = evaluated(pixels=Dynamic())
    assert val.unique().tolist() == test.unique().tolist() == [0, 255]
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    torch.manual_seed(99)
    for pixels in (Dynamic(), Static()):
        assert all(map(torch.equal, evaluated(pixels=pixels), (val, test)))
    assert not torch.equal(evaluated(pixels=Dynamic(), pixel_seed=778)[1], test)


def test_splits_of_equal_images_are_drawn_by_different_seeds() -> None:
    grey = Images(torch.full((9, 1, 3, 2), 128, dtype=torch.uint8))
    train, _, test = Given(grey, grey, pixels=Static()).splits
    assert not torch.equal(train.images, test.images)


@pytest.mark.parametrize("pixels", [Grey(), Dynamic(), Static(), Threshold()])
def test_the_mean_is_that_of_the_training_pixels(pixels: Any) -> None:
    data = Toy(pixels=pixels)
    assert data.mean().shape == data.x_shape
    seen = data.splits.train.images.double() / 255
    torch.testing.assert_close(data.mean().double(), seen.mean(0))
    assert (data.splits.train.images.unique().numel() == 2) == (pixels.binary and not pixels.anew)


def test_a_data_module_describes_itself() -> None:
    assert Toy(pixels=Dynamic()).description == "Toy, dynamic pixels, 11/5/7"
    assert LinearGaussian().description == "LinearGaussian, real pixels, 1000/201/203"


def test_training_batches_need_a_setup() -> None:
    with pytest.raises(DataError, match=r'call setup\("fit"\) first'):
        Toy().train_dataloader()


GOOD = torch.zeros(4, 1, 3, 2)
BAD: list[tuple[Images, type, str]] = [
    (Images(GOOD[:0]), Grey, "train split is empty.*change the split sizes"),
    (Images(GOOD.flatten(1)), Grey, r"shape \(4, 6\); expected \(N, 1, 3, 2\)"),
    (Images(GOOD.long()), Grey, "dtype torch.int64; expected uint8"),
    (Images(GOOD.to(torch.complex64)), Grey, "dtype torch.complex64; expected uint8"),
    (Images(GOOD / 0), Grey, "NaN or infinite"),
    (Images((GOOD + 1) / 0), Grey, "NaN or infinite"),
    (
        Images(GOOD + 2),
        Dynamic,
        r"from 2 to 2, which dynamic pixels cannot be made of: scale them to \[0, 1\]",
    ),
    (Images(GOOD), Dequantised, "the train split holds torch.float32 values, and only uint8 images.*dequantised"),
    (Images(GOOD + 0.5), Binary, "the train split holds values beside 0 and 1.*choose Threshold, Static or Dynamic"),
    (Images(GOOD - 0.5), Threshold, "from -0.5 to -0.5, which threshold pixels"),
    (
        Images(GOOD, torch.zeros(3, dtype=torch.int64)),
        Grey,
        r"labels of the train split.*shape \(3,\).*its 4",
    ),
    (Images(GOOD, torch.zeros(4)), Grey, "labels of the train split are torch.float"),
]


@pytest.mark.parametrize(("images", "pixels", "message"), BAD)
def test_bad_data_are_refused(images: Images, pixels: type, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Given(images, pixels=pixels()).setup("fit")


def test_an_empty_test_split_is_refused() -> None:
    with pytest.raises(DataError, match="the test split is empty"):
        Given(Images(GOOD), Images(GOOD[:0])).setup("fit")


@pytest.mark.parametrize("name", ["batch_size", "eval_batch_size"])
@pytest.mark.parametrize("value", [0, -3, 2.5])
def test_batch_sizes_are_positive_integers(name: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"{name} is {value}; give an integer of at least 1"):
        Toy(**{name: value})
