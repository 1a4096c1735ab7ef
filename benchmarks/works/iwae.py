"""Training an IWAE."""

from benchmarks.settings import Settings
from benchmarks.table import Table
from benchmarks.task import Task
from benchmarks.training import side_by_side

SIZES = {(50, 20): 10_000, (5, 100): 20_000}
"""The images of a stretch, for each k and batch."""


def run(settings: Settings) -> list[Table]:
    """The table of each k and batch."""
    return [
        side_by_side(
            settings,
            f"IWAE, k = {k}, batch {batch}",
            Task("iwae", batch, k, settings.images(n, 5 * batch), settings.folder, device=settings.device),
        )
        for (k, batch), n in SIZES.items()
    ]
