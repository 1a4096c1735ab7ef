"""What a subcommand does: `zoo fit | validate | test | predict`."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import torch
from pytorch_lightning import LightningDataModule

from callbacks import Stopped
from zoo import LatentVariableModel  # and with it all classes, which so can be named without their modules
from zoo.cli import runs
from zoo.cli.callbacks import SaveConfig
from zoo.cli.front import SUBCOMMANDS
from zoo.cli.lightning_cli import ZooCLI
from zoo.cli.sentences import known_cause, sentence
from zoo.compiling import switch
from zoo.memory import keep_freed


def _quieten() -> None:
    """Keeps what a user of the zoo can do nothing about off the screen."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning 2.6 calls by the old names
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
    for known in (
        ".*during `trainer.test..`, it is recommended to use .*devices=1",  # evaluation is exact on any number of them
        ".*Total length of `list` across ranks is zero",  # there is no validation split,
        ".*could not find the monitored key",  # and so nothing to choose the best checkpoint by
        ".*is smaller than the logging interval",  # which counts steps of the run here, not of an epoch
        "Checkpoint directory .* exists and is not empty",  # as it is where a run goes on
        "The dirpath has changed from",  # a test has a folder of its own
    ):
        warnings.filterwarnings("ignore", known)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def prepare() -> None:
    """Makes the process as fast and as quiet as every command of the zoo is.

    Raises:
        ZooError: ZOO_COMPILE is wrong, which so is said before anything is done.
    """
    _quieten()
    keep_freed()
    torch.set_flush_denormal(True)  # and so in all threads, of which none runs yet
    switch()


def run(args: Sequence[str] | None = None) -> None:
    """Runs a subcommand.

    Args:
        args: The arguments; by default those of the process.
    """
    already = runs.ENVIRONMENT in os.environ
    if os.getcwd() not in sys.path:  # a console script does not find `mine.py` beside it, as `python -m zoo` does
        sys.path.insert(0, os.getcwd())
    try:
        prepare()
        ZooCLI(
            LatentVariableModel,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveConfig,
            auto_configure_optimizers=False,
            parser_kwargs=_parser_options(sys.argv[1:] if args is None else args),
            args=args,
        )
    except Stopped as stopped:
        path = os.path.relpath(stopped.checkpoint)
        print(f"stopped after a whole step. To go on: the same command with --ckpt_path {path}")
        sys.exit(130)
    except Exception as error:
        known = known_cause(error)
        if known is None:
            raise
        print(f"zoo: error: {sentence(known)}", file=sys.stderr)
        sys.exit(1)
    finally:
        if not already:
            runs.forget_empty(os.environ.pop(runs.ENVIRONMENT, None))


def _parser_options(typed: Sequence[str]) -> dict[str, Any]:
    """Those of the program's parser, and of its subcommands by their names."""
    names = [typed[0]] if typed[0] in SUBCOMMANDS else SUBCOMMANDS  # all behind an option, as in zoo -c x fit
    strict = {"allow_abbrev": False}
    defaults = strict | {"default_config_files": [str(files("configs") / "defaults.yaml")]}
    return strict | {name: dict(defaults) for name in names}
