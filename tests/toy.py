"""Data modules so small that a test can look at every example."""

from typing import Any

import torch

from datamodules import Batch, ImageDataModule, Images, Splits


class Toy(ImageDataModule):
    """Images of 3 by 2 grey pixels; an example's label is its number."""

    x_shape = (1, 3, 2)

    def __init__(self, sizes: tuple[int, int, int] = (11, 5, 7), **options: Any) -> None:
        super().__init__(**options)
        self.sizes = sizes

    def load(self) -> Splits:
        n = sum(self.sizes)
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(20, 235, (n, *self.x_shape), generator=generator, dtype=torch.uint8)
        return Splits(*map(Images, images.split(self.sizes), torch.arange(n).split(self.sizes)))


class Given(ImageDataModule):
    """Whatever it is given, for every split."""

    x_shape = (1, 3, 2)

    def __init__(self, train: Images, test: Images | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.given = Splits(train, Images(train.images[:0]), train if test is None else test)

    def load(self) -> Splits:
        return self.given


def batches_of(data: ImageDataModule, loader: Any) -> list[Batch]:
    return [data.on_after_batch_transfer(stored, 0) for stored in loader]
