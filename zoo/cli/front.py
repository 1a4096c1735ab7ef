"""What the command line says before torch is imported: its subcommands, its version, and what is neither."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module

from zoo import __version__
from zoo.cli.names import unknown
from zoo.errors import ZooError
from zoo.files import made_folder

SUBCOMMANDS = {
    "fit": "trains a model, then tests it",
    "validate": "measures a trained model on the validation split",
    "test": "measures a trained model on the test split",
    "predict": "writes codes, reconstructions and log-likelihoods of the test split into a file",
}
"""The subcommands of Lightning's command line, and what each does."""

PROGRAMS = {
    "sweep": "runs a W&B sweep file, without W&B",
    "report": "sets finished runs side by side",
    "reproduce": "puts the claims of the article to the test",
}
"""The other subcommands, each a module of its name beside this one."""


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line; it returns nothing, so that a console script ends with status 0.

    Args:
        args: The arguments; by default those of the process.
    """
    argv = sys.argv[1:] if args is None else args
    first = argv[0] if argv else ""
    if first in ("-h", "--help", "--version"):
        _parser().parse_args([first])
    known = SUBCOMMANDS | PROGRAMS
    if not first or (not first.startswith("-") and first not in known):
        wrong = unknown("subcommand", first, list(known)) if first else "a subcommand is missing."
        print(f"zoo: error: {wrong} `zoo --help` says what each does.", file=sys.stderr)
        sys.exit(2)
    _make_cache()
    try:
        if first in PROGRAMS:
            import_module(f"zoo.cli.{first}").main(argv[1:])
        else:
            from zoo.cli.program import run  # here, because it imports torch, which takes seconds

            run(args)
    except KeyboardInterrupt:
        print("stopped. To go on: the same command.")
        sys.exit(130)


def _make_cache() -> None:
    """Makes the folder for compiled code that was asked for, as torch does when it is imported, or refuses it."""
    variable = "TORCHINDUCTOR_CACHE_DIR"
    folder = os.environ.get(variable)
    try:
        if folder and not os.path.isdir(folder):  # one that is there may hold code and be read alone
            made_folder(folder)
    except ZooError as error:
        print(f"zoo: error: {variable}: {error}", file=sys.stderr)
        sys.exit(1)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "zoo",
        description="Trains and measures variational autoencoders.",
        epilog="`zoo SUBCOMMAND --help` lists all options of one, and takes longer.",
    )
    parser.add_argument("--version", action="version", version=f"vae-zoo {__version__}")
    commands = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND")
    for name, does in (SUBCOMMANDS | PROGRAMS).items():
        commands.add_parser(name, help=does)
    return parser
