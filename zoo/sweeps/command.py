"""The command of a sweep file, and what W&B's macros in it stand for."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import ZooError

ENV = "/usr/bin/env"

NO_ACCOUNT = {"WANDB_MODE": "disabled"}
"""What keeps W&B out of a run, unless the environment says otherwise: the files name its logger for its agents."""


def expand(command: Sequence[str], program: str, parameters: Mapping[str, Any]) -> list[str]:
    """The words of a run's command, as W&B's agent makes them.

    Args:
        command: The words in the file, with macros among them.
        program: What `${program}` stands for.
        parameters: The options and their values.

    Raises:
        ZooError: A macro is not known here.

    Example:
        >>> expand(["${env}", "zoo", "fit", "${args}"], "zoo", {"model.k": 5})
        ['/usr/bin/env', 'zoo', 'fit', '--model.k=5']
    """
    macros = {
        "${env}": [ENV],
        "${interpreter}": ["python"],
        "${program}": [program],
        "${args}": [f"--{name}={value}" for name, value in parameters.items()],
        "${args_no_equals}": [word for name, value in parameters.items() for word in (f"--{name}", str(value))],
    }
    words = []
    for word in command:
        if "${" in word and word not in macros:
            raise ZooError(f"command has {word}, which is not known here: {', '.join(macros)} are.")
        words += macros.get(word, [word])
    return words


def fit_options(words: Sequence[str]) -> list[str]:
    """The options of a command that is one of `zoo fit`.

    Raises:
        ZooError: It is another.

    Example:
        >>> fit_options(["/usr/bin/env", "python", "-m", "zoo", "fit", "--model.k=5"])
        ['--model.k=5']
    """
    said = [word for word in words if word not in (ENV, "python", "-m")]
    if said[:2] != ["zoo", "fit"]:
        raise ZooError(
            f"command is `{shlex.join(words)}`, and only `zoo fit` is known here: write command: "
            '["${env}", zoo, fit, --config, iwae, "${args}"].'
        )
    return said[2:]


def typed(words: Sequence[str]) -> str:
    """A command as one would type it who has no account with W&B.

    Example:
        >>> typed(["/usr/bin/env", "zoo", "fit", "--model.encoder.hidden=[8, 4]"])
        "zoo fit '--model.encoder.hidden=[8, 4]'"
    """
    options = fit_options(words)
    before = [f"{name}={value}" for name, value in NO_ACCOUNT.items() if "--trainer.logger=WandbLogger" in options]
    return " ".join([*before, "zoo fit", *map(shlex.quote, options)])
