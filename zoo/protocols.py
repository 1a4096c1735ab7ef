"""All that a model and its training know of data."""

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

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


_T = TypeVar("_T")
_FORESEEABLE: set[object] = set()


def foreseeable(source: _T) -> _T:
    """Says of a loader's class, or of a hook that batches pass, that what it gives does not depend on steps.

    So several batches may be asked for ahead of their steps. It holds neither for a subclass nor for a hook that stands
    in its place, until it is said of those too.

    Example:
        >>> @foreseeable
        ... class Loader: ...
        >>> class Other(Loader): ...
        >>> is_foreseeable(Loader), is_foreseeable(Other)
        (True, False)
    """
    _FORESEEABLE.add(source)
    return source


def is_foreseeable(source: object) -> bool:
    """Whether that was said."""
    return source in _FORESEEABLE
