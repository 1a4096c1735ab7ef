"""Data of so many evenly spaced values between 0 and 1, as 8-bit pixels are."""

import torch
from torch import Tensor

from zoo.errors import ZooError


class Grid:
    r"""The values :math:`x = i / (L - 1)`, i = 0 to L - 1.

    Args:
        levels: L, the number of values: 256 for pixels of 8 bits.

    Raises:
        ZooError: There are fewer than 2 levels.

    Example:
        >>> Grid(5).index(torch.tensor([0.0, 0.25, 1.0]))
        tensor([0., 1., 4.])
    """

    def __init__(self, levels: int) -> None:
        if levels < 2:
            raise ZooError(f"levels is {levels}, where at least 2 were expected: pixels of 8 bits have 256.")
        self.levels, self.step = levels, 1 / (levels - 1)

    def index(self, x: Tensor) -> Tensor:
        """The i nearest to each x, as a float."""
        return (x * (self.levels - 1)).round()

    def values(self, like: Tensor) -> Tensor:
        """All values, (levels,), as numbers like others."""
        return torch.arange(self.levels, dtype=like.dtype, device=like.device) / (self.levels - 1)

    def check(self, x: Tensor) -> None:
        """Refuses values off the grid, but for what float32 rounds.

        Raises:
            ZooError: x holds another value.
        """
        index = self.index(x)
        tolerance = 4 * torch.finfo(torch.float32).eps * (self.levels - 1)
        off = (x * (self.levels - 1) - index).abs() > tolerance
        if (off | (index < 0) | (index > self.levels - 1)).any():
            raise ZooError(
                f"this likelihood takes pixels that are i/{self.levels - 1} with i = 0 to {self.levels - 1}, and "
                "these hold other values: take images of 8 bits with --data.pixels Grey, or set levels to those of "
                "the data."
            )
