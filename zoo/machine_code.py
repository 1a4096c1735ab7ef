"""What torch's compiler makes of recorded operations, and what it is told."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch._inductor
from torch import Tensor
from torch.fx import Graph, GraphModule
from torch.torch_version import TorchVersion

OPTIONS: dict[str, Any] = {
    "fallback_random": True,  # the draws of torch's own generators
    "cpp.use_decompose_tanh": True,  # a tanh of one exponential, where its own is slower than all else
    "realize_acc_reads_threshold": 64,  # no sum over pixels goes through memory
    "realize_opcount_threshold": 512,
}
"""What torch's compiler is told."""

CPU: dict[str, Any] = {}
"""And on a CPU besides."""


@runtime_checkable
class Shareable(Protocol):
    """Compiled operations that several threads may run at once: those of `zoo.native.Native`."""

    def __call__(self, *inputs: Tensor) -> Any:
        """What the operations give."""
        ...

    def each(self, shares: Sequence[Sequence[Tensor]]) -> list[Any]:
        """What they give of each of several inputs, all at once."""
        ...

    def into(self, following: Any, shares: Sequence[Sequence[Tensor]], *first: Tensor) -> Any:
        """What other operations give of ``first`` and then of all that these give of each of the inputs."""
        ...


def machine_code(graph: GraphModule, inputs: Sequence[Tensor], threads: int) -> Callable[..., Any]:
    """What torch's compiler makes of a graph.

    Raises:
        Exception: Whatever the compilers raise, where there is none or they cannot.
    """
    on_cpu = all(each.is_cpu for each in inputs)
    ready = _with_free_biases(graph)
    if on_cpu and multiplies_narrowly():
        from zoo.products import by_onednn  # here, because it imports the compiler

        ready = by_onednn(ready)
    for node in ready.graph.nodes:
        node.meta.clear()  # shapes as one recording saw them, which those of another would not go with
    if on_cpu and runs_natively():
        from zoo.native import Native

        return Native(ready, inputs, threads, **OPTIONS | CPU)
    return torch._inductor.compile(ready, list(inputs), options=OPTIONS | ({"cpp_wrapper": True} if on_cpu else {}))  # pyright: ignore[reportReturnType]


def layout(x: Tensor) -> tuple[Any, ...]:
    """What operations that were chosen for a tensor take for granted.

    Example:
        >>> layout(torch.zeros(2, 3)) == layout(torch.zeros(3, 2).t())
        False
    """
    return x.shape, x.stride(), x.dtype, x.device


def multiplies_narrowly() -> bool:
    """Whether torch's matrix products use half of this processor: MKL takes AVX-512 on those of Intel alone.

    oneDNN takes it on all, and compiled code can ask for it.
    """
    processor = Path("/proc/cpuinfo")
    return (
        TorchVersion(torch.__version__) >= "2.13"
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and processor.is_file()
        and "GenuineIntel" not in processor.read_text()
    )


def runs_natively() -> bool:
    """Whether compiled code can run without Python: see `zoo.native`."""
    return sys.platform == "linux" and TorchVersion(torch.__version__) >= "2.13"


def _with_free_biases(recorded: GraphModule) -> GraphModule:
    """A copy that adds each bias by itself, which compiled code does as it goes on with the product."""
    aten, graph = torch.ops.aten, Graph()
    graph.output(graph.graph_copy(recorded.graph, {}))
    for node in graph.find_nodes(op="call_function", target=aten.addmm.default):
        bias, *factors = node.args
        if not node.kwargs:
            with graph.inserting_before(node):
                product = graph.call_function(aten.mm.default, tuple(factors))
                minus_bias = graph.call_function(aten.neg.default, (bias,))  # a sum would be joined to addmm again
                result = graph.call_function(aten.sub.Tensor, (product, minus_bias))
                result.meta = dict(node.meta)
                node.replace_all_uses_with(result)
            graph.erase_node(node)
    return GraphModule(recorded, graph)
