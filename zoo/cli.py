"""The command line: `zoo fit | validate | test | predict`."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.accelerators import MPSAccelerator
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar, TQDMProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from callbacks import KeepLast, LogLikelihood, Pictures, PosteriorVariance, Predictions, Report, Stopped
from datamodules import DataError
from zoo import checkpoints, runs
from zoo.arguments import Typed, model_options, only_named_imports, refuse_conflicts
from zoo.base import LatentVariableModel
from zoo.errors import ZooError
from zoo.parsing import ShippedConfig, ZooParser

SUBCOMMANDS = ("fit", "validate", "test", "predict")
CALLBACKS = {
    "checkpoint": ModelCheckpoint,
    "keep_last": KeepLast,
    "log_likelihood": LogLikelihood,
    "posterior_variance": PosteriorVariance,
    "pictures": Pictures,
    "predictions": Predictions,
}
"""The callbacks of every run, by the name of their options."""

DEFAULTS = {"model": "BernoulliVAE", "data": "MNIST5k"}
"""The classes of a run that names none. They stand in no file: what such a file says of one class, defaults included,
would be carried over to the class that is named instead."""


class SaveConfig(SaveConfigCallback):
    """Writes the whole configuration of a run into its folder."""

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Writes `config.yaml`, once a fit begins."""
        if stage == "fit" and trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / "config.yaml"
            path.write_text(self.parser.dump(self.config, skip_unset=False))


class ZooCLI(LightningCLI):
    """Lightning's command line with the zoo's names, folders and refusals."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Makes the parser of the program or of a subcommand."""
        kwargs.setdefault("dump_header", ["zoo"])
        parser = ZooParser(**kwargs)
        parser.add_argument("-c", "--config", action=ShippedConfig, help="a file, or the name of a shipped one")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the callbacks of every run, and links the shape of the data to the model."""
        parser.link_arguments("data.x_shape", "model.init_args.x_shape", apply_on="instantiate")
        parser.add_argument("--test_after_fit", type=bool, default=True, help="whether fit ends with a test")
        for key, callback in CALLBACKS.items():
            parser.add_lightning_class_args(callback, key)
        best = {
            "monitor": "val/objective",
            "mode": "max",
            "filename": "best",
            "enable_version_counter": False,
        }
        parser.set_defaults({f"checkpoint.{name}": value for name, value in best.items()})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses what was typed, with the classes and the configuration that go without saying."""
        self.typed = Typed(list(sys.argv[1:] if args is None else args))
        run = self._run(parser)
        if run is None:
            self.config = parser.parse_args(with_defaults(self.typed.argv))
        else:
            place = self.typed.after_configs
            argv = [*self.typed.argv[:place], "--config", str(run / "config.yaml"), *self.typed.argv[place:]]
            with only_named_imports(self.typed.options):
                self.config = parser.parse_args(with_defaults(argv))
        self.subcommand = self.config.get("subcommand")
        if "ckpt_path" in self.typed.options:  # the configuration of a run, read later, says that there was none
            self.config[self.subcommand].ckpt_path = self.typed.options["ckpt_path"]
        if {"model.x_shape", "model.init_args.x_shape"} & self.typed.options.keys():
            raise ZooError("the shape of an example comes from the data: leave --model.x_shape out.")

    def _run(self, parser: LightningArgumentParser) -> Path | None:
        """The run that a checkpoint belongs to, whose configuration holds unless another is named with its path."""
        path = self.typed.options.get("ckpt_path")
        if path not in ("last", "best"):
            return runs.run_of(Path(path)) if path and not self.typed.configs else None
        config = parser.parse_args(with_defaults(self.typed.argv))[self.typed.argv[0]]
        checkpoint = runs.checkpoint_of(self._runs(config), path)
        self.typed = Typed([*self.typed.argv, f"--ckpt_path={checkpoint}"])
        self.by_name = True
        return runs.run_of(checkpoint)

    by_name = False
    """Whether the checkpoint was asked for as `last` or `best`."""

    def _parse_ckpt_path(self) -> None:
        """Takes the model of a checkpoint as the checkpoint has it, importing nothing that it names."""
        config = self.config[self.subcommand]
        if config.ckpt_path is None:
            if self.subcommand != "fit":
                raise ZooError(
                    f"`zoo {self.subcommand}` needs a trained model: give --ckpt_path best, last or the path of one."
                )
            return
        checkpoint = checkpoints.read(config.ckpt_path)
        spec = checkpoints.specification(checkpoint, config.ckpt_path)
        # Where a run is asked for by name, a configuration says which run is meant; beside a path it says what to run.
        said = [] if self.by_name else [option for each in self.typed.configs for option in model_options(each)]
        refuse_conflicts([*self.typed.options, *said], config["model"].as_dict(), spec)
        self._x_shape = spec["init_args"].pop("x_shape")
        self._step = checkpoint["global_step"]
        del config["model"]
        self.config = self.parser.parse_object({self.subcommand: {"model": spec}}, self.config)

    def _runs(self, config: Any) -> Path:
        """The folder of all runs of this model and data."""
        names = [config[part].class_path.rpartition(".")[2] for part in ("model", "data")]
        return Path(config.trainer.default_root_dir or ".") / "-".join(names).lower()

    def instantiate_classes(self) -> None:
        """Makes model, data and trainer; what one of them refuses is said in a sentence."""
        try:
            super().instantiate_classes()
        except (ValueError, RuntimeError) as error:
            if known_cause(error) is not None:
                raise
            raise ZooError(" ".join(str(error).split())) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Makes the trainer, in the folder of the run."""
        config = self.config_init[self.subcommand]
        folder = self._folder()
        os.environ[runs.ENVIRONMENT] = str(folder)  # for the processes that a strategy starts
        if config.checkpoint.dirpath is None:
            config.checkpoint.dirpath = str(folder / "checkpoints")
        trainer = config.trainer
        if trainer.accelerator == "auto" and MPSAccelerator.is_available():
            kwargs["accelerator"] = "cpu"  # Apple's GPU has no float64, in which sums over examples are kept
        if trainer.logger in (None, True) and not trainer.fast_dev_run:
            kwargs["logger"] = runs.default_loggers(folder)
        own = trainer.callbacks or []
        bar = [] if any(isinstance(callback, ProgressBar) for callback in own) else [TQDMProgressBar(20, leave=False)]
        always = [Report(), *(bar if trainer.enable_progress_bar is not False else [])]
        return super().instantiate_trainer(
            **kwargs,
            default_root_dir=str(folder),
            callbacks=[*own, *always],
            plugins=[*as_list(trainer.plugins), runs.WholeCheckpoints()],
        )

    def _folder(self) -> Path:
        """A fresh folder, or that of the run which goes on."""
        config = self.config[self.subcommand]
        run = runs.run_of(Path(config.ckpt_path)) if self.subcommand == "fit" and config.ckpt_path else None
        if run is None:
            return runs.new_run(self._runs(config))
        if runs.is_first():
            runs.forget_after(run / "metrics.csv", self._step)
        return run

    def after_instantiate_classes(self) -> None:
        """Refuses data of another shape than a checkpoint's."""
        shape = getattr(self.datamodule, "x_shape", None)
        if self.config[self.subcommand].ckpt_path and shape is not None and tuple(shape) != tuple(self._x_shape):
            raise ZooError(
                f"the checkpoint's model was made for examples of shape {self._x_shape}, and the data have {shape}."
            )

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Lets no checkpoint run code, and the report speak for a test."""
        quiet = {"verbose": False} if subcommand == "test" else {}
        return super()._prepare_subcommand_kwargs(subcommand) | {"weights_only": True} | quiet

    def after_fit(self) -> None:
        """Tests the best checkpoint, or the last weights where no validation chose one."""
        if self.config_init["fit"].test_after_fit:
            best = self.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
            path = best if best and Path(best).is_file() else None
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=path, weights_only=True, verbose=False)


def with_defaults(argv: Sequence[str]) -> list[str]:
    """The arguments, with the default classes where no others are named."""
    typed = Typed(argv)
    if not argv or argv[0] not in SUBCOMMANDS:
        return list(argv)
    missing = [f"--{key}={name}" for key, name in DEFAULTS.items() if not typed.names_class(key)]
    return [argv[0], *missing, *argv[1:]]


def as_list(value: Any) -> list[Any]:
    """The value in a list, unless it is one; nothing for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def known_cause(error: BaseException | None) -> BaseException | None:
    """The error behind an error that its own sentence explains, or None: jsonargparse wraps what a class raises."""
    while error is not None and not isinstance(error, ZooError | DataError | MisconfigurationException | OSError):
        error = error.__cause__
    return error


