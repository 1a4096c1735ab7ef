"""What a sweep found: a table for a person, and one for programs."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from zoo.files import written_whole
from zoo.sweeps.file import Sweep
from zoo.sweeps.trial import Trial


def best_first(sweep: Sweep, trials: Sequence[Trial]) -> list[Trial]:
    """The runs in the order of what is optimised; those without a value last."""

    def key(trial: Trial) -> tuple[bool, float]:
        value = trial.result.value if trial.result else None
        return value is None, 0.0 if value is None else -value if sweep.maximise else value

    return sorted(trials, key=key)


def as_table(sweep: Sweep, trials: Sequence[Trial]) -> Table:
    """The runs, the best first, by what is varied."""
    varied = [name for name, parameter in sweep.parameters.items() if not parameter.is_single]
    table = Table(title=f"{sweep.name}: {sweep.metric}, {'more' if sweep.maximise else 'less'} is better")
    for head in ("run", *varied, sweep.metric, "status"):
        table.add_column(head, justify="right" if head in ("run", sweep.metric) else "left", overflow="fold")
    for trial in best_first(sweep, trials):
        result = trial.result
        value = "" if result is None or result.value is None else f"{result.value:.6g}"
        status = result.status if result else "not ended"
        table.add_row(str(trial.number), *(_short(trial.parameters[name]) for name in varied), value, status)
    return table


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_results(sweep: Sweep, trials: Sequence[Trial], path: Path) -> None:
    """Writes all runs to a CSV file, in the order in which they began."""
    with written_whole(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *sweep.parameters, sweep.metric, "status", "error", "folder"])
        for trial in trials:
            result = trial.result
            found = [result.value, result.status, result.error] if result else [None, "not ended", None]
            run = trial.run
            writer.writerow([trial.number, *trial.parameters.values(), *found, run.folder if run else trial.folder])
