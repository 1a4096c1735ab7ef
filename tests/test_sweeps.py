"""Sweeps without W&B: what a file means, which runs there are, and that none is lost, repeated or begun anew."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.refused import refused
from zoo.cli import main
from zoo.errors import ZooError
from zoo.sweeps import Sweep, run_sweep
from zoo.sweeps.parameters import parameter

FILE: dict[str, Any] = {
    "program": "zoo",
    "command": ["${env}", "${interpreter}", "-m", "${program}", "fit", "${args}"],
    "method": "grid",
    "metric": {"name": "val/x", "goal": "maximize"},
    "parameters": {"x": {"values": [3, 1, 2]}, "steps": {"value": 2}},
}


@pytest.fixture(autouse=True)
def folder_of_a_fake_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    shutil.copy(Path(__file__).parent / "fake_zoo.py", "zoo.py")


def sweep_of(**more: Any) -> Sweep:
    Path("s.yaml").write_text(yaml.safe_dump({**FILE, **more}, sort_keys=False))
    return Sweep.read("s.yaml")


def begun() -> list[str]:
    return Path("begun").read_text().split()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_grid_is_run_whole_and_once(jobs: int) -> None:
    sweep = sweep_of()
    trials = run_sweep(sweep, Path("f"), jobs)
    assert [trial.parameters for trial in trials] == [{"x": x, "steps": 2} for x in (3, 1, 2)]
    assert [trial.result.value for trial in trials if trial.result] == [4, 2, 3]  # the last value: x + 1
    assert all(trial.run is not None for trial in trials)
    assert sorted(begun()) == ["1", "2", "3"]
    assert run_sweep(sweep, Path("f"), jobs) == trials  # again: nothing is left to run
    assert len(begun()) == 3


def test_more_runs_go_on_where_fewer_were_asked_for() -> None:
    assert [t.parameters["x"] for t in run_sweep(sweep_of(), Path("f"), count=1)] == [3]
    assert [t.parameters["x"] for t in run_sweep(sweep_of(), Path("f"), count=2)] == [3, 1]
    assert begun() == ["3", "1"]


def test_a_run_that_fails_is_reported_and_the_rest_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    sweep_of(parameters={"x": {"value": 1}, "fail": {"values": [True, False]}})
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "s.yaml"])
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert "run 1 failed: it was told to fail. (status 1; all it said: sweeps/s/1/output.log)" in said.err
    assert "the best again: zoo fit --x=1 --fail=False" in said.out
    rows = list(csv.DictReader(Path("sweeps/s/results.csv").read_text().splitlines()))
    assert [(row["status"], row["val/x"]) for row in rows] == [("failed", ""), ("finished", "3.0")]


def test_a_run_that_logs_no_metric_has_failed() -> None:
    (trial,) = run_sweep(sweep_of(metric={"name": "val/y"}), Path("f"), count=1)
    assert trial.error is not None and "it logged no val/y" in trial.error


def start(*more: str) -> subprocess.Popen[bytes]:
    """`zoo sweep`, the real one, by another process."""
    code = "import sys; sys.path.pop(0); from zoo.cli import main; main(sys.argv[1:])"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    words = [sys.executable, "-c", code, "sweep", str(Path("s.yaml").resolve()), "--folder=f", *more]
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def checkpoints() -> list[str]:
    return [path.read_text() for path in Path("f").rglob("last.ckpt")]


def test_a_sweep_that_is_killed_neither_repeats_nor_loses_a_run() -> None:
    sweep = sweep_of()
    Path("hold").touch()
    killed = start("--jobs=2")
    until(lambda: checkpoints() == ["1", "1"])
    killed.kill()  # and not its runs, which hold their folders: nobody else may work there
    killed.wait()
    threading.Timer(1.0, Path("hold").unlink).start()
    trials = run_sweep(sweep, Path("f"), jobs=2)
    assert [trial.result.value for trial in trials if trial.result] == [4, 2, 3]
    assert [trial.history("val/x") for trial in trials] == [[3, 4], [1, 2], [2, 3]]
    assert sorted(set(begun())) == ["1", "2", "3"]


def test_ctrl_c_lets_the_runs_save_and_the_same_command_goes_on() -> None:
    sweep = sweep_of()
    Path("hold").touch()
    stopped = start()
    until(lambda: checkpoints() == ["1"])
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(30) == 130
    Path("hold").unlink()
    trials = run_sweep(sweep, Path("f"))
    assert [trial.history("val/x") for trial in trials] == [[3, 4], [1, 2], [2, 3]]
    assert begun() == ["3", "3", "1", "2"]  # the first went on from its checkpoint


def test_two_processes_share_the_runs() -> None:
    sweep = sweep_of(parameters={"x": {"values": list(range(6))}, "pause": {"value": 0.1}})
    other = start()
    trials = run_sweep(sweep, Path("f"))
    assert other.wait(30) == 0
    assert [trial.parameters["x"] for trial in trials] == list(range(6))
    assert sorted(begun()) == [str(x) for x in range(6)]


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_chance_follows_the_seed_and_not_how_often_it_was_interrupted(method: str) -> None:
    sweep = sweep_of(method=method, parameters={"x": {"min": 0.0, "max": 1.0}, "steps": {"values": [1, 2]}})
    at_once = run_sweep(sweep, Path("f"), count=3, seed=5)
    for count in (1, 3):
        in_parts = run_sweep(sweep, Path("g"), count=count, seed=5)
    other = run_sweep(sweep, Path("h"), count=1, seed=6)
    assert [t.parameters for t in in_parts] == [t.parameters for t in at_once]
    assert len({t.parameters["x"] for t in [*at_once, *other]}) == 4


def test_a_run_that_is_far_behind_is_stopped() -> None:
    parameters = {"x": {"values": [5, 9, 1]}, "steps": {"value": 30}, "pause": {"value": 0.05}}
    sweep = sweep_of(parameters=parameters, early_terminate={"type": "hyperband", "min_iter": 2})
    trials = run_sweep(sweep, Path("f"))
    assert [trial.result.status for trial in trials if trial.result] == ["finished", "finished", "stopped early"]
    assert 2 < len(trials[2].history("val/x")) < 30


def test_what_a_distribution_means() -> None:
    kinds = {
        "values": parameter("x", {"values": [[8, 4], None, 1e-5]}),
        "int": parameter("x", {"min": 1, "max": 4}),
        "log": parameter("x", {"distribution": "log_uniform_values", "min": 1e-4, "max": 1}),
        "q": parameter("x", {"distribution": "q_uniform", "min": 0, "max": 100, "q": 20}),
    }
    assert [kinds["values"].value(raw) for raw in kinds["values"].grid()] == [[8, 4], None, 1e-5]
    assert kinds["int"].grid() == [1, 2, 3, 4]
    assert [kinds["q"].value(drawn) for drawn in (0.0, 9.9, 29.0, 100.0)] == [0, 0, 20, 100]
    assert kinds["log"].distribution._asdict()["log"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"controler": {}}, "controler is not known here"),
    "method": ({"method": "gird"}, "method is gird"),
    "metric": ({"metric": {"name": "x", "target": 3}}, "metric has target"),
    "goal": ({"metric": {"name": "x", "goal": "max"}}, "goal is max"),
    "macro": ({"command": ["zoo", "fit", "${args_json}"]}, r"\$\{args_json\}, which is not known"),
    "command": ({"command": ["python", "train.py"]}, "only `zoo fit` is known here"),
    "nested": ({"parameters": {"model": {"parameters": {"k": {"value": 1}}}}}, "parameter model: it is nested"),
    "distribution": ({"parameters": {"x": {"distribution": "beta"}}}, "parameter x: the distribution 'beta'"),
    "text": ({"parameters": {"x": {"min": "1e-3", "max": 1.0}}}, "YAML reads 1e-3 as text"),
    "twice": ({"parameters": {"x": {"values": [1, 1]}}}, "different values"),
    "order": ({"parameters": {"x": {"min": 2, "max": 1}}}, "min is 2 and max is 1"),
    "probabilities": ({"parameters": {"x": {"values": [1], "probabilities": [1]}}}, "probabilities is not known"),
    "endless grid": ({"parameters": {"x": {"min": 0.0, "max": 1.0}}}, "a grid cannot hold a uniform"),
    "early": ({"early_terminate": {"type": "median"}}, "hyperband"),
    "bands": ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "max_iter and s"),
}


@pytest.mark.parametrize(("more", "why"), BAD.values(), ids=BAD)
def test_what_is_not_known_is_refused_by_name(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ZooError, match=why):
        sweep_of(**more)


def test_refusals_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZooError, match=r"no sweep file 'latent_dims'.*Did you mean latent_dim\?"):
        Sweep.read("latent_dims")
    with pytest.raises(ZooError, match="has no end: say --count"):
        run_sweep(sweep_of(method="random"), Path("f"))
    run_sweep(sweep_of(), Path("f"), count=1)
    with pytest.raises(ZooError, match="holds another sweep"):
        run_sweep(sweep_of(parameters={"x": {"value": 7}}), Path("f"))
    assert "jobs is 0" in refused("sweep s.yaml --jobs=0", capsys)
