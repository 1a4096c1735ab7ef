"""A W&B sweep file, read as W&B reads it; what is not known here is refused by its name."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from zoo.cli.names import near
from zoo.errors import ZooError
from zoo.sweeps.command import expand, fit_options, typed
from zoo.sweeps.hyperband import Hyperband, early_termination
from zoo.sweeps.parameters import Parameter, parameter

METHODS: dict[str, type[BaseSampler]] = {"grid": RandomSampler, "random": RandomSampler, "bayes": TPESampler}
"""Optuna's way of choosing; a grid's points are handed to it one by one, which leaves nothing to choose."""

KNOWN = ("program", "name", "description", "project", "entity", "method", "metric", "parameters", "command",
         "early_terminate", "run_cap")  # fmt: skip
"""What may stand at the top of a file; project and entity say where W&B keeps its runs, and nothing of what is run."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep file asks for.

    Args:
        name: What it is called: by default as the file is.
        method: `grid`, `random` or `bayes`.
        metric: What is optimised, by its logged name.
        maximise: Whether more of it is better.
        parameters: What is varied, by the names of options.
        command: The words of a run's command, with macros among them.
        program: What `${program}` stands for in it.
        stopping: Which runs are stopped early; None for none.
        run_cap: How many runs there are at most; None where nothing is said.
        text: The file.
    """

    name: str
    method: str
    metric: str
    maximise: bool
    parameters: Mapping[str, Parameter]
    command: Sequence[str]
    program: str
    stopping: Hyperband | None
    run_cap: int | None
    text: str

    @classmethod
    def read(cls, place: str | Path) -> "Sweep":
        """Reads a sweep file.

        Args:
            place: Its path, or the name of a shipped one.

        Raises:
            ZooError: There is no such file, or it says something that is not known here.
        """
        path = Path(place) if Path(place).is_file() else shipped_sweep(str(place))
        text = path.read_text()
        try:
            return cls._from_text(path.stem, text)
        except (ZooError, yaml.YAMLError) as error:
            raise ZooError(f"{path}: {' '.join(str(error).split())}") from error

    @classmethod
    def _from_text(cls, stem: str, text: str) -> "Sweep":
        file = yaml.safe_load(text)
        if not isinstance(file, Mapping):
            raise ZooError("it holds no sweep: `method`, `metric`, `parameters` and `command` were expected.")
        if unknown := [key for key in file if key not in KNOWN]:
            raise ZooError(f"{unknown[0]} is not known here, but {', '.join(KNOWN)}.{near(unknown[0], KNOWN)}")
        if missing := [key for key in ("method", "metric", "parameters", "command") if not file.get(key)]:
            raise ZooError(f"{missing[0]} is missing, which a sweep needs here.")
        if file["method"] not in METHODS:
            raise ZooError(f"method is {file['method']}, where one of {', '.join(METHODS)} was expected.")
        metric, maximise = _metric(file["metric"])
        if not isinstance(file["parameters"], Mapping):
            raise ZooError("parameters was expected to name options, as `model.k: {values: [1, 5]}`.")
        sweep = cls(
            name=str(file.get("name", stem)),
            method=file["method"],
            metric=metric,
            maximise=maximise,
            parameters={name: parameter(name, spec) for name, spec in file["parameters"].items()},
            command=[str(word) for word in file["command"]],
            program=str(file.get("program", "zoo")),
            stopping=early_termination(file.get("early_terminate")),
            run_cap=file.get("run_cap"),
            text=text,
        )
        fit_options(sweep.words({}))
        sweep.points()  # refuses what a grid cannot hold
        return sweep

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna draws from, by the names of options."""
        return {name: parameter.distribution for name, parameter in self.parameters.items()}

    def sampler(self, seed: int) -> BaseSampler:
        """Optuna's way of choosing."""
        return METHODS[self.method](seed=seed)  # pyright: ignore[reportCallIssue]

    def points(self) -> list[dict[str, Any]]:
        """What is to be drawn, one after the other: all of a grid, and nothing of other methods.

        Raises:
            ZooError: A parameter of a grid has no end.
        """
        if self.method != "grid":
            return []
        columns = [parameter.grid() for parameter in self.parameters.values()]
        return [dict(zip(self.parameters, point, strict=True)) for point in itertools.product(*columns)]

    def count(self, asked: int | None) -> int:
        """How many runs there are.

        Args:
            asked: At most so many.

        Raises:
            ZooError: There is no end of them.
        """
        ends = [end for end in (asked, self.run_cap, len(self.points()) or None) if end is not None]
        if not ends:
            raise ZooError(f"{self.name}: method {self.method} has no end: say --count, or run_cap in the file.")
        return min(ends)

    def values(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the options, in the order of the file, from what was drawn."""
        return {name: parameter.value(drawn[name]) for name, parameter in self.parameters.items()}

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """The words of a run's command."""
        return expand(self.command, self.program, values)

    def said(self, values: Mapping[str, Any]) -> str:
        """What is the run's own among the values of its options."""
        own = {name: value for name, value in values.items() if not self.parameters[name].is_single}
        return ", ".join(f"{name} = {value}" for name, value in own.items())

    def typed(self, values: Mapping[str, Any]) -> str:
        """The command of a run, as one would type it."""
        return typed(self.words(values))


def _metric(spec: Any) -> tuple[str, bool]:
    """What is optimised, and whether upwards; W&B goes down where nothing is said."""
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ZooError(f"metric is {spec}, where `name: val/log_likelihood/100` and `goal: maximize` were expected.")
    if unknown := [key for key in spec if key not in ("name", "goal")]:
        raise ZooError(f"metric has {unknown[0]}, which is not known here: name and goal are.")
    goal = spec.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise ZooError(f"goal is {goal}, where minimize or maximize was expected.")
    return spec["name"], goal == "maximize"


def shipped_sweep(name: str) -> Path:
    """The shipped sweep of a name.

    Raises:
        ZooError: There is none.
    """
    folder = Path(str(files("configs"))) / "sweeps"
    path = folder / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        have = sorted(file.stem for file in folder.glob("*.yaml"))
        raise ZooError(f"there is no sweep file {name!r}; the shipped ones are {', '.join(have)}.{near(name, have)}")
    return path
