"""The records images travel in: from a file (Images, Splits) through a loader (Stored) to a model (Batch)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

DRAWN = 0
"""The noise seed of pixels that are final, as those of every evaluation batch are."""

PIECE = 2**19
"""The pixels that are looked at together where a whole split is walked through."""


class Stored(NamedTuple):
    """A batch as a loader hands it out: the stored pixels, and the seed of what is still to be drawn."""

    images: Tensor  # (B, *x_shape), uint8 0..255, bool or floats
    labels: Tensor | None  # (B,)
    noise_seed: int


class Batch(NamedTuple):
    """A batch as a model sees it; `y` is -1 throughout where the data have no labels."""

    x: Tensor  # (B, *x_shape), floats, in [0, 1] where the data are images
    y: Tensor  # (B,), int64


@dataclass(frozen=True, eq=False)
class Images:
    """A set of examples, stored as uint8 0..255, as bool, or as floats that are used as they are.

    Args:
        stored: The tensor they lie in, (M, *x_shape), in memory or mapped from a file.
        labels: Their labels, (N,), or None.
        rows: Which rows of `stored` they are, (N,); None where they are all of them, in order.
    """

    stored: Tensor
    labels: Tensor | None = None
    rows: Tensor | None = None

    @property
    def size(self) -> int:
        """The number of examples, N."""
        return len(self.stored) if self.rows is None else len(self.rows)

    @property
    def images(self) -> Tensor:
        """All of them, (N, *x_shape); where only some rows are meant, this copies those into memory."""
        return self.stored if self.rows is None else self.stored.index_select(0, self.rows)

    def at(self, index: Tensor) -> "Images":
        """Returns the examples at `index`, copied by index_select, the fastest way to gather rows."""
        labels = None if self.labels is None else self.labels.index_select(0, index)
        rows = index if self.rows is None else self.rows.index_select(0, index)
        return Images(self.stored.index_select(0, rows), labels)

    def choose(self, index: Tensor) -> "Images":
        """Returns the examples at `index` without copying their pixels."""
        labels = None if self.labels is None else self.labels.index_select(0, index)
        return Images(self.stored, labels, index if self.rows is None else self.rows.index_select(0, index))

    def pieces(self) -> Iterator[Tensor]:
        """Yields their pixels in order, so few examples at a time that floats of them are no burden."""
        n = max(1, PIECE // max(1, self.stored[:1].numel()))
        if self.rows is None:
            yield from self.stored.split(n)
        else:
            yield from (self.stored.index_select(0, rows) for rows in self.rows.split(n))

    def as_they_lie(self) -> "Images":
        """Returns the same pixels in the order of the file, which a disk reads faster than any other."""
        return self if self.rows is None else Images(self.stored, rows=self.rows.sort().values)


class Splits(NamedTuple):
    """The three disjoint parts of a data set; `val` may be empty."""

    train: Images
    val: Images
    test: Images
