"""The command line: `python -m benchmarks [WORK ...]`."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.settings import Settings
from benchmarks.table import Table

WORKS = {
    "vae": "training a VAE, batch 100 and 20",
    "iwae": "training an IWAE, k = 50 with batch 20 and k = 5 with batch 100",
    "prior_sampling": "training by 10,000 draws of the prior that a batch of 100 shares",
    "log_likelihood": "estimating log p(x) by L_5000",
    "loading": "loading data alone",
    "memory": "the peak of memory",
    "start_up": "imports and help",
    "profile": "where the time of a step of zoo fit goes",
    "growth": "how time grows with batch, k, latent size, width and number of examples",
}


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    options.add_argument(
        "works", nargs="*", metavar="WORK", help=f"what is measured: {', '.join(WORKS)}; by default all"
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


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the tables.

    Args:
        argv: The arguments; by default those of the process.
    """
    asked = parser().parse_args(argv)
    unknown = sorted({*asked.works} - {*WORKS})
    if unknown:
        sys.exit(f"there is no work {', '.join(unknown)}: the works are {', '.join(WORKS)}.")
    if asked.list:
        print("\n".join(f"{name}: {what}" for name, what in WORKS.items()))
        return
    from benchmarks.machine import describe, limit  # here, because what is above need not wait for torch

    if asked.threads:
        limit(asked.threads)
    machine = describe(asked.device)
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(folder, asked.times or (3 if asked.quick else 9), asked.quick, asked.device)
        for table in measured(asked.works or WORKS, settings):
            print("\n" + table.markdown(), flush=True)
            tables.append(table.record())
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": machine, "rounds": settings.times, "works": tables}, indent=1) + "\n"
        )


def measured(works: Iterable[str], settings: Settings) -> Iterator[Table]:
    """The tables of works, as they are found."""
    from benchmarks import material

    material.write(Path(settings.folder))
    for name in works:
        print(f"measuring {WORKS[name]} ...", file=sys.stderr, flush=True)
        yield from import_module(f"benchmarks.works.{name}").run(settings)


if __name__ == "__main__":
    main()
