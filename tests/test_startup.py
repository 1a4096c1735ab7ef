"""What is imported when: a command that only says something waits for nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo.cli import main
from zoo.cli.lightning_cli import ZooCLI

SAID = """
import sys
from zoo.cli import main
try:
    main(sys.argv[1:])
finally:
    assert not {"torch", "numpy", "pytorch_lightning", "jsonargparse"} & set(sys.modules), sorted(sys.modules)
"""

ASKED = """
import sys
import zoo
assert zoo.__version__ and "torch" not in sys.modules
from zoo.checkpoints import path_of
from zoo.networks.mlp import MLP
assert path_of(MLP) == "zoo.MLP"  # though no name of the zoo has been asked for
assert zoo.networks.MLP is zoo.MLP is MLP
heavy = {"sklearn", "wandb", "mlxtend", "tensorboard", "callbacks", "datamodules"} & set(sys.modules)
assert not heavy, heavy
"""


def python(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("--help", 0, "predict"),
        ("-h", 0, "trains a model, then tests it"),
        ("--version", 0, f"vae-zoo {zoo.__version__}"),
        ("", 2, "zoo: error: a subcommand is missing. `zoo --help` says what each does."),
        ("pedict", 2, "Did you mean predict? `zoo --help` says what each does."),
        ("sweep --help", 0, "no account, no server"),
        ("report --help", 0, "side by side"),
        ("reproduce --help", 0, "letters of claims"),
    ],
)
def test_what_needs_no_torch_does_not_import_it(line: str, status: int, said: str) -> None:
    done = python("-c", SAID, *line.split())
    assert done.returncode == status and "AssertionError" not in done.stderr, done.stderr
    assert said in (done.stderr if status else done.stdout)


@pytest.mark.parametrize("name", ["sweep", "report", "reproduce"])
def test_ctrl_c_ends_a_program_in_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"zoo.cli.{name}.main", interrupted)
    with pytest.raises(SystemExit) as stop:
        main([name])
    assert stop.value.code == 130 and capsys.readouterr().out == "stopped. To go on: the same command.\n"


def test_python_m_zoo_is_the_same_program() -> None:
    assert python("-m", "zoo", "--help").stdout.startswith("usage: zoo ")


def test_the_names_of_the_zoo_come_when_they_are_asked_for() -> None:
    done = python("-c", ASKED)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("line", "n"), [("fit --model.k=7", 1), ("--config mine.yaml fit", 4)])
def test_the_options_of_no_other_subcommand_are_made(
    line: str, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "fit:\n  model:\n    class_path: IWAE\n    init_args:\n      k: 7\n  data: MNIST5k\n"
    )
    made, real = [], ZooCLI.add_arguments_to_parser
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ZooCLI, "add_arguments_to_parser", lambda cli, parser: (made.append(parser), real(cli, parser)))
    with pytest.raises(SystemExit) as stop:
        main([*line.split(), "--print_config"])
    assert stop.value.code == 0 and len(made) == n
    assert "k: 7" in capsys.readouterr().out


def test_all_names_are_there() -> None:
    everything: dict[str, object] = {}
    exec("from zoo import *", everything)
    assert set(zoo.__all__) <= everything.keys() and set(zoo.__all__) <= set(dir(zoo))
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'IWEA'"):
        _ = zoo.IWEA  # pyright: ignore[reportAttributeAccessIssue]
