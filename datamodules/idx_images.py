"""The base of MNIST and of what has its format: four IDX files, of images and labels, for training and for test."""

from pathlib import Path
from typing import Any

from datamodules.published_images import PublishedImages, check_val_size
from datamodules.records import Images, Splits


class _IdxImages(PublishedImages):
    """60,000 and 10,000 images of 28 by 28, the last `val_size` of the former for validation, the latter for test.

    Args:
        data_dir: A folder of yours; by default $ZOO_DATA_DIR, and where that is not set the cache folder.
        val_size: The number of validation images, which may be 0.
        **kwargs: Passed to `ImageDataModule`.
    """

    x_shape = (1, 28, 28)

    def __init__(self, data_dir: str | Path | None = None, val_size: int = 5000, **kwargs: Any) -> None:
        super().__init__(data_dir, **kwargs)
        check_val_size(type(self).__name__, val_size, 60_000)
        self.val_size = val_size

    def load(self) -> Splits:
        """Reads the four files."""
        x, y, x_test, y_test = map(self.read, self.files)
        cut = len(x) - self.val_size
        images, labels = x.unsqueeze(1), y.long()  # (60000, 1, 28, 28), (60000,)
        train, val = Images(images[:cut], labels[:cut]), Images(images[cut:], labels[cut:])
        return Splits(train, val, Images(x_test.unsqueeze(1), y_test.long()))
