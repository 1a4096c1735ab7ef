"""Training a VAE."""

from benchmarks.settings import Settings
from benchmarks.table import Table
from benchmarks.task import Task
from benchmarks.training import side_by_side

SIZES = {100: 40_000, 20: 20_000}
"""The images of a stretch, for each batch."""


def run(settings: Settings) -> list[Table]:
    """The table of each batch."""
    return [
        side_by_side(
            settings,
            f"VAE, batch {batch}",
            Task("vae", batch, 1, settings.images(n), settings.folder, device=settings.device),
        )
        for batch, n in SIZES.items()
    ]
