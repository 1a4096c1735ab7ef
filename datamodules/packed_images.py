"""The base of data sets of pictures: packed once, split as published or at random."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from datamodules.base import ImageDataModule
from datamodules.errors import DataError
from datamodules.image_form import Form, Shape
from datamodules.packing import Source, packed
from datamodules.random_split import check_share, split_at_random, split_sizes
from datamodules.records import Splits


class PackedImages(ImageDataModule, ABC):
    """Pictures that are decoded once, into arrays of uint8 in the cache folder that are mapped into memory.

    They may so be larger than memory, and a second start takes no time. A leaf says what its `sources` are. Splits
    that are published are used; what is not is split off the training images at random.

    Args:
        where: What holds the pictures, for messages.
        size: Height and width, to which images are scaled and cropped in the middle; by default all must be of
            one size.
        grey: Whether they become grey (true) or RGB (false); by default what the first one is, and if that is
            grey, all must be.
        val: The number of validation examples, or their fraction, as a float; may be 0. Not used where there are
            published ones.
        test: The number of test examples, or their fraction, in the same way.
        split_seed: The seed of the split.
        **kwargs: Passed to `ImageDataModule`.

    Attributes:
        x_shape: The shape of all images; where size and grey do not say it, the first one is read for it.
    """

    def __init__(
        self,
        where: str,
        size: tuple[int, int] | None = None,
        grey: bool | None = None,
        val: int | float = 0.1,
        test: int | float = 0.1,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size is not None and not (len(size) == 2 and min(size) > 0):
            raise DataError(f"size is {size}; give a height and a width, as in (64, 64).")
        check_share("val", val)
        check_share("test", test)
        self.form = Form(None if size is None else (size[0], size[1]), grey)
        self.where = where
        self.val, self.test, self.split_seed = val, test, split_seed
        self.x_shape = self._shape()

    @property
    @abstractmethod
    def sources(self) -> Mapping[str, Source]:
        """The pictures of "train" and, where they are published, of "val" and "test"."""

    def _shape(self) -> Shape:
        size, grey = self.form
        if size is not None and grey is not None:
            return (1 if grey else 3, *size)
        first = self.sources["train"].first()
        return self.form.shape_of(first.image, first.where)

    def prepare_data(self) -> None:
        """Packs the images that the cache folder lacks, so that only one process decodes them."""
        for source in self.sources.values():
            packed(source, self.form, self.x_shape)

    def load(self) -> Splits:
        """Maps the packed images, and splits off what is not published."""
        parts = {name: packed(source, self.form, self.x_shape) for name, source in self.sources.items()}
        val, test = (None if name in parts else share for name, share in (("val", self.val), ("test", self.test)))
        sizes = split_sizes(self.where, parts["train"].size, val, test)
        splits = split_at_random(parts["train"], sizes, self.split_seed)._asdict()
        return Splits(**splits | {name: parts[name] for name in parts if name != "train"})
