"""Splits at random, by a seed, for data that come without published ones."""

import torch

from datamodules.errors import DataError
from datamodules.records import Images, Splits
from zoo.noise import mix

Sizes = tuple[int, int, int]
"""The numbers of examples for training, validation and test."""


def split_sizes(where: str, size: int, val: int | float | None, test: int | float | None) -> Sizes:
    """Returns how many of `size` examples each split gets.

    Args:
        where: What holds the examples, for messages.
        size: How many there are.
        val: The number of validation examples, or their fraction, as a float; None where they lie elsewhere.
        test: The number of test examples, or their fraction, in the same way.

    Raises:
        DataError: A number is negative, a fraction not in [0, 1), or the training or the test split left empty.
    """
    n_val, n_test = _count("val", val, size), _count("test", test, size)
    n_train = size - n_val - n_test
    if n_train < 1 or (test is not None and n_test < 1):
        raise DataError(
            f"{where} holds {size} examples, which leaves {n_train} for training and {n_test} for test;"
            " both need at least one: change val and test."
        )
    return n_train, n_val, n_test


def split_at_random(everything: Images, sizes: Sizes, seed: int) -> Splits:
    """Splits without copying; the test examples do not depend on how many are for validation."""
    n_train, n_val, n_test = sizes
    order = torch.randperm(everything.size, generator=torch.Generator().manual_seed(mix(seed)))
    test, val, train = (everything.choose(part) for part in order.split((n_test, n_val, n_train)))
    return Splits(train, val, test)


def check_share(name: str, value: int | float) -> None:
    """Refuses what is neither a number of examples nor a fraction of them."""
    if isinstance(value, float) and not 0 <= value < 1:
        raise DataError(f"{name} is {value}; as a fraction it must lie in [0, 1), and a count is an integer.")
    if value < 0:
        raise DataError(f"{name} is {value}; give a count of at least 0, or a fraction as a float.")


def _count(name: str, value: int | float | None, size: int) -> int:
    if value is None:
        return 0
    check_share(name, value)
    return round(value * size) if isinstance(value, float) else value
