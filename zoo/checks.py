"""What numbers and shapes must be before anything is made of them: torch refuses them late and in its own words."""

import math
from collections.abc import Sequence
from typing import Any

from zoo.errors import ZooError


def check_counts(**numbers: Any) -> None:
    """Refuses numbers, given by their names, that are not integers of at least 1.

    Raises:
        ZooError: One is not.
    """
    for name, number in numbers.items():
        if not is_counts([number]):
            raise ZooError(f"{name} is {number!r}, where an integer of at least 1 was expected.")


def check_not_negative(**numbers: Any) -> None:
    """Refuses what is no number of at least 0, and nan.

    Raises:
        ZooError: One is not.
    """
    for name, number in numbers.items():
        if not isinstance(number, int | float) or not 0 <= number < math.inf:
            raise ZooError(f"{name} is {number!r}, where a number of at least 0 was expected.")


def check_widths(hidden: Any) -> None:
    """Refuses what is no list of the widths of hidden layers; an empty one is.

    Raises:
        ZooError: It is none.
    """
    if not is_counts(hidden):
        raise ZooError(f"hidden is {hidden}, where widths of at least 1 were expected, as [200, 200].")


def check_shape(x_shape: Any) -> None:
    """Refuses what is not the shape of an example.

    Raises:
        ZooError: It is no sequence of integers of at least 1, or empty.
    """
    if not is_counts(x_shape) or not x_shape:
        raise ZooError(f"x_shape is {x_shape!r}, where the shape of one example was expected, as (1, 28, 28).")


def is_counts(values: Any) -> bool:
    """Whether this is a sequence of integers of at least 1.

    Example:
        >>> is_counts((1, 28, 28)), is_counts([2.5]), is_counts(3), is_counts([True])
        (True, False, False, False)
    """
    sequence = isinstance(values, Sequence) and not isinstance(values, str)
    return sequence and all(isinstance(value, int) and value is not True and value > 0 for value in values)
