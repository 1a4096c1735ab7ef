"""Matrix products of compiled code by oneDNN.

It rests on parts of torch's compiler that are not public, and is imported only where
`machine_code.multiplies_narrowly`.
"""

from typing import Any

import torch
from torch import Tensor
from torch._inductor.ir import FixedLayout, TensorBox
from torch._inductor.lowering import lowerings, permute, register_lowering
from torch._inductor.mkldnn_ir import LinearUnary, _create_output_node
from torch.fx import GraphModule, Node

SMALL = 4e6
"""How many operations a product has at least to be made sooner by oneDNN, whose calls cost some microseconds more."""

_aten = torch.ops.aten
_CONTIGUOUS: dict[str, Any] = {"memory_format": torch.contiguous_format}


def by_onednn(graph: GraphModule) -> GraphModule:
    """Replaces each product of matrices by one that compiled code leaves to oneDNN, but for small ones.

    Its first factor has to be contiguous, and is copied where it is not: as in the gradient of a weight, Gᵀx, which may
    be had as (xᵀG)ᵀ as well.

    Args:
        graph: A graph of operations that holds the shapes which were recorded; it is changed.
    """
    for node in graph.graph.find_nodes(op="call_function", target=_aten.mm.default):
        a, b = node.args
        if 2 * a.meta["val"].numel() * b.meta["val"].shape[1] < SMALL:
            continue
        with graph.graph.inserting_before(node):
            call = graph.graph.call_function
            if a.target is _aten.t.default and _better_turned(a, b):
                transposed = call(product._opoverload, (call(_aten.t.default, (b,)), a.args[0]))
                result = call(_aten.clone.default, (call(_aten.t.default, (transposed,)),), _CONTIGUOUS)
            else:
                result = call(product._opoverload, (a, b))
            result.meta = dict(node.meta)
        node.replace_all_uses_with(result)
        graph.graph.erase_node(node)
    graph.recompile()
    return graph


def _better_turned(a: Node, b: Node) -> bool:
    """Whether copies of b and of the result are smaller than a."""
    (n, m), p = a.meta["val"].shape, b.meta["val"].shape[1]
    return (m + n) * p < n * m


@torch.library.custom_op("zoo::product", mutates_args=())
def product(a: Tensor, b: Tensor) -> Tensor:
    """The product of two matrices, which the compiler leaves to oneDNN where they hold floats."""
    return a @ b


@product.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[1])


class _OneDNN(LinearUnary):
    """A call of oneDNN that takes the second factor as it lies in memory."""

    @classmethod
    def of(cls, a: Any, b: Any) -> Any:
        x, weight = cls.require_contiguous(cls.realize_input(a)), cls.realize_input(permute(b, [1, 0]))
        layout = FixedLayout(x.get_device(), x.get_dtype(), [x.get_size()[0], weight.get_size()[0]])
        return _create_output_node(cls(layout, [x, weight], [None, "none", [-1], ""]))


@register_lowering(product._opoverload, type_promotion_kind=None)
def _compiled(a: Any, b: Any) -> Any:
    if a.get_dtype() != torch.float32:
        return lowerings[_aten.mm.default](a, b)
    return TensorBox.create(_OneDNN.of(a, b))
