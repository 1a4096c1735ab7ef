"""What a step draws, noted as it runs, so that it may be drawn beforehand and given to whoever makes the step."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Again = Callable[[], Tensor]
"""Draws as an operation did, with the generator as it stands."""

_aten = torch.ops.aten
_FILLING = {_aten.normal_.default, _aten.uniform_.default, _aten.bernoulli_.float, _aten.exponential_.default}
_LIKE = {_aten.randn_like.default, _aten.rand_like.default}
_MAKING = {_aten.randn.default, _aten.rand.default}


class DrawsByValue(Exception):
    """What is drawn depends on what is computed, so that it cannot be drawn beforehand."""


class Noted(TorchDispatchMode):
    """Notes what is drawn within it, each time with how to draw it again.

    Raises:
        DrawsByValue: An operation draws by values, or is none of those that are known to draw by sizes alone.

    Example:
        >>> with Noted() as noted:
        ...     x = torch.randn(2, 3) * torch.rand(3)
        >>> [tuple(found.shape) for _, found in noted.drawn]
        [(2, 3), (3,)]
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[tuple[Again, Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.drawn.append((_again(func, args, kwargs or {}), found))
        return found


class Given(TorchDispatchMode):
    """Within it nothing is drawn: noise that is there already takes the place, in the order of the asking.

    Args:
        noise: The noise.

    Example:
        >>> with Given([torch.ones(2)]):
        ...     torch.empty(2).normal_()
        tensor([1., 1.])
    """

    def __init__(self, noise: Sequence[Tensor]) -> None:
        super().__init__()
        self._noise = iter(noise)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        noise = next(self._noise)
        return args[0].copy_(noise) if func in _FILLING else noise


def _again(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Again:
    if func in _FILLING | _LIKE:
        like, *others = args
        size, stride, options = like.shape, like.stride(), {"dtype": like.dtype, "device": like.device}
        return lambda: func(torch.empty_strided(size, stride, **options), *others, **kwargs)
    if func in _MAKING:
        return lambda: func(*args, **kwargs)
    raise DrawsByValue(str(func))
