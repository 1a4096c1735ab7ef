"""How a benchmark is run: options of the command line that every work reads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Options of a run.

    Args:
        folder: Where the images lie and processes write.
        times: The rounds, of one turn of each contender.
        quick: Whether the work is cut short, to see that all of it runs.
        device: Where it runs: `cpu` or `cuda`.
    """

    folder: str
    times: int = 9
    quick: bool = False
    device: str = "cpu"

    def size(self, n: int, least: int = 1) -> int:
        """So many, or a tenth of it where it shall be quick, and at least so many."""
        return max(least, n // 10) if self.quick else n
