"""Products that compiled code leaves to oneDNN are those that it had: on any processor, though few compile by it."""

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.profiler import ProfilerActivity, profile

from zoo import IWAE, machine_code, products
from zoo.bundles.recording import RecordedStep
from zoo.bundles.shares import compile_step
from zoo.compiling import compiled_graph
from zoo.machine_code import multiplies_narrowly

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "always")
    monkeypatch.setattr(machine_code, "multiplies_narrowly", lambda: True)
    monkeypatch.setattr(products, "SMALL", 0)
    monkeypatch.setitem(machine_code.CPU, "cpp.enable_kernel_profile", True)  # so that calls have names


def multiply(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """Products of all ways in which matrices can lie, and one in double precision."""
    y = x @ weight.T
    return y, y.T @ x, (y * 2).T @ (x + 1), y @ weight, x.T @ y, (x.double() @ weight.T.double()).sum(1)


@pytest.mark.parametrize("rows", [1, 3, 130])  # of which both ways to have the gradient of a weight are taken
def test_products_are_those_of_torch_however_matrices_lie(rows: int) -> None:
    x, weight = torch.randn(rows, 17, dtype=torch.float32), torch.randn(33, 17, dtype=torch.float32)
    graph = make_fx(multiply)(x, weight)
    plain, compiled = multiply(x, weight), compiled_graph(graph, [x, weight], "products")
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        found = compiled(x, weight)
    calls = {event.key.rpartition("_cpu_")[2]: event.count for event in watched.key_averages()}
    assert calls["_linear_pointwise"] == 5 and calls["mm_out"] == 1, "the last one is in double precision"
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        assert a.is_contiguous()


def test_small_ones_stay_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "SMALL", 2 * 7 * 5 * 3)
    x, weight, smaller = torch.randn(7, 5), torch.randn(5, 3), torch.randn(3, 2)
    graph = products.by_onednn(make_fx(lambda x, weight, smaller: x @ weight @ smaller)(x, weight, smaller))
    called = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert called == [products.product._opoverload, torch.ops.aten.mm.default]


def test_maps_may_follow_each_other_with_nothing_between() -> None:
    network, x = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Linear(7, 3)).float(), torch.randn(4, 5).float()
    compiled = compiled_graph(make_fx(network)(x), [x], "two maps")  # where it fails it raises, by ZOO_COMPILE
    torch.testing.assert_close(compiled(x), network(x), rtol=1e-5, atol=1e-5)


def test_the_gradient_of_a_step_is_the_models_own() -> None:
    model = IWAE(x_shape=(1, 5, 3), latent_dim=2, k=7).float()
    x = (torch.rand(11, 1, 5, 3) < 0.4).float()
    step = RecordedStep(model, x)
    compile_step(step, x)
    torch.manual_seed(1)
    found = step(x)
    torch.manual_seed(1)
    model.loss(x).backward()
    for parameter, gradient in zip(step.parameters, found.gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-5)
        assert gradient is not None and gradient.stride() == parameter.stride(), "an optimiser takes them for the same"
    assert found.loss.isfinite()


def test_where_mkl_is_at_its_best_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert not multiplies_narrowly()
