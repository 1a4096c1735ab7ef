"""What a sweep may vary: W&B's distributions, as Optuna's."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from zoo.cli.names import near
from zoo.errors import ZooError


class Parameter(ABC):
    """How the values of one option are chosen."""

    @property
    @abstractmethod
    def distribution(self) -> BaseDistribution:
        """What Optuna draws from."""

    @property
    def is_single(self) -> bool:
        """Whether there is but one value."""
        return self.distribution.single()

    def value(self, drawn: Any) -> Any:
        """The value of the option, from what was drawn."""
        return drawn

    def grid(self) -> list[Any]:
        """All that could be drawn, in order.

        Raises:
            ZooError: That has no end.
        """
        raise ZooError(f"a grid cannot hold a {NAMES[type(self)]} distribution: give `values`, or take method random.")


@dataclass(frozen=True)
class Choice(Parameter):
    """One of several values, which Optuna is given as JSON: it knows of no lists."""

    values: list[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.values, list) or len(set(self.grid())) < max(1, len(self.values)):
            raise ZooError(f"values is {self.values}, where a list of different values was expected.")

    @property
    def distribution(self) -> BaseDistribution:
        """The same chance for each."""
        return CategoricalDistribution(self.grid())

    def value(self, drawn: Any) -> Any:
        """The value that the JSON stands for."""
        return json.loads(drawn)

    def grid(self) -> list[Any]:
        """The values as JSON."""
        return [json.dumps(value) for value in self.values]


@dataclass(frozen=True)
class Between(Parameter, ABC):
    """A number from `min` to `max`."""

    min: float
    max: float

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ZooError(f"{name} is {number!r}, where a number was expected (YAML reads 1e-3 as text: 1.0e-3).")
        if self.min > self.max:
            raise ZooError(f"min is {self.min} and max is {self.max}: the first must not be above the second.")


@dataclass(frozen=True)
class IntUniform(Between):
    """A whole number, each with the same chance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.min, int) and isinstance(self.max, int)):
            raise ZooError(f"min is {self.min} and max is {self.max}, where whole numbers were expected.")

    @property
    def distribution(self) -> BaseDistribution:
        """Both ends belong to it."""
        return IntDistribution(int(self.min), int(self.max))

    def grid(self) -> list[Any]:
        """All whole numbers from one end to the other."""
        return list(range(int(self.min), int(self.max) + 1))


@dataclass(frozen=True)
class Uniform(Between):
    """A number, with the same density everywhere."""

    @property
    def distribution(self) -> BaseDistribution:
        """Both ends belong to it."""
        return FloatDistribution(self.min, self.max)


@dataclass(frozen=True)
class LogUniform(Between):
    """A positive number whose logarithm has the same density everywhere."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min <= 0:
            raise ZooError(f"min is {self.min}, where a positive number was expected, whose logarithm exists.")

    @property
    def distribution(self) -> BaseDistribution:
        """Both ends belong to it."""
        return FloatDistribution(self.min, self.max, log=True)


@dataclass(frozen=True)
class QUniform(Uniform):
    """The nearest multiple of `q`."""

    q: float = 1.0

    def value(self, drawn: Any) -> Any:
        """The multiple of q, whole where q is."""
        return rounded(drawn, self.q)


@dataclass(frozen=True)
class QLogUniform(LogUniform):
    """The nearest multiple of `q`."""

    q: float = 1.0

    def value(self, drawn: Any) -> Any:
        """The multiple of q, whole where q is."""
        return rounded(drawn, self.q)


def rounded(value: float, q: float) -> float:
    """The multiple of q that lies nearest, whole where q is.

    Example:
        >>> rounded(107.3, 20.0), rounded(0.27, 0.25)
        (100, 0.25)
    """
    return round(value / q) * (int(q) if q == int(q) else q)


DISTRIBUTIONS: dict[str, type[Parameter]] = {
    "categorical": Choice,
    "int_uniform": IntUniform,
    "uniform": Uniform,
    "log_uniform_values": LogUniform,
    "q_uniform": QUniform,
    "q_log_uniform_values": QLogUniform,
}
"""W&B's names of the distributions that are known here."""

NAMES = {kind: name for name, kind in DISTRIBUTIONS.items()}


def parameter(name: str, spec: Any) -> Parameter:
    """What stands under the name of an option in a sweep file.

    Args:
        name: The option, as `model.k`.
        spec: As W&B reads it: `{value: 5}`, `{values: [1, 5]}`, `{min: 1, max: 9}` or with a `distribution`.

    Raises:
        ZooError: It says something that is not known here.

    Example:
        >>> parameter("model.k", {"values": [1, 5]})
        Choice(values=[1, 5])
        >>> parameter("model.optimizer.lr", {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2})
        LogUniform(min=0.0001, max=0.01)
    """
    try:
        return _parameter(spec)
    except ZooError as error:
        raise ZooError(f"parameter {name}: {error}") from error


def _parameter(spec: Any) -> Parameter:
    if not isinstance(spec, Mapping):
        raise ZooError(f"it is {spec!r}, where `value: {spec}` or `values: [...]` was expected.")
    if "parameters" in spec:
        raise ZooError("it is nested, which is not known here: write flat names with dots, as model.optimizer.lr.")
    given = dict(spec)
    kind = given.pop("distribution", None)
    if set(given) == {"value"} and kind in (None, "constant"):
        return Choice([given["value"]])
    cls = DISTRIBUTIONS.get(kind or _implied(given))
    if cls is None:
        raise ZooError(f"the distribution {kind!r} is not known here, but {', '.join(DISTRIBUTIONS)}.{_near(kind)}")
    known = {field.name for field in fields(cls)}  # pyright: ignore[reportArgumentType]
    if unknown := sorted(set(given) - known):
        raise ZooError(f"{unknown[0]} is not known of {NAMES[cls]}, but {', '.join(sorted(known))}.")
    if missing := sorted(known - {"q"} - set(given)):
        raise ZooError(f"{missing[0]} is missing, which {NAMES[cls]} needs.")
    return cls(**given)


def _implied(given: Mapping[str, Any]) -> str:
    """What W&B takes where no distribution is named."""
    ends = (given.get("min"), given.get("max"))
    if "values" in given or not any(end is not None for end in ends):
        return "categorical"
    return "int_uniform" if all(isinstance(end, int) for end in ends) else "uniform"


def _near(kind: str | None) -> str:
    return near(kind or "", list(DISTRIBUTIONS))
