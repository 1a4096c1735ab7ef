"""Starting: imports and help, each in a fresh process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.interleave import interleave, ratio
from benchmarks.settings import Settings
from benchmarks.table import Row, Table

OF = "import pytorch_lightning"
COMMANDS = {
    "import torch": ["-c", "import torch"],
    OF: ["-c", "import pytorch_lightning"],
    "import zoo": ["-c", "import zoo"],
    "zoo --help": ["-m", "zoo", "--help"],
    "zoo fit --help": ["-m", "zoo", "fit", "--help"],
}


def run(settings: Settings) -> list[Table]:
    """The table."""
    turns = {name: timed([sys.executable, *options]) for name, options in COMMANDS.items()}
    interleave(turns, 1)
    seconds = interleave(turns, settings.times)
    rows: list[Row] = [
        {"command": name, "time over that of import pytorch_lightning": ratio(seconds[OF], own)}
        for name, own in seconds.items()
    ]
    for row, own in zip(rows, seconds.values(), strict=True):
        row["least s"] = min(own)
    return [Table("Starting", rows)]


def timed(command: Sequence[str]) -> Callable[[], float]:
    """What runs a command and says how long it took."""

    def turn() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        return time.perf_counter() - began

    return turn
