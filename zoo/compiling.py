"""Recorded operations compiled where that pays and works, and as they are where not."""

import logging
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from zoo.errors import ZooError
from zoo.keeping import generators_kept
from zoo.machine_code import machine_code

SWITCH = "ZOO_COMPILE"
"""The environment variable that says when to compile: `auto`, `always` or `never`."""

COMPILATION = 20.0
"""About how many seconds a compilation takes."""

SHARE = 0.4
"""About which share of its time a compiled function saves, at least."""

SPEED = {"cpu": 5e10, "cuda": 1e13}
"""About how many operations a second a core does, or a GPU, as it multiplies matrices."""

OVERHEAD = 5e-4
"""About how many seconds of a call are no arithmetic."""

_log = logging.getLogger(__name__)
_said: set[str] = set()


def switch() -> str:
    """What the environment says of when to compile.

    Raises:
        ZooError: ZOO_COMPILE is something else than `auto`, `always` or `never`.
    """
    found = os.environ.get(SWITCH, "auto")
    if found not in ("auto", "always", "never"):
        raise ZooError(f"{SWITCH} is {found!r}, where auto, always or never was expected.")
    return found


def compiles(calls: float, flops: float, device: torch.device | str = "cpu") -> bool:
    """Whether to compile a function that is going to be called so often: an estimate from sizes, never a timing.

    It is so where the calls to come would take long enough for the share that compilation saves to pay for it, unless
    the environment variable `ZOO_COMPILE` says `always` or `never`. The same sizes give the same answer on any day.

    Args:
        calls: How often it is going to be called.
        flops: How many operations its matrix products make at each call: two for each number of a weight and row.
        device: Where it runs.

    Raises:
        ZooError: ZOO_COMPILE is neither.

    Example:
        >>> compiles(calls=10, flops=1e6)
        False
    """
    when = switch()
    seconds = calls * (OVERHEAD + flops / SPEED.get(torch.device(device).type, SPEED["cpu"]))
    return when == "always" or (when == "auto" and SHARE * seconds > COMPILATION)


class Compiled:
    """A function of tensors that is recorded and compiled once the calls that were asked for would have paid for it.

    What it gives may depend on the tensors alone, and what it does on their shapes alone. Before the compiled version
    is used, what it gives is compared with what the function gives.

    Args:
        name: What the function does, in a few words, for the message.
        flops: How many operations its matrix products make at each call.

    Example:
        >>> Compiled("the logarithm", flops=2).version(torch.log1p, 10, torch.zeros(2)) is None
        True
    """

    def __init__(self, name: str, flops: float) -> None:
        self.name, self.flops, self.calls = name, flops, 0
        self._version: Callable[..., Tensor] | None = None
        self._tried = False

    def version(self, function: Callable[..., Tensor], calls: int, *inputs: Tensor) -> Callable[..., Tensor] | None:
        """The compiled version, or None where it does not pay yet or, after one message, cannot be made.

        Args:
            function: From tensors to a tensor; it is not held, since it may hold what holds this.
            calls: How many calls are asked for now.
            inputs: What it would be called with, as to shapes and types, contiguous.

        Raises:
            ZooError: The compiler fails and `ZOO_COMPILE` is `always`.
        """
        self.calls += calls
        if not self._tried and compiles(self.calls, self.flops, inputs[0].device):
            self._tried, self._version = True, self._compile(function, inputs)
        return self._version

    @torch.inference_mode(False)
    @torch.no_grad()
    def _compile(self, function: Callable[..., Tensor], given: Sequence[Tensor]) -> Callable[..., Tensor] | None:
        inputs = [each.clone(memory_format=torch.contiguous_format) for each in given]  # none of inference mode
        try:
            with generators_kept():
                recorded = make_fx(function)(*inputs)
                expected = function(*inputs)
        except Exception as error:
            _warn(self.name, error)
            return None
        version = compiled_graph(recorded, inputs, self.name)
        if version is recorded:
            return None
        if not torch.allclose(version(*inputs), expected, rtol=1e-4, atol=1e-4, equal_nan=True):
            _warn(self.name, ArithmeticError("the compiled version gives other numbers"))
            return None
        return version


def compiled_graph(graph: GraphModule, inputs: Sequence[Tensor], name: str, threads: int = 1) -> Callable[..., Any]:
    """A recorded graph compiled for such inputs.

    Weights that it holds may change in place. Each call costs less than one of `torch.compile`, which looks whether
    anything else has changed. Where it cannot be compiled, as where there is no C++ compiler, it is the graph itself,
    after one message that names the cause.

    Args:
        graph: Operations on tensors, with whatever else they need in its attributes.
        inputs: Tensors of the shapes and types to come.
        name: What it does, in a few words, for the message.
        threads: How many threads are to run it at once, each alone, where `runs_natively`; by default all run it once.

    Raises:
        ZooError: It cannot be compiled and `ZOO_COMPILE` is `always`.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the compiler's own: nothing that a user could do anything about
            return machine_code(graph, inputs, threads)
    except Exception as error:
        _say(name, error)
        return graph


def cause(error: Exception) -> str:
    """Why something could not be recorded or compiled, in a line."""
    if "tracing tensor" in str(error):  # by which torch means a value that was asked for
        return "what it does depends on values"
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()


def _say(name: str, error: Exception) -> None:
    if switch() == "always":
        raise ZooError(_message(name, error)) from error
    _warn(name, error)


def _warn(name: str, error: Exception) -> None:
    message = _message(name, error)
    if message not in _said:
        _said.add(message)
        rank_zero_only(_log.warning)(message)


def _message(name: str, error: Exception) -> str:
    return f"{name} is not compiled, which is slower and no less right: {cause(error)}"
