"""`zoo report`: finished runs beside each other."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path


def main(args: Sequence[str]) -> None:
    """Writes the report of finished runs.

    Args:
        args: The arguments behind `zoo report`.
    """
    given = _parser().parse_intermixed_args(args)
    from zoo import RefittedEncoder  # here, and all below, because `zoo report --help` needs no torch
    from zoo.checks import check_counts
    from zoo.cli.measuring import measuring
    from zoo.reports import finished_runs
    from zoo.reports.comparison import write_report

    with measuring():
        check_counts(k=given.k, n_images=given.n_images)
        proposal = RefittedEncoder(epochs=given.refit_epochs) if given.refit_epochs else None
        runs = finished_runs(given.runs)
        page = write_report(runs, given.out, given.k, given.n_images, proposal, progress=sys.stderr.isatty())
    print(f"the report: {page}, in Markdown {page.with_name('report.md')}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "zoo report", description="Sets finished runs side by side in one HTML page and in Markdown."
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs, or folders that hold some")
    parser.add_argument("--out", type=Path, default=Path("report"), help="where it goes (default: %(default)s)")
    parser.add_argument("--k", type=int, default=1000, help="draws of the log-likelihood (default: %(default)s)")
    parser.add_argument("--n_images", type=int, default=500, help="test images (default: %(default)s)")
    refit = "give every model a fresh encoder, trained for so many epochs: models without one can then be compared too"
    parser.add_argument("--refit_epochs", type=int, default=0, help=f"{refit} (default: none)")
    return parser
