"""What the command line understands beyond Lightning's: names of shipped configurations, and short refusals."""

import inspect
import re
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from jsonargparse import ActionConfigFile  # pyright: ignore[reportPrivateImportUsage]
from pytorch_lightning.cli import LightningArgumentParser

from zoo.cli.names import near, unknown


class ShippedConfig(ActionConfigFile):
    """`--config NAME` finds a file, or a configuration that comes with the zoo."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Reads a configuration into what has been parsed so far."""
        if isinstance(values, str) and not Path(values).is_file():
            values = str(shipped(values))
        try:
            super().__call__(parser, cfg, values, option_string)
        except UnicodeDecodeError:
            raise TypeError(f"{values} is no text, where a configuration in YAML was expected.") from None


def shipped(name: str) -> Path:
    """The shipped configuration of a name.

    Raises:
        TypeError: There is none; a parser reports it.
    """
    folder = Path(str(files("configs")))
    path = folder / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        have = sorted(file.stem for file in folder.glob("*.yaml") if file.stem != "defaults")
        raise TypeError(
            f"there is no file {name!r}; the shipped configurations are {', '.join(have)}.{near(name, have)}"
        )
    return path


class ZooParser(LightningArgumentParser):
    """A parser that refuses in a sentence: what is wrong, what exists, and what may have been meant."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the refusal and exits with status 2."""
        print(f"zoo: error: {self._explain(message)}", file=sys.stderr)
        sys.exit(2)

    def _explain(self, message: str) -> str:
        if match := re.search(r"Option '([\w.]+)' is not accepted", message):
            known = [action.dest for action in self._actions if not action.dest.endswith("help")]
            return unknown("option", match[1], known) if known else _TOO_EARLY.format(f"the option {match[1]!r}", "")
        if match := re.search(r"class, but ([\w.]+) is abstract", message):
            return _TOO_EARLY.format("an option", f", which is not {match[1]}")
        if match := re.search(r"unrecognized arguments: (.*)|does not accept option '(.*)'", message):
            option = (match[1] or match[2]).split()[0].split("=")[0].lstrip("-")
            known = [each.lstrip("-") for action in self._actions for each in action.option_strings]
            return f"there is no option {option!r}.{near(option, known)} `zoo SUBCOMMAND --help` lists them all."
        if match := re.search(r"following arguments are required: (.*)", message):
            return f"{match[1]} is missing, which the class that is named needs: give the option that ends in it."
        key = re.search(r'Parser key "([\w.]+)"', message)
        refusal = self._explain_value(key[1], message) if key else None
        if refusal is not None:
            return refusal
        lines = [line.strip(" -") for line in message.splitlines()]
        telling = [line for line in lines if line and not line.startswith(_NOISE)]
        return " ".join(dict.fromkeys(telling))

    def _explain_value(self, key: str, message: str) -> str | None:
        """What is wrong with the value of an option, where that can be told."""
        if match := _NO_CLASS.search(message):
            own = " (or a class of your own, by its dotted path)"
            return unknown(key.rpartition(".")[2], match[1] or match[2], self._classes(key), own)
        match = re.search(r"Given value: (.*)|Got value: (.*)", message)
        kinds = [groups for groups in _WANTED.findall(message) if groups[0] != "NoneType"]
        wanted = [_WORDS.get(kind, kind) or (choices and f"one of {choices}") or rest for kind, choices, rest in kinds]
        if not match or not wanted:
            return None
        value = match[1] or match[2]
        if value.strip("+-.").lower() in ("nan", "inf", "infinity"):
            wanted = ["a finite number"]
        return f"{key} is {value}, where {' or '.join(wanted)} was expected."

    def _classes(self, key: str) -> list[str]:
        hints = [action._typehint for action in self._actions if action.dest == key]  # pyright: ignore
        return sorted({name for hint in hints for base in _bases(hint) for name in leaves(base)})


_NO_CLASS = re.compile(
    r"Expected a dot import path string: (\S+)|not correspond to a subclass of .*Given value: (\S+)", re.DOTALL
)
_WANTED = re.compile(r"Expected (?:an? <class '([\w.]+)'>|a typing\.Literal\[(.*)\]|(a tuple with \d+ elements))")
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text",
          "collections.abc.Sequence": "a list"}  # fmt: skip

_TOO_EARLY = "{} stands before the class that it belongs to{}: name the class first, as in --model IWAE --model.k=5."

_NOISE = (
    "Parser key",
    "Expected a path",
    "Does not validate",
    "Subtypes:",
    "Errors:",
    "Expected a <class",
    "Given value",
)


def _bases(hint: Any) -> list[type]:
    """The classes that a type hint speaks of: in a Callable, those that it returns."""
    parts = get_args(hint)
    if get_origin(hint) is Callable:
        parts = parts[-1:]
    own = [hint] if inspect.isclass(hint) and hint is not type(None) else []
    return own + [base for part in parts if not isinstance(part, list) for base in _bases(part)]


def leaves(base: type) -> list[str]:
    """The names of the concrete and public classes under a base.

    Example:
        >>> from zoo import Variance
        >>> leaves(Variance)
        ['ChannelVariance', 'DecodedVariance', 'FixedVariance', 'LearnedVariance', 'OptimalVariance', 'PixelVariance']
    """
    below = [name for child in base.__subclasses__() for name in leaves(child)]
    public = not inspect.isabstract(base) and not base.__name__.startswith("_")
    return sorted({*below, *([base.__name__] if public else [])})
