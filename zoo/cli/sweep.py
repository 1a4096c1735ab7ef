"""`zoo sweep`: a W&B sweep file, run without W&B."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path


def main(args: Sequence[str]) -> None:
    """Runs a sweep, and prints what it found.

    Args:
        args: The arguments behind `zoo sweep`.
    """
    given = _parser().parse_args(args)
    from rich.console import Console  # here, and all below, because `zoo sweep --help` needs none of it

    from zoo.errors import ZooError
    from zoo.sweeps import Sweep, run_sweep
    from zoo.sweeps.results import as_table, best_first, write_results

    try:
        sweep = Sweep.read(given.file)
        folder = given.folder or Path("sweeps") / sweep.name
        trials = run_sweep(sweep, folder, given.jobs, given.count, given.seed, progress=True)
        write_results(sweep, trials, folder / "results.csv")
    except ZooError as error:
        print(f"zoo: error: {error}", file=sys.stderr)
        sys.exit(1)
    Console().print(as_table(sweep, trials))
    best = best_first(sweep, trials)[0]
    if best.error is None:
        print(f"the best again: {sweep.typed(best.parameters)}")
    print(f"all of this sweep: {folder}, its table as results.csv")
    failed = [trial for trial in trials if trial.error is not None]
    for trial in failed:
        print(f"run {trial.number} failed: {trial.error}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "zoo sweep",
        description="Runs a W&B sweep file without W&B: no account, no server. Interrupted or killed, the same command "
        "goes on; several processes and machines may work on one folder.",
        epilog="A run is `zoo fit` with the values of the sweep; W&B is off in it unless WANDB_MODE says otherwise.",
    )
    parser.add_argument("file", help="the sweep file, or the name of a shipped one, as latent_dim")
    parser.add_argument("--folder", type=Path, help="where the runs are; by default sweeps/NAME")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time (default: %(default)s)")
    parser.add_argument("--count", type=int, help="how many runs at most, those of before included; needed by random "
                        "and bayes")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of what is chosen by chance (default: %(default)s)")
    return parser
