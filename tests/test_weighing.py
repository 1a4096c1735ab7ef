"""Many draws are weighed by compiled code: the same log-weights, as many of them, whatever the blocks."""

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from callbacks import LogLikelihood
from tests.linear import same
from tests.plain_code import PlainCode
from tests.small import KINDS, SmallImages, quiet_trainer, small_model, small_x
from zoo import cache, compiling

ROW = 8 * 256
"""The bytes of a decoded draw."""


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Compiles at once, which here is to record and to take the record as it is; the records."""
    records: list[Any] = []

    def take(graph: Any, inputs: Any, threads: int) -> Any:
        records.append(graph)
        return PlainCode(graph, inputs)

    monkeypatch.setenv("ZOO_COMPILE", "always")
    monkeypatch.setattr(compiling, "machine_code", take)
    monkeypatch.setattr(compiling, "_said", set())
    return records


@pytest.mark.parametrize(
    ("kind", "rows", "n"),
    [
        *((kind, 6, 7) for kind in KINDS),  # blocks that overlap
        *((kind, 1, 7) for kind in ("iwae", "prior")),  # parts of the draws of an example
        *((kind, 40, 7) for kind in ("iwae", "prior")),  # all at once
        *((kind, 6, 1) for kind in ("iwae", "prior")),  # one image
    ],
)
def test_blocks_move_no_number(
    monkeypatch: pytest.MonkeyPatch, compiled: list[Any], kind: str, n: int, rows: int
) -> None:
    model, x, k = small_model(kind), small_x(n).round(), 11
    whole = model.log_weights(x, k, chunk=k)
    monkeypatch.setattr(cache, "core_cache", lambda: rows * ROW // torch.get_num_threads())
    log_w = model.log_weights(x, k)
    assert log_w.shape == (k, n)
    assert compiled or kind == "vamp"  # whose densities look at values
    same(log_w, whole)
    same(model.log_likelihood(x, k), whole.logsumexp(0) - torch.tensor(k).log())


def test_one_record_serves_while_the_weights_move(compiled: list[Any]) -> None:
    model, x = small_model("iwae"), small_x(7).round()
    for _ in range(3):
        same(model.log_weights(x, 11), model.log_weights(x, 11, chunk=4))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.1)
    assert len(compiled) == 1


def halve(model: Any) -> None:
    model.decoder = copy.deepcopy(model.decoder)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(0.5)


def to_single(model: Any) -> None:
    model.float()


def without_tanh(model: Any) -> None:
    parent, name = next(
        (part, name)
        for part in model.decoder.modules()
        for name, child in part.named_children()
        if isinstance(child, torch.nn.Tanh)
    )
    setattr(parent, name, torch.nn.Sigmoid())


def hook(model: Any) -> None:
    model.decoder.register_forward_hook(lambda module, inputs, output: 2 * output)


def strides(model: Any) -> None:
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data = parameter.data.t().contiguous().t()


@pytest.mark.parametrize("change", [halve, to_single, without_tanh, hook, strides])
def test_a_model_that_has_changed_is_recorded_anew(compiled: list[Any], change: Callable[[Any], None]) -> None:
    model, x = small_model("iwae"), small_x(7).round()
    model.log_weights(x, 11)
    change(model)
    x = x.to(model.dtype)
    torch.testing.assert_close(model.log_weights(x, 11), model.log_weights(x, 11, chunk=4))
    assert len(compiled) == 2


def test_methods_that_replace_each_other_are_told_apart(compiled: list[Any]) -> None:
    model, x = small_model("iwae"), small_x(7).round()
    decode = type(model).decode
    for sign in (1, -1):
        model.decode = lambda z, sign=sign: decode(model, sign * z)  # type: ignore[method-assign]
        same(model.log_weights(x, 11), model.log_weights(x, 11, chunk=4))
        del model.decode
    assert len(compiled) == 2


def test_what_depends_on_the_trainer_is_not_recorded(compiled: list[Any], caplog: Any) -> None:
    model, x = small_model("iwae"), small_x(7).round()
    model.trainer, decode = SimpleNamespace(current_epoch=1), type(model).decode  # type: ignore[assignment]
    model.decode = lambda z: decode(model, z * (1 + model.trainer.current_epoch))  # type: ignore[method-assign]
    same(model.log_weights(x, 11), model.log_weights(x, 11, chunk=4))
    assert not compiled and "asks the trainer for `current_epoch`" in caplog.text


def test_an_image_may_lie_in_memory_in_another_order(compiled: list[Any]) -> None:
    model, x = small_model("iwae"), small_x(7).round()
    other = x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
    same(model.log_weights(other, 11), model.log_weights(x, 11, chunk=4))
    assert len(compiled) == 1


def test_a_copy_has_a_record_of_its_own(compiled: list[Any]) -> None:
    model, x = small_model("iwae"), small_x(7).round()
    model.log_weights(x, 11)
    again = copy.deepcopy(model)
    halve(again)
    same(again.log_weights(x, 11), again.log_weights(x, 11, chunk=4))
    assert len(compiled) == 2


def test_a_decoder_that_depends_on_values_is_not_recorded(compiled: list[Any], caplog: Any) -> None:
    model, x = small_model("prior"), small_x(7).round()
    decode = model.decode
    model.decode = lambda z: decode(z if z.sum().item() > 1e9 else -z)  # type: ignore[method-assign]
    same(model.log_weights(x, 11), model.log_weights(x, 11, chunk=4))
    assert not compiled and "the estimate of log p(x) is not compiled" in caplog.text
    assert "what it does depends on values" in caplog.text


def test_code_that_gives_other_numbers_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "always")
    monkeypatch.setattr(compiling, "machine_code", lambda graph, *_: lambda *inputs: graph(*inputs) + 1)
    monkeypatch.setattr(compiling, "_said", set())
    model, x = small_model("iwae"), small_x(7).round()
    same(model.log_weights(x, 11), model.log_weights(x, 11, chunk=4))
    assert "gives other numbers" in caplog.text


def test_it_waits_until_it_pays(monkeypatch: pytest.MonkeyPatch, compiled: list[Any]) -> None:
    monkeypatch.setenv("ZOO_COMPILE", "auto")
    monkeypatch.setattr(compiling, "COMPILATION", 3.5 * compiling.SHARE * compiling.OVERHEAD)
    model, x = small_model("iwae"), small_x(7).round()
    found = []
    for _ in range(5):
        model.log_weights(x, 11)
        found.append(len(compiled))
    assert found == [0, 0, 0, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_in_a_test_run_it_gives_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    monkeypatch.setattr(cache, "core_cache", lambda: 3 * ROW // torch.get_num_threads())  # a few blocks for a batch
    found = []
    for switch in ("never", "always"):
        monkeypatch.setenv("ZOO_COMPILE", switch)
        pl.seed_everything(5, verbose=False)
        model, trainer = small_model(kind), quiet_trainer(tmp_path, LogLikelihood(k=[3, 37]))
        for factor in (1.0, 1.1):  # the weights move, and the code stays
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(factor)
            tested = trainer.test(model, SmallImages(sizes=(83, 11, 13)), verbose=False)[0]
        found.append(tested)
        versions = [each._version for each in model._weighing._blocks.values()]
        assert any(versions) == (switch == "always" and kind != "vamp")
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        assert found[1][key] == pytest.approx(value, rel=1e-7, abs=1e-9), key
