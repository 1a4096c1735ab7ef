"""The records images travel in: from a file (Images, Splits) through a loader (Stored) to a model (Batch)."""

from typing import NamedTuple

from torch import Tensor

DRAWN = 0
"""The noise seed of pixels that are final, as those of every evaluation batch are."""


class Stored(NamedTuple):
    """A batch as a loader hands it out: the stored pixels, and the seed of what is still to be drawn."""

    images: Tensor  # (B, *x_shape), uint8 0..255 or floats
    labels: Tensor | None  # (B,)
    noise_seed: int


class Batch(NamedTuple):
    """A batch as a model sees it; `y` is -1 throughout where the data have no labels."""

    x: Tensor  # (B, *x_shape), floats, in [0, 1] where the data are images
    y: Tensor  # (B,), int64


class Images(NamedTuple):
    """A set of examples, stored as uint8 0..255 or as floats that are used as they are."""

    images: Tensor  # (N, *x_shape)
    labels: Tensor | None = None  # (N,)

    @property
    def size(self) -> int:
        """The number of examples, N."""
        return self.images.shape[0]

    def at(self, index: Tensor) -> "Images":
        """Returns the examples at `index`, copied by index_select, the fastest way to gather rows."""
        labels = None if self.labels is None else self.labels.index_select(0, index)
        return Images(self.images.index_select(0, index), labels)


class Splits(NamedTuple):
    """The three disjoint parts of a data set; `val` may be empty."""

    train: Images
    val: Images
    test: Images
