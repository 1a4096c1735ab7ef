"""Whether a step is a function of the weights, the batch and the noise alone, as one that is recorded has to be."""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.machine_code import layout

_BOOKS = (vars(pl.LightningModule()).keys() | {"images_trained"}) - {"training"}
"""Attributes by which Lightning and the steps keep their books."""


class Unrecordable(Exception):
    """A step cannot be recorded: it is more than a function of the weights, the batch and the noise."""


class _NoTrainer:
    """Stands where the trainer does while a step is recorded."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Unrecordable(f"it asks the trainer for `{name}`, which a recording would hold for ever")


@contextmanager
def alone(model: Any) -> Iterator[None]:
    """Within it the model has no trainer to ask, and distributions do not look into their arguments."""
    trainer, validates = model._trainer, Distribution._validate_args
    model._trainer = _NoTrainer()
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        model._trainer = trainer
        Distribution.set_default_validate_args(validates)


class Same:
    """Holds an object, so that no other one takes its place in memory, and is equal where that is the same."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def state(model: nn.Module) -> list[Any]:
    """What a recording holds for ever: parts, hooks, attributes, and which parameters and buffers there are.

    An object that is neither a number, a word nor a list, set or dictionary of them counts as changed where another
    takes its place, and not where something within it changes.
    """
    plain = bool | int | float | str | list | tuple | dict | set
    found: list[Any] = []
    for part in model.modules():
        found += [] if part is model else [Same(part)]
        hooks = part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks
        found += [Same(hook) for kind in hooks for hook in kind.values()]
        own = [value for name, value in vars(part).items() if name not in _BOOKS]
        found += [repr(value) if isinstance(value, plain) else Same(value) for value in own]
    tensors = (*model.parameters(), *model.buffers())
    found += [Same(hook) for each in model.parameters() for hook in _hooks_of(each)]
    return [*found, *((Same(each), each.requires_grad, layout(each)) for each in tensors)]


def watches_gradients(model: nn.Module) -> bool:
    """Whether a part or a parameter has a hook that is called with a gradient."""
    of_parts = any(part._backward_hooks or part._backward_pre_hooks for part in model.modules())
    return of_parts or any(_hooks_of(each) for each in model.parameters())


def _hooks_of(parameter: Tensor) -> list[Any]:
    both: tuple[Any, ...] = parameter._backward_hooks, parameter._post_accumulate_grad_hooks
    return [hook for hooks in both if hooks for hook in hooks.values()]


@contextmanager
def undone(model: nn.Module) -> Iterator[Callable[[], bool]]:
    """What is done within it to attributes and to the generators that are not torch's is told, and undone after it."""
    attributes = [(vars(part), dict(vars(part))) for part in model.modules()]
    of_all = [each for _, held in attributes for each in held.values()]
    tensors = [each for each in of_all if isinstance(each, Tensor) and not each.is_inference()]  # which do not change
    values = [each.detach().clone() for each in tensors]
    python, numpy = random.getstate(), np.random.get_state()

    def now() -> list[Any]:
        versions = [each._version for each in tensors]
        return [state(model), versions, random.getstate(), pickle.dumps(np.random.get_state())]

    before = now()
    try:
        yield lambda: now() != before
    finally:
        for own, held in attributes:
            own.clear()
            own.update(held)
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        random.setstate(python)
        np.random.set_state(numpy)
