"""What a command line says: which options, which classes, and what of it a checkpoint or its run contradicts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from zoo import checkpoints
from zoo.errors import ZooError
from zoo.parsing import shipped


def said_options(argv: Sequence[str]) -> dict[str, str]:
    """The options that stand on a command line.

    Example:
        >>> said_options(["fit", "--model.k=5", "--ckpt_path", "last"])
        {'model.k': '5', 'ckpt_path': 'last'}
    """
    options: dict[str, str] = {}
    for argument, following in zip(argv, [*argv[1:], ""], strict=False):
        if argument.startswith("-"):
            name, equals, value = argument.lstrip("-").partition("=")
            options[name] = value if equals else following
    return options


def names_class(argv: Sequence[str], key: str) -> bool:
    """Whether a command line, or a configuration that it names, says which class the model or the data are."""
    said = [argument.partition("=")[0] for argument in argv]
    if f"--{key}" in said:
        return True
    pairs = zip(argv, [*argv[1:], ""], strict=False)
    values = [a.partition("=")[2] or b for a, b in pairs if a.partition("=")[0] in ("--config", "-c")]
    return any(key in read_config(value) for value in values)


def refuse_conflicts(said: dict[str, str], config: dict[str, Any], checkpoint: dict[str, Any]) -> None:
    """Refuses options of a model that are not those of its checkpoint, where Lightning would drop them silently.

    Args:
        said: The options on the command line.
        config: The model that they make.
        checkpoint: The model of the checkpoint.

    Raises:
        ZooError: They differ.
    """
    for option in said:
        parts = [part for part in option.split(".") if part != "init_args"]
        if parts[0] == "model":
            mine, theirs = dig(config, parts[1:]), dig(checkpoint, parts[1:])
            if mine != theirs:
                raise ZooError(
                    f"--{option} is {mine} and the checkpoint's is {theirs}: a checkpoint keeps its own model, so "
                    f"leave --{option} out, or train a new model without --ckpt_path."
                )


def dig(spec: Any, parts: Sequence[str]) -> Any:
    """What stands in a nested specification of a class: the class itself where ``parts`` is empty."""
    for part in parts:
        spec = spec.get("init_args", spec).get(part) if isinstance(spec, dict) else None
    if isinstance(spec, dict) and "class_path" in spec:
        return checkpoints.path_of(checkpoints.imported(spec["class_path"]))
    return list(spec) if isinstance(spec, tuple) else spec


def refuse_strangers(config: Path, said: dict[str, str]) -> None:
    """Refuses the configuration of a checkpoint's run where it would import what nobody has named.

    Args:
        config: The file, which stands beside a checkpoint and is on no command line.
        said: The options on the command line.

    Raises:
        ZooError: It names a class that is neither imported nor named by an option.
    """
    for path in _class_paths(read_config(str(config))):
        if path not in said.values():
            try:
                checkpoints.imported(path)
            except ZooError as error:
                raise ZooError(
                    f"{config} names {path}, and nothing is imported because a file beside a checkpoint names it: if "
                    f"you trust it, say so with --config {config}."
                ) from error


def _class_paths(config: Any) -> Iterator[str]:
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        if key == "class_path":
            yield value
        elif isinstance(value, dict | list):
            yield from _class_paths(value)


def read_config(value: str) -> dict[str, Any]:
    """What stands in a configuration, by its name or path; {} where it is none, as the parser will say."""
    try:
        path = Path(value) if Path(value).is_file() else shipped(value)
        config = yaml.safe_load(path.read_text())
    except (TypeError, OSError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}
