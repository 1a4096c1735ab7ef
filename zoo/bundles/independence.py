"""Whether the examples of a batch are independent, so that its gradient is the mean of those of any shares of it."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zoo.bundles.recording import RecordedStep, apart, rounding
from zoo.keeping import buffers_kept, generators_kept

TOLERANCE = 1e-3
"""By what share numbers may differ that should be equal."""

FAR = 2.0**20
"""How many times as large, and as small, a gradient is made to see whether anything stops it: a power of two, which
rounds nothing."""

_aten = torch.ops.aten
_CHOICE, _COPY = _aten.where.self, _aten.copy_.default
_ELEMENTWISE = {_CHOICE, _COPY, _aten.clone.default, _aten._to_copy.default}
_FILLING = {_aten.fill_.Scalar, _aten.zero_.default}


class Dependent(Exception):
    """What is found of an example depends on others, or it cannot be said that it does not."""


def check_independent(step: RecordedStep, x: Tensor, n: int) -> None:
    """Refuses a step whose examples depend on others.

    In the objective: for each of n shares, the other examples are made no numbers, which would show in it. In the
    gradient: it has to grow with the loss, which is the larger by itself the fewer examples it is the mean of.

    Args:
        step: The step.
        x: A batch.
        n: How many shares there are.

    Raises:
        Dependent: One does, or an operation might hide that.
    """
    whole = _objective(step.model, x)
    for own, kept in zip(torch.arange(len(x)).chunk(n), x.chunk(n), strict=True):
        others = torch.full_like(x, torch.nan).index_copy(0, own, kept)
        with Contagious():
            found = _objective(step.model, others)
        if not torch.allclose(found[own], whole[own], rtol=TOLERANCE):
            raise Dependent("its objective of an example depends on others")
    _check_proportional(step, x)


def _objective(model: Any, x: Tensor) -> Tensor:
    with generators_kept(), buffers_kept(model), torch.no_grad():
        return model.objective(model.draw(x))


def _check_proportional(step: RecordedStep, x: Tensor) -> None:
    """Refuses a gradient that something limits on its way: a share would be limited where the whole is not."""
    with generators_kept(), buffers_kept(step.model):
        loss, _ = step.model.loss_and_draw(x)
        one, more, less = (
            [each / by for each in torch.autograd.grad(loss * by, step.differentiated, retain_graph=True)]
            for by in (1.0, FAR, 1 / FAR)
        )
    scale = rounding(one)
    for own, *others in zip(one, more, less, strict=True):
        if any(apart(own, other, TOLERANCE, scale) for other in others):
            raise Dependent("its gradient is not proportional to its loss")


class Contagious(TorchDispatchMode):
    """Within it what is computed of no numbers is none either, also where an operation would make a number of it.

    A comparison would: its answer is remembered as none, and with it what is chosen by it.

    Raises:
        Dependent: An operation might hide them in a way that is not followed.

    Example:
        >>> x = torch.tensor([2.0, torch.nan])
        >>> with Contagious():
        ...     x.sign(), torch.where(x < 0, 1.0, 3.0), x.nan_to_num() * 5
        (tensor([1., nan]), tensor([3., nan]), tensor([10., nan]))
    """

    def __init__(self) -> None:
        super().__init__()
        self._answers: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        lost = [self._lost(each) for each in given]  # before an operation in place
        found = func(*args, **(kwargs or {}))
        if _looks_at_nothing(func) or not any(each.any() for each in lost):
            return found
        if func.is_view and isinstance(found, Tensor):
            self._lose(found, func(lost[0], *args[1:], **(kwargs or {})))
        elif torch.Tag.pointwise in func.tags or func in _ELEMENTWISE:
            self._lose(found, _implied(func, given, lost))
        elif any(map(self._is_answer, given)) or not _shows(tree_leaves(found)):
            raise Dependent(f"{func} makes something of what is no number")
        return found

    def _lost(self, x: Tensor) -> Tensor:
        """Which elements are none."""
        if _real(x):
            return x.isnan()
        remembered = (lost for answer, lost in reversed(self._answers) if answer is x)
        return next(remembered, torch.zeros_like(x, dtype=torch.bool))

    def _is_answer(self, x: Tensor) -> bool:
        """Whether it is one of which some elements are none."""
        return any(answer is x for answer, _ in self._answers)

    def _lose(self, x: Tensor, lost: Tensor) -> None:
        if not _real(x):
            self._answers.append((x, lost))
        elif not x.isnan()[lost].all():
            x.masked_fill_(lost, torch.nan)


def _real(x: object) -> TypeGuard[Tensor]:
    return isinstance(x, Tensor) and x.is_floating_point()


def _shows(found: Sequence[object]) -> bool:
    """Whether what was found shows by itself what is no number."""
    return all(map(_real, found)) and any(_real(x) and bool(x.isnan().any()) for x in found)


def _looks_at_nothing(func: Any) -> bool:
    """Whether the result of an operation does not depend on the values that it is given."""
    name = func.name().removeprefix("aten::")
    draws = torch.Tag.nondeterministic_seeded in func.tags
    return draws or "_like" in name or name.startswith("new_") or func in _FILLING


def _implied(func: Any, given: Sequence[Tensor], lost: Sequence[Tensor]) -> Tensor:
    """Which elements of the result of elementwise operations come of no numbers."""
    if func is _CHOICE:
        by, one, other = lost
        return by | torch.where(given[0], one, other)
    if func is _COPY:
        return lost[1].expand_as(lost[0])
    return reduce(torch.logical_or, lost)
