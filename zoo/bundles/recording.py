"""A training step recorded once as plain tensor operations, and run again for each batch."""

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
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from zoo.compiling import compiled_graph

Gradients = tuple[Tensor | None, ...]

_BOOKS = (vars(pl.LightningModule()).keys() | {"images_trained"}) - {"training"}
"""Attributes by which Lightning and the steps keep their books."""


class Unrecordable(Exception):
    """A step cannot be recorded: it is more than a function of the weights, the batch and the noise."""


class RecordedStep:
    """The loss of a model and its gradient, without what autograd and distributions cost in Python at each step.

    It runs the operations that the model's own step ran, on the same weights and generators, so it gives the same
    numbers. What a recording cannot see is refused: an objective that asks the trainer for the step or logs, one that
    changes an attribute or draws from Python's or NumPy's generators, and one whose operations depend on values. Before
    it is used, its loss and its gradient are compared with the model's own.

    Args:
        model: A model that is training.
        x: A batch; those to come have its shape and type, and stand on its device.

    Raises:
        Unrecordable: It cannot be, and why.
    """

    def __init__(self, model: Any, x: Tensor) -> None:
        self.model = model
        self.like = (x.shape, x.dtype, x.device)
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        with _alone(model), torch.random.fork_rng([x.device] if x.is_cuda else []):
            self._recorded = self._record(x)
        self._run: Callable[..., Any] = self._recorded
        self.compare(x)

    def fits(self, x: Tensor) -> bool:
        """Whether it is the step of such a batch."""
        return (x.shape, x.dtype, x.device) == self.like

    def __call__(self, x: Tensor) -> tuple[Tensor, Gradients]:
        """The loss of a batch, and its gradient with respect to each parameter."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            loss, *gradients = self._run(x)
        return loss, tuple(gradients)

    def loss(self, x: Tensor) -> Tensor:
        """The loss of a batch, whose ``backward`` gives the gradient that is known already."""
        loss, gradients = self(x)
        return _Known.apply(loss, gradients, *self.parameters)  # pyright: ignore[reportReturnType]

    def compare(self, x: Tensor) -> None:
        """Refuses a recording that does not give the model's own loss and gradient.

        Raises:
            Unrecordable: They differ by more than rounding.
        """
        own, recorded = _forked(self._own, x), self.again(x)
        for a, b in zip((own[0], *own[1]), (recorded[0], *recorded[1]), strict=True):
            if (a is None) != (b is None) or (a is not None and b is not None and _apart(a, b)):
                raise Unrecordable("its objective is more than a function of the weights, the batch and the noise")

    def compile(self, x: Tensor) -> None:
        """Replaces what runs by a compiled version of it, where that is possible.

        Raises:
            Unrecordable: It gives other numbers, and is not used.
        """
        self._run = compiled_graph(self._recorded, [x], "the training step")
        try:
            self.compare(x)
        except Unrecordable as error:
            self._run = self._recorded
            raise Unrecordable("its compiled version gives other numbers") from error

    def _own(self, x: Tensor) -> tuple[Tensor, Gradients]:
        loss = self.model.loss(x)
        return loss, torch.autograd.grad(loss, self.parameters, allow_unused=True)

    def _record(self, x: Tensor) -> GraphModule:
        before = [state(self.model), _others()]
        try:
            self._own(x)  # once as it is, since a recording runs it without its own effects
            if [state(self.model), _others()] != before:
                raise Unrecordable("its objective changes attributes or draws from other generators than torch's")
            loss_and_gradients: Callable[..., Any] = make_fx(lambda x: (lambda own: (own[0], *own[1]))(self._own(x)))
            return _without_detours(loss_and_gradients(x))
        except Unrecordable:
            raise
        except Exception as error:
            raise Unrecordable(str(error).strip().partition("\n")[0] or type(error).__name__) from error

    def again(self, x: Tensor) -> tuple[Tensor, Gradients]:
        """The same, leaving the generators as they are."""
        return _forked(self, x)


def _forked(step: Callable[[Tensor], tuple[Tensor, Gradients]], x: Tensor) -> tuple[Tensor, Gradients]:
    with torch.random.fork_rng([x.device] if x.is_cuda else []):
        return step(x)


class _Known(torch.autograd.Function):
    """A loss whose gradient has been computed."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: Gradients, *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(None if each is None else each * outer[0] for each in ctx.gradients))


class _NoTrainer:
    """Stands where the trainer does while a step is recorded."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Unrecordable(f"its objective asks the trainer for `{name}`, which a recording would hold for ever")


@contextmanager
def _alone(model: Any) -> Iterator[None]:
    """Within it the model has no trainer to ask, and distributions do not look into their arguments."""
    trainer, validates = model._trainer, Distribution._validate_args
    model._trainer = _NoTrainer()
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        model._trainer = trainer
        Distribution.set_default_validate_args(validates)


def state(model: nn.Module) -> list[Any]:
    """What a recording holds for ever: attributes, and which parameters and buffers there are."""
    attributes = [
        repr(value) if isinstance(value, bool | int | float | str | list | tuple | dict) else id(value)
        for part in model.modules()
        for name, value in vars(part).items()
        if name not in _BOOKS
    ]
    tensors = [(id(each), each.requires_grad) for each in (*model.parameters(), *model.buffers())]
    return [attributes, tensors]


def _others() -> list[Any]:
    """The states of the generators that are not torch's."""
    return [random.getstate(), pickle.dumps(np.random.get_state())]


def _without_detours(graph: GraphModule) -> GraphModule:
    """Leaves out what means nothing where nothing is differentiated."""
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.detach.default:
            node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _apart(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors differ by more than the rounding of sums in another order."""
    a, b = a.detach().double(), b.detach().double()
    return bool(((a - b).norm() > 1e-3 * a.norm() + 1e-12) | ~(a - b).isfinite().all())
