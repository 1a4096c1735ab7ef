"""Machine code that runs without Python gives what its operations give, from one thread or several at once."""

import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from zoo.compiling import compiled_graph
from zoo.machine_code import machine_code, runs_natively

pytestmark = pytest.mark.skipif(not runs_natively(), reason="it does not here")

ROWS, N_IN, N_OUT = 3, 5, 7


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


class Layer(nn.Module):
    """A layer that keeps a sum of what it has made."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(N_OUT, N_IN))
        self.total = torch.zeros(ROWS, N_OUT)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, None, Tensor]:
        h = (x @ self.weight.t() + y).tanh()
        self.total.add_(h)
        return h, None, h.sum()


def inputs(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, N_IN, generator=generator), torch.randn(ROWS, N_OUT, generator=generator)


def test_it_gives_what_the_operations_give_while_weights_move() -> None:
    layer = Layer()
    code = machine_code(make_fx(layer)(*inputs(0)), inputs(0), 1)
    layer.total.zero_()
    for seed in (1, 2):
        h, nothing, total = code(*inputs(seed))
        found = layer.total.clone()
        layer.total -= h
        expected, _, expected_total = layer(*inputs(seed))
        assert nothing is None
        torch.testing.assert_close((h, total, found), (expected, expected_total, layer.total))
        layer.weight.mul_(1.5)
    layer.weight.data = torch.ones(N_OUT, N_IN)
    torch.testing.assert_close(code(*inputs(3))[0], layer(*inputs(3))[0])


def double(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * x, (x.sum() + y).exp()


def add(first: Tensor, *others: Tensor) -> Tensor:
    return first - sum((i * each.sum() for i, each in enumerate(others, 1)), torch.zeros(()))


def test_several_threads_run_it_at_once_and_give_what_they_find_to_other_code() -> None:
    shares = [inputs(seed) for seed in (1, 2, 3, 4)]
    code: Any = machine_code(make_fx(double)(*shares[0]), shares[0], 4)
    expected = [double(*share) for share in shares]
    torch.testing.assert_close(code.each(shares), expected)
    torch.testing.assert_close(code.each(shares[:2]), expected[:2])
    first, between = inputs(5)[0], [each for found in expected for each in found]
    other = machine_code(make_fx(add)(first, *between), [first, *between], 1)
    torch.testing.assert_close(code.into(other, shares, first), add(first, *between))
    torch.testing.assert_close(other(first, *between), add(first, *between))
    with pytest.raises(ValueError, match="by 4 threads, and not by 5"):
        code.each([*shares, shares[0]])
    with pytest.raises(ValueError, match="another number of tensors"):
        code.into(other, shares[:3], first)


def test_what_it_holds_and_what_it_is_given_is_free_afterwards() -> None:
    x, y = inputs(1)
    layer = Layer()
    code = machine_code(make_fx(layer)(x, y), (x, y), 1)
    held, (h, *_) = layer.weight._use_count(), code(x, y)
    counts = x._use_count(), y._use_count(), h._use_count()
    for _ in range(3):
        code(x, y)
    assert (x._use_count(), y._use_count(), h._use_count()) == counts == (1, 1, 1)
    gone = weakref.ref(code)
    del code
    assert gone() is None and layer.weight._use_count() < held


def test_tensors_that_lie_otherwise_are_refused() -> None:
    x, y = inputs(1)
    code = machine_code(make_fx(double)(x, y), (x, y), 1)
    for other in (x.double() if x.dtype == torch.float32 else x.float(), x[:2], x.t().contiguous().t()):
        with pytest.raises(ValueError, match="other shapes, types or strides"):
            code(other, y)


def test_where_what_runs_it_cannot_be_built_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo import native  # where it can be

    def fail(*args: Any) -> None:
        raise RuntimeError("no compiler")

    native._glue.cache_clear()
    monkeypatch.setattr(native.CppCodeCache, "load", fail)
    x, y = inputs(1)
    graph = make_fx(double)(x, y)
    assert compiled_graph(graph, (x, y), "a product") is graph


def triple(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return 3 * x, y


def test_code_is_compiled_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = inputs(1)
    graph = make_fx(triple)(x, y)
    machine_code(graph, (x, y), 1)

    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("it is compiled again")

    monkeypatch.setattr(torch._inductor, "aot_compile", fail)
    torch.testing.assert_close(machine_code(graph, (x, y), 1)(x, y), triple(x, y))
    for elsewhere in ("zoo.native._processor", "torch.get_num_threads"):
        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="compiled again"):
            patch.setattr(elsewhere, lambda: "another")
            machine_code(graph, (x, y), 1)
    for others, threads in (((x, y), 2), ((x[:2], y[:2]), 1), ((x.t().contiguous().t(), y), 1)):
        with pytest.raises(RuntimeError, match="compiled again"):
            machine_code(graph, others, threads)
    with pytest.raises(RuntimeError, match="compiled again"):
        machine_code(make_fx(lambda x, y: (3.5 * x, y))(x, y), (x, y), 1)
