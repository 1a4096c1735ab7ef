"""Training by draws of the prior that a batch shares."""

from benchmarks.settings import Settings
from benchmarks.table import Table
from benchmarks.task import Task
from benchmarks.training import side_by_side


def run(settings: Settings) -> list[Table]:
    """The table."""
    task = Task("prior", 100, 10_000, settings.images(600, 200), settings.folder, device=settings.device)
    return [side_by_side(settings, "Prior sampling, k = 10,000 shared by a batch of 100", task)]