def quieten() -> None:
    """Keeps what a user of the zoo can do nothing about off the screen."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning 2.6 calls by the old names
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
    for known in (
        ".*during `trainer.test..`, it is recommended to use .*devices=1",  # evaluation is exact on any number of them
        ".*Total length of `list` across ranks is zero",  # there is no validation split,
        ".*could not find the monitored key",  # and so nothing to choose the best checkpoint by
        "Checkpoint directory .* exists and is not empty",  # as it is where a run goes on
        "The dirpath has changed from",  # a test has a folder of its own
    ):
        warnings.filterwarnings("ignore", known)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line; it returns nothing, so that a console script ends with status 0.

    Args:
        args: The arguments; by default those of the process.
    """
    strict = {"allow_abbrev": False}
    defaults = strict | {"default_config_files": [str(files("configs") / "defaults.yaml")]}
    quieten()
    already = runs.ENVIRONMENT in os.environ
    if os.getcwd() not in sys.path:  # a console script does not find `mine.py` beside it, as `python -m zoo` does
        sys.path.insert(0, os.getcwd())
    try:
        ZooCLI(
            LatentVariableModel,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveConfig,
            auto_configure_optimizers=False,
            parser_kwargs=strict | {name: dict(defaults) for name in SUBCOMMANDS},
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
        print(f"zoo: error: {known}", file=sys.stderr)
        sys.exit(1)
    finally:
        if not already:
            runs.forget_empty(os.environ.pop(runs.ENVIRONMENT, None))
