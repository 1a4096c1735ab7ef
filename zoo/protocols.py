"""All that a model knows of the data it is trained on."""

from typing import Protocol, runtime_checkable

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
