"""Graphs are compiled where that pays and works, and else run as they are after one message."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from zoo import compiling
from zoo.compiling import compiled_graph, compiles
from zoo.errors import ZooError


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of compiling; torch has loggers of its own."""
    return [record.getMessage() for record in caplog.records if record.name == compiling.__name__]


@pytest.fixture(autouse=True)
def auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "auto")
    monkeypatch.setattr(compiling, "_said", set())


def double(x: Tensor) -> Tensor:
    return x + x


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> GraphModule:
    """A graph, where nothing can be compiled."""

    def refuse(*args: Any, **options: Any) -> None:
        raise RuntimeError("\nno C++ compiler\nand much more")

    monkeypatch.setattr(compiling, "machine_code", refuse)
    return make_fx(double)(torch.ones(3))


def test_it_pays_where_the_calls_to_come_take_much_longer_than_a_compilation() -> None:
    assert not compiles(calls=1, flops=1e12)
    assert compiles(calls=1, flops=1e13)
    assert not compiles(calls=1, flops=1e13, device="cuda")
    assert compiles(calls=1_000_000, flops=0)
    assert not compiles(calls=1_000, flops=1e6)


@pytest.mark.parametrize(("switch", "expected"), [("always", True), ("never", False)])
def test_the_environment_has_the_last_word(monkeypatch: pytest.MonkeyPatch, switch: str, expected: bool) -> None:
    monkeypatch.setenv("ZOO_COMPILE", switch)
    assert compiles(calls=1, flops=1) == compiles(calls=1e9, flops=1e9) == expected


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "yes")
    with pytest.raises(ZooError, match="ZOO_COMPILE is 'yes', where auto, always or never was expected"):
        compiles(1, 1)


def test_what_cannot_be_compiled_runs_as_it_is_after_one_message(
    graph: GraphModule, caplog: pytest.LogCaptureFixture
) -> None:
    x = torch.ones(3)
    assert all(torch.equal(compiled_graph(graph, [x], "a sum")(x), 2 * x) for _ in range(2))
    assert said(caplog) == ["a sum is not compiled, which is slower and no less right: no C++ compiler"]


def test_always_means_always(graph: GraphModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "always")
    with pytest.raises(ZooError, match="a sum is not compiled"):
        compiled_graph(graph, [torch.ones(3)], "a sum")
