"""Lightning's command line, with the zoo's names, folders and refusals."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Trainer
from pytorch_lightning.accelerators import MPSAccelerator
from pytorch_lightning.callbacks import ProgressBar, TQDMProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from callbacks import Report, Stopped, WandbRun
from zoo import checkpoints
from zoo.cli import runs
from zoo.cli.arguments import Typed, model_options, only_named_imports, refuse_conflicts, with_defaults
from zoo.cli.callbacks import add_callbacks
from zoo.cli.forks import before_forks
from zoo.cli.parsing import ShippedConfig, ZooParser
from zoo.cli.sentences import gist, known_cause
from zoo.errors import ZooError


class ZooCLI(LightningCLI):
    """Lightning's command line with the zoo's names, folders and refusals."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Makes the parser of the program or of a subcommand."""
        kwargs.setdefault("dump_header", ["zoo"])
        parser = ZooParser(**kwargs)
        parser.add_argument("-c", "--config", action=ShippedConfig, help="a file, or the name of a shipped one")
        return parser

    def subcommands(self) -> dict[str, set[str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Those that the program names: parsers of all four take three times as long as one."""
        return {name: own for name, own in LightningCLI.subcommands().items() if name in self.parser_kwargs}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the callbacks of every run, and links the shape of the data to the model."""
        parser.link_arguments("data.x_shape", "model.init_args.x_shape", apply_on="instantiate")
        parser.add_argument("--test_after_fit", type=bool, default=True, help="whether fit ends with a test")
        add_callbacks(parser)

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
            raise ZooError(gist(error)) from error

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
        if not trainer.fast_dev_run:
            kwargs["logger"] = runs.loggers(folder, trainer.logger)
        own = trainer.callbacks or []
        said = yaml.safe_load(self._parser(self.subcommand).dump(self.config[self.subcommand], skip_unset=False))
        bar = [] if any(isinstance(callback, ProgressBar) for callback in own) else [TQDMProgressBar(25, leave=False)]
        always = [Report(), WandbRun(said), *(bar if trainer.enable_progress_bar is not False else [])]
        return super().instantiate_trainer(
            **kwargs,
            default_root_dir=str(folder),
            callbacks=[*own, *always],
            plugins=[*runs.as_list(trainer.plugins), runs.WholeCheckpoints()],
        )

    def _folder(self) -> Path:
        """A fresh folder, or that of the run which goes on."""
        config = self.config[self.subcommand]
        run = runs.run_of(Path(config.ckpt_path)) if self.subcommand == "fit" and config.ckpt_path else None
        return runs.new_run(self._runs(config)) if run is None else run

    def _set_seed(self) -> None:
        """Seeds all generators."""
        try:
            super()._set_seed()
        except ValueError as error:
            raise ZooError(f"--seed_everything is out of range: {error}.") from error

    def after_instantiate_classes(self) -> None:
        """Refuses data of another shape than a checkpoint's, and a test of nothing; keeps forks from hanging."""
        before_forks(self.trainer)
        config = self.config[self.subcommand]
        tests = self.subcommand == "test" or (self.subcommand == "fit" and config.test_after_fit)
        if tests and self.trainer.limit_test_batches == 0:  # pyright: ignore[reportAttributeAccessIssue]
            raise ZooError(
                "--trainer.limit_test_batches is 0, which leaves nothing to test: give at least 1, or fit with "
                "--test_after_fit=false."
            )
        shape = getattr(self.datamodule, "x_shape", None)
        if config.ckpt_path and shape is not None and tuple(shape) != tuple(self._x_shape):
            raise ZooError(
                f"the checkpoint's model was made for examples of shape {self._x_shape}, and the data have {shape}."
            )

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs it; one that fails leaves no process behind, and before its first step no folder."""
        try:
            super()._run_subcommand(subcommand)
        except Stopped:
            raise
        except Exception:
            launcher = self.trainer.strategy.launcher
            if launcher is not None:  # a process that hangs would outlive its run
                launcher.kill(signal.SIGKILL)
            if not self.trainer.global_step:
                runs.forget_start(Path(self.trainer.default_root_dir))
            raise

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
