"""Every parameter of every shipped sweep is one of the command line, under W&B's agent as here."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from zoo.cli import main
from zoo.sweeps import Sweep
from zoo.sweeps.command import fit_options

SWEEPS = sorted(Path(str(files("configs"))).rglob("sweeps/*.yaml")) + sorted(
    Path(str(files("configs"))).rglob("article/*/*.yaml")
)


def first_and_last(sweep: Sweep) -> list[dict[str, Any]]:
    """Values of the options of two runs, which between them have the ends of all that is varied."""
    ends = []
    for end in (0, -1):
        drawn = {}
        for name, parameter in sweep.parameters.items():
            distribution: Any = parameter.distribution
            drawn[name] = getattr(distribution, "choices", None) or (distribution.low, distribution.high)
        ends.append(sweep.values({name: values[end] for name, values in drawn.items()}))
    return ends


def agents_words(sweep: Sweep, values: dict[str, Any]) -> list[str]:
    """The words that W&B's own agent makes of a command, `${env}` apart."""
    made = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    words = create_sweep_command(list(sweep.command))
    return [each for word in words for each in (made["args"] if word == "${args}" else [word]) if each != "${env}"]


def lookup(config: Any, name: str) -> Any:
    for part in name.split("."):
        if isinstance(config, list):
            config = config[-1]
        config = config.get("init_args", config) if part not in config else config
        config = config[part]
    return config["class_path"].rpartition(".")[2] if isinstance(config, dict) and "class_path" in config else config


@pytest.mark.parametrize("path", SWEEPS, ids=[f"{path.parent.name}-{path.stem}" for path in SWEEPS])
def test_every_parameter_resolves(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = Sweep.read(path)
    assert sweep.name == path.stem
    for values in first_and_last(sweep):
        words = sweep.words(values)
        assert agents_words(sweep, values) == words[1:]
        with pytest.raises(SystemExit) as ended:
            main(["fit", *fit_options(words), "--print_config"])
        assert not ended.value.code
        config = yaml.safe_load(capsys.readouterr().out)
        assert {name: lookup(config, name) for name in values} == values
