"""Where the time of a step of `zoo fit` goes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.peers import zoo_profile
from benchmarks.settings import Settings
from benchmarks.table import Row, Table
from benchmarks.task import Task

N_STEPS = 150


def run(settings: Settings) -> list[Table]:
    """One table, with a column for each kind of step.

    Raises:
        SystemExit: It is asked of a GPU, whose operations go on after their calls.
    """
    if settings.device != "cpu":
        raise SystemExit("the profile is that of a CPU: leave --device out, or `profile` out of the works.")
    n = settings.size(N_STEPS)
    columns = {
        "VAE, batch 100": profiled(Task("vae", 100, 1, 100 * n, settings.folder)),
        "VAE, batch 20": profiled(Task("vae", 20, 1, 20 * n, settings.folder)),
        "IWAE, k = 50, batch 20": profiled(Task("iwae", 20, 50, 20 * n, settings.folder)),
    }
    rows: list[Row] = []
    for name in (*zoo_profile.PARTS, zoo_profile.REST, "all"):
        cells = {head: shown(parts[name], of=parts["all"]) for head, parts in columns.items()}
        rows.append({"microseconds of a step": name, **cells})
    note = "One epoch each, as torch's profiler tells it, which takes time of its own for each operation."
    return [Table("Where the time of a step of `zoo fit` goes", rows, [note])]


def shown(micros: float, of: float) -> str:
    """A part of a step, with its share of the whole.

    Example:
        >>> shown(1250.0, of=5000.0)
        '1,250 (25 %)'
    """
    return f"{micros:,.0f} ({100 * micros / of:.0f} %)"


def profiled(task: Task) -> dict[str, float]:
    """The microseconds of each part, of a process of its own, compiled."""
    own = {"BENCHMARK_TASK": task.dump(), "ZOO_COMPILE": "always"}
    done = subprocess.run(
        [sys.executable, "-m", zoo_profile.__name__], env=os.environ | own, capture_output=True, text=True
    )
    file = Path(task.folder) / "profile.json"
    if not file.is_file():
        raise RuntimeError(f"the profile of {task.objective} ended early:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    parts = json.loads(file.read_text())
    file.unlink()
    return parts | {"all": sum(parts.values())}
