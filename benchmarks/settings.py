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

    def images(self, n: int, least: int = 1) -> int:
        """So many images of a stretch, or a tenth of them where it shall be quick; ten times as many on a GPU."""
        return self.size(min(40_000, 10 * n) if self.device == "cuda" else n, least)

    def size(self, n: int, least: int = 1) -> int:
        """So many, or a tenth of it where it shall be quick, and at least so many."""
        return max(least, n // 10) if self.quick else n
