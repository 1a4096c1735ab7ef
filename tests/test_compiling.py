"""Functions are compiled where that pays and works, and else run as they are after one message."""

import pytest
import torch
from torch import Tensor

from zoo import compiling
from zoo.compiling import Compiled, compiled, compiles
from zoo.errors import ZooError


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of compiling; torch has loggers of its own."""
    return [record.getMessage() for record in caplog.records if record.name == compiling.__name__]


@pytest.fixture(autouse=True)
def auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "auto")
    monkeypatch.setattr(compiling, "_said", set())


def nonsense(x: Tensor) -> Tensor:
    """A function whose control flow follows its values, which no graph can hold."""
    return x + 1 if x.sum().item() > 0 else x - 1


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
    assert isinstance(compiled(nonsense, "nonsense", 1, 1), Compiled) == expected


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "yes")
    with pytest.raises(ZooError, match="ZOO_COMPILE is 'yes', where auto, always or never was expected"):
        compiles(1, 1)


def test_what_cannot_be_compiled_runs_as_it_is_after_one_message(caplog: pytest.LogCaptureFixture) -> None:
    x = torch.ones(3)
    function = Compiled(nonsense, "nonsense")
    assert all(torch.equal(function(sign * x), nonsense(sign * x)) for sign in (1, -1))
    assert torch.equal(Compiled(nonsense, "nonsense")(x), x + 1)
    assert len(said(caplog)) == 1
    assert said(caplog)[0].startswith("nonsense is not compiled, which is slower and no less right: ")


def test_always_means_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "always")
    with pytest.raises(ZooError, match="nonsense is not compiled"):
        Compiled(nonsense, "nonsense")(torch.ones(3))


def test_an_error_of_the_function_is_raised_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match="size"):
        Compiled(torch.add, "a sum")(torch.ones(3), torch.ones(2))
    assert not said(caplog)
