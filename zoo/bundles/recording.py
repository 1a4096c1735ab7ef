"""A training step recorded once as plain tensor operations, and run again for each batch."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from zoo.bundles.purity import Unrecordable, alone, undone, watches_gradients
from zoo.compiling import cause
from zoo.draw import Draw
from zoo.keeping import buffers_kept, generators_kept
from zoo.machine_code import layout


class Differentiated(NamedTuple):
    """What a step finds of a batch.

    Args:
        loss: The loss.
        log_px: log p(x|z) of its draws, (k, B).
        gradients: The gradient of the loss with respect to each parameter.
    """

    loss: Tensor
    log_px: Tensor
    gradients: tuple[Tensor | None, ...]


COMPILED = 1e-3
"""By what share a compiled gradient may differ: rounding, which a steep objective enlarges."""

HALF = 0.05
"""The same of a recording in 16 bits; in others it is held to a thousand times their rounding."""


class RecordedStep:
    """The loss of a model and its gradient, without what autograd and distributions cost in Python at each step.

    It runs the operations that the model's own step ran, on the same weights and generators, so it gives the same
    numbers. What a recording cannot see is refused: an objective that asks the trainer for the step or logs, one that
    changes an attribute or draws from Python's or NumPy's generators, one whose operations depend on values, and one
    whose gradients a hook watches. Before it is used, its loss and its gradient are compared with the model's own.

    Args:
        model: A model that is training.
        x: A batch; those to come have its shape and type, and stand on its device.

    Raises:
        Unrecordable: It cannot be, and why.
    """

    def __init__(self, model: Any, x: Tensor) -> None:
        self.model = model
        self.like = layout(x)
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        with alone(model), generators_kept():
            self.operations = self._record(x)
        self._run: Callable[..., Any] = self.operations
        self.compiled: Any = None  # what it is compiled to, where that runs without Python
        tolerance = min(1e3 * torch.finfo(x.dtype).eps, HALF)
        self.compare(x, tolerance)  # the same operations, but for how a GPU orders its sums

    @property
    def differentiated(self) -> list[Tensor]:
        """The parameters that have a gradient."""
        _, _, *gradients = self.operations.graph.output_node().args[0]  # pyright: ignore[reportGeneralTypeIssues]
        return [each for each, gradient in zip(self.parameters, gradients, strict=True) if gradient is not None]

    def fits(self, x: Tensor) -> bool:
        """Whether it is the step of such a batch."""
        return layout(x) == self.like

    def __call__(self, x: Tensor) -> Differentiated:
        """The loss of a batch, and its gradient."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            loss, log_px, *gradients = self._run(x)
        return Differentiated(loss, log_px, tuple(gradients))

    def loss(self, x: Tensor) -> Tensor:
        """The loss of a batch, whose ``backward`` gives the gradient that is known already."""
        return self._known(self(x))

    def loss_and_draw(self, x: Tensor) -> tuple[Tensor, Draw]:
        """The same, and the draw that it is of: made again from the same noise, but for what was decoded."""
        with generators_kept():
            found = self(x)
        with torch.no_grad(), buffers_kept(self.model):
            draw = self.model.draw(x, log_px=found.log_px)
        return self._known(found), draw

    def compare(self, x: Tensor, tolerance: float) -> None:
        """Refuses a recording that does not give the model's own loss and gradient.

        Args:
            x: A batch.
            tolerance: How far they may be apart, as a share of each.

        Raises:
            Unrecordable: They are further apart.
        """
        with generators_kept():
            own = self.own(x)
        with generators_kept():
            recorded = self(x)
        scale = rounding([each for each in own.gradients if each is not None])
        for a, b in zip(flat(own), flat(recorded), strict=True):
            if (a is None) != (b is None) or (a is not None and b is not None and apart(a, b, tolerance, scale)):
                raise Unrecordable("its objective is more than a function of the weights, the batch and the noise")

    def run_by(self, version: Callable[..., Any], x: Tensor) -> bool:
        """Has another version of the operations run from now on, where it gives the same numbers; whether it does."""
        self._run = version
        try:
            self.compare(x, COMPILED)
        except Unrecordable:
            self._run = self.operations
        return self._run is version

    def flops(self, x: Tensor) -> int:
        """How many operations the matrix products of a step make."""
        with FlopCounterMode(display=False) as counter, generators_kept(), buffers_kept(self.model):
            self(x)
        return counter.get_total_flops()

    def _known(self, found: Differentiated) -> Tensor:
        return _Known.apply(found.loss, found.gradients, *self.parameters)  # pyright: ignore[reportReturnType]

    def own(self, x: Tensor) -> Differentiated:
        """The same as the model finds it."""
        loss, draw = self.model.loss_and_draw(x)
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        return Differentiated(loss, draw.log_px, gradients)

    def _record(self, x: Tensor) -> GraphModule:
        if watches_gradients(self.model):
            raise Unrecordable("a hook watches its gradients, and a recording would not call it")
        try:
            with undone(self.model) as changed:
                self.own(x)  # once as it is, since a recording runs it without its own effects
                if changed():
                    raise Unrecordable("its objective changes attributes or draws from other generators than torch's")
            operations: Callable[..., Any] = make_fx(lambda x: flat(self.own(x)))
            return without_detours(operations(x))
        except Unrecordable:
            raise
        except Exception as error:
            raise Unrecordable(cause(error)) from error


class _Known(torch.autograd.Function):
    """A loss whose gradient has been computed."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: tuple[Tensor | None, ...], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(None if each is None else each * outer[0] for each in ctx.gradients))


def without_detours(graph: GraphModule) -> GraphModule:
    """Leaves out what means nothing where nothing is differentiated."""
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.detach.default:
            node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def flat(found: Differentiated) -> tuple[Tensor | None, ...]:
    """All of it, one after the other."""
    return found.loss, found.log_px, *found.gradients


def rounding(gradients: Sequence[Tensor]) -> Tensor:
    """A scale below which what gradients have in them is rounding: a millionth of the norm of all."""
    return 1e-6 * torch.stack([each.detach().double().norm() for each in gradients]).norm()


def apart(a: Tensor, b: Tensor, tolerance: float, scale: Tensor) -> bool:
    """Whether two tensors differ by more than a share of the first, or of a scale below which all is rounding."""
    a, b = a.detach().double(), b.detach().double()
    return not (a - b).norm() <= tolerance * (a.norm() + scale)  # also where they are no numbers
