"""The log-probability of binary pixels in few passes: its values, its gradients, and where it is traced."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from tests.linear import same
from zoo.compiling import compiled_graph
from zoo.likelihoods.logits import log_prob

SHAPES = [
    ((3, 7, 13), (7, 13)),
    ((3, 7, 16), (16,)),
    ((7, 24), (7, 24)),
    ((24,), (5, 24)),
    ((3, 1, 6), ()),
    ((13,), (13,)),
]


Step = Callable[..., tuple[Tensor, Tensor]]


def plain(logits: Tensor, x: Tensor) -> Tensor:
    """The formula itself."""
    return (x * logits - F.softplus(logits)).sum(-1)


def case(of_logits: tuple[int, ...], of_x: tuple[int, ...], scale: float = 5.0) -> tuple[Tensor, Tensor]:
    return scale * torch.randn(of_logits), torch.rand(of_x)


@pytest.mark.parametrize("differentiated", [False, True])
@pytest.mark.parametrize("scale", [5.0, 900.0])  # with the second e^l overflows
@pytest.mark.parametrize("shapes", SHAPES)
def test_it_is_the_formula(shapes: tuple[tuple[int, ...], ...], scale: float, differentiated: bool) -> None:
    logits, x = case(*shapes, scale)
    with torch.set_grad_enabled(differentiated):
        found = log_prob(logits, x)
    torch.testing.assert_close(found, plain(logits, x), rtol=1e-13, atol=1e-12)


def test_logits_without_end_are_the_limits() -> None:
    logits = torch.tensor([[torch.inf, 1.0], [-torch.inf, 1.0], [torch.nan, 1.0]])
    with torch.no_grad():
        found = log_prob(logits, torch.tensor([0.0, 0.0]))
    assert found[2].isnan() and not found[1].isfinite()  # 0 times infinity is no number in the formula either
    assert torch.equal(found.isfinite(), plain(logits, torch.zeros(2)).isfinite())


@pytest.mark.parametrize("shapes", SHAPES)
def test_its_gradients_are_those_of_the_formula_and_can_be_differentiated(shapes: tuple[tuple[int, ...], ...]) -> None:
    logits, x = (each.requires_grad_() for each in case(*shapes, scale=3.0))
    assert torch.autograd.gradcheck(log_prob, (logits, x))
    assert torch.autograd.gradgradcheck(log_prob, (logits, x))


def test_a_gradient_that_is_not_asked_for_is_not_made() -> None:
    logits, x = case((3, 7, 13), (7, 13))
    log_prob(logits.requires_grad_(), x).sum().backward()
    same(logits.grad, x - logits.detach().sigmoid())
    assert x.grad is None


@pytest.mark.parametrize("grad", [False, True])
def test_it_can_be_mapped_over_an_axis(grad: bool) -> None:
    logits, x = case((4, 7, 13), (4, 7, 13))
    with torch.set_grad_enabled(grad):
        same(torch.vmap(log_prob)(logits, x), plain(logits, x))
        same(torch.vmap(log_prob, in_dims=(None, 0))(logits[0], x), plain(logits[0], x))
    each = torch.vmap(torch.func.grad(lambda logits, x: log_prob(logits, x).sum()))(logits, x)
    same(each, x - logits.sigmoid())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of torch's forward mode
def test_it_has_a_forward_derivative() -> None:
    (logits, x), (of_logits, of_x) = case((3, 7, 13), (7, 13)), case((3, 7, 13), (7, 13))
    found = torch.func.jvp(log_prob, (logits, x), (of_logits, of_x))[1]
    same(found, ((x - logits.sigmoid()) * of_logits + logits * of_x).sum(-1))


def test_a_gradient_may_be_taken_through_a_map() -> None:
    logits, x = case((7, 13), (4, 7, 13))
    torch.vmap(log_prob, in_dims=(None, 0))(logits.requires_grad_(), x).sum().backward()
    same(logits.grad, (x - logits.detach().sigmoid()).sum(0))


def traced_step(logits: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """A value and its gradient, as a training step takes them."""
    logits = logits.detach().requires_grad_()
    value = log_prob(logits, x)
    return value.detach(), torch.autograd.grad(value.sum(), logits)[0]


@pytest.mark.parametrize("trace", [make_fx, lambda f: make_fx(f, tracing_mode="fake")])
def test_a_trace_holds_for_other_values(trace: Callable[..., Callable[..., Step]]) -> None:
    graph = trace(traced_step)(*case((3, 7, 13), (7, 13)))
    for scale in (5.0, 900.0):
        logits, x = case((3, 7, 13), (7, 13), scale)
        value, slope = graph(logits, x)
        torch.testing.assert_close(value, plain(logits, x), rtol=1e-13, atol=1e-12)
        same(slope, x - logits.sigmoid())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_it_gives_the_same(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "always")
    inputs = [each.to(dtype) for each in case((3, 7, 112), (7, 112))]
    compiled = compiled_graph(make_fx(traced_step)(*inputs), inputs, "the log-probability")
    digits = 50 * torch.finfo(dtype).eps
    for scale in (5.0, 90.0):
        logits, x = (each.to(dtype) for each in case((3, 7, 112), (7, 112), scale))
        for found, expected in zip(compiled(logits, x), traced_step(logits, x), strict=True):
            torch.testing.assert_close(found, expected, rtol=digits, atol=digits)


def test_in_single_precision_an_image_is_known_to_a_thousandth_of_a_nat() -> None:
    logits, x = case((50, 7, 784), (7, 784), scale=4.0)
    x = x.round()
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            found = log_prob(logits.float(), x.float())
        assert (found - plain(logits.float().double(), x)).abs().max() < 1e-3
