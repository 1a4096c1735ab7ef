"""Estimating log p(x) by L_5000."""

from benchmarks.peers import EVALUATORS
from benchmarks.settings import Settings
from benchmarks.table import Table
from benchmarks.task import Task
from benchmarks.training import side_by_side


def run(settings: Settings) -> list[Table]:
    """The table."""
    n = settings.images(60, 20)
    task = Task("log_likelihood", 20, settings.size(5000), n, settings.folder, gain=0.3, device=settings.device)
    return [side_by_side(settings, f"L_{task.k} of {n} images", task, EVALUATORS)]
