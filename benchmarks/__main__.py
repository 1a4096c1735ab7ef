"""The command line: `python -m benchmarks [WORK ...]`."""

import argparse
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from benchmarks.machine import describe, limit
from benchmarks.settings import Settings

WORKS = ("vae", "iwae", "prior_sampling", "log_likelihood", "loading", "memory", "start_up", "growth")


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    options.add_argument(
        "works", nargs="*", metavar="WORK", help=f"what is measured: {', '.join(WORKS)}; all of it by default"
    )
    options.add_argument("--list", action="store_true", help="names the works and ends")
    options.add_argument(
        "--times", type=int, help="the rounds, of one turn of each contender: 9, or 3 where it is quick"
    )
    options.add_argument("--quick", action="store_true", help="a tenth of the work, to see that all of it runs")
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where training runs")
    options.add_argument(
        "--threads", type=int, help="on so many cores, which a busy machine may have free; all by default"
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written as well")
    return options


def main() -> None:
    """Prints the tables."""
    asked = parser().parse_args()
    unknown = set(asked.works) - set(WORKS)
    if unknown:
        sys.exit(f"there is no work {', '.join(sorted(unknown))}: the works are {', '.join(WORKS)}.")
    if asked.list:
        print("\n".join(f"{name}: {import_module(f'benchmarks.works.{name}').__doc__}" for name in WORKS))
        return
    if asked.threads:
        limit(asked.threads)
    machine = describe(asked.device)
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    records = []
    with tempfile.TemporaryDirectory() as folder:
        from benchmarks import material  # here, because the help need not import torch

        material.write(Path(folder))
        settings = Settings(folder, asked.times or (3 if asked.quick else 9), asked.quick, asked.device)
        for name in asked.works or WORKS:
            for table in import_module(f"benchmarks.works.{name}").run(settings):
                print("\n" + table.markdown(), flush=True)
                records.append(table.record())
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine, "works": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
