"""What was typed on a command line, and what of it a checkpoint contradicts."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import yaml

from zoo import checkpoints
from zoo.cli.front import SUBCOMMANDS
from zoo.cli.parsing import shipped
from zoo.errors import ZooError

DEFAULTS = {"model": "BernoulliVAE", "data": "MNIST5k"}
"""The classes of a run that names none. They stand in no file: what such a file says of one class, defaults included,
would be carried over to the class that is named instead."""


@dataclass(frozen=True)
class Typed:
    """A command line as it was typed.

    Args:
        argv: The arguments, the subcommand first.

    Example:
        >>> typed = Typed(["fit", "--config", "iwae", "--model.k=5", "--ckpt_path", "last"])
        >>> typed.options["ckpt_path"], typed.options["model.k"], typed.names_class("data")
        ('last', '5', True)
    """

    argv: Sequence[str]

    @cached_property
    def options(self) -> dict[str, str]:
        """The options and their values; of one that stands twice, the later."""
        return {name: value for _, name, value in self._pairs}

    @cached_property
    def configs(self) -> list[dict[str, Any]]:
        """What stands in the configurations that are named."""
        return [read_config(value) for _, name, value in self._pairs if name in ("config", "c")]

    @property
    def after_configs(self) -> int:
        """Where the arguments go on behind the last configuration."""
        return max((i for i, name, _ in self._pairs if name in ("config", "c")), default=1)

    def names_class(self, key: str) -> bool:
        """Whether an option or a configuration says which class the model or the data are."""
        return key in self.options or any(key in config for config in self.configs)

    @property
    def counts_steps(self) -> bool:
        """Whether an option or a configuration says how many steps are trained."""
        said = [self.options.get("trainer.max_steps"), *(dig(each, ["trainer", "max_steps"]) for each in self.configs)]
        return any(each not in (None, -1, "-1") for each in said)

    @cached_property
    def _pairs(self) -> list[tuple[int, str, str]]:
        """For each option the place behind it, its name and its value."""
        pairs = []
        for i, argument in enumerate(self.argv):
            if argument.startswith("-"):
                name, equals, value = argument.lstrip("-").partition("=")
                pairs.append((i + 1, name, value) if equals else (i + 2, name, "".join(self.argv[i + 1 : i + 2])))
        return pairs


def with_defaults(argv: Sequence[str]) -> list[str]:
    """The arguments, with the default classes where no others are named, and no default of epochs beside steps.

    Example:
        >>> with_defaults(["fit", "--model=IWAE", "--data=MNIST", "--trainer.max_steps=100000"])
        ['fit', '--trainer.max_epochs=-1', '--model=IWAE', '--data=MNIST', '--trainer.max_steps=100000']
    """
    typed = Typed(argv)
    if not argv or argv[0] not in SUBCOMMANDS:
        return list(argv)
    missing = [f"--{key}={name}" for key, name in DEFAULTS.items() if not typed.names_class(key)]
    if typed.counts_steps:  # in front, so that epochs that are asked for as well still hold
        missing.append("--trainer.max_epochs=-1")
    return [argv[0], *missing, *argv[1:]]


def read_config(value: str) -> dict[str, Any]:
    """What stands in a configuration, by its name or path; {} where it is none, as the parser will say."""
    try:
        path = Path(value) if Path(value).is_file() else shipped(value)
        config = yaml.safe_load(path.read_text())
    except (TypeError, OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}


def model_options(config: Mapping[str, Any]) -> list[str]:
    """The options that a configuration sets of its model.

    Example:
        >>> model_options({"model": {"class_path": "IWAE", "init_args": {"k": 5}}, "data": "MNIST"})
        ['model', 'model.k']
    """

    def below(spec: Any, name: str) -> list[str]:
        if not isinstance(spec, dict):
            return [] if spec is None else [name]  # null leaves it to the class
        own = [name] if "class_path" in spec else []
        arguments = spec.get("init_args", {}) if own else spec
        return own + [option for key, value in arguments.items() for option in below(value, f"{name}.{key}")]

    return below(config["model"], "model") if "model" in config else []


def refuse_conflicts(said: Sequence[str], config: dict[str, Any], checkpoint: dict[str, Any]) -> None:
    """Refuses options of a model that are not those of its checkpoint, where Lightning would drop them silently.

    Args:
        said: The names of the options that were given.
        config: The model that they make.
        checkpoint: The model of the checkpoint.

    Raises:
        ZooError: They differ.
    """
    for option in said:
        parts = [part for part in option.split(".") if part != "init_args"]
        if parts[0] == "model":
            mine, theirs = dig(config, parts[1:]), dig(checkpoint, parts[1:])
            if mine != theirs:
                raise ZooError(
                    f"{option} is {mine} and the checkpoint's is {theirs}: a checkpoint keeps its own model, so "
                    f"leave {option} out, or train a new model without --ckpt_path."
                )


def dig(spec: Any, parts: Sequence[str]) -> Any:
    """What stands in a nested specification of a class: the class itself where ``parts`` is empty."""
    for part in parts:
        spec = spec.get("init_args", spec).get(part) if isinstance(spec, dict) else None
    if isinstance(spec, dict) and "class_path" in spec:
        return checkpoints.path_of(checkpoints.imported(spec["class_path"]))
    return list(spec) if isinstance(spec, tuple) else spec


@contextmanager
def only_named_imports(options: Mapping[str, str]) -> Iterator[None]:
    """Within it, no package is imported that has not been before, unless an option names it.

    A checkpoint brings the configuration of its run, which nobody has named and anybody may have written.

    Args:
        options: The options that were typed.
    """
    loaded = {name.partition(".")[0] for name in sys.modules} | sys.stdlib_module_names
    optional = {re.split(r"[^\w-]", each)[0].replace("-", "_") for each in requires("jsonargparse") or []}
    known = loaded | optional | {value.partition(".")[0] for value in options.values()}

    class Guard(MetaPathFinder):
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name.partition(".")[0] not in known and PathFinder.find_spec(name, path) is not None:
                raise ImportError(
                    f"{name} is not imported because a file beside a checkpoint names it: if you trust that file, "
                    "say so with --config and its path."
                )

    guard = Guard()
    sys.meta_path.insert(0, guard)
    try:
        yield
    finally:
        sys.meta_path.remove(guard)
