"""All that a model knows of the data it is trained on."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class KnowsTraining(Protocol):
    """Data that know their training examples, where a model begins: the same on every rank."""

    def mean(self) -> Tensor:
        """Returns the mean of the training examples, (*x_shape)."""
        ...

    def variance(self) -> Tensor:
        """Returns their variance, (*x_shape)."""
        ...

    def examples(self, n: int) -> Tensor:
        """Returns n of them, (n, *x_shape)."""
        ...


@runtime_checkable
class GivesEpochs(Protocol):
    """Data that give training batches beside those of a training."""

    def training_epoch(self, epoch: int, seed: int) -> Iterator[Any]:
        """Yields the batches of an epoch, counted from 0, a function of the seed: the same on every rank."""
        ...
