"""What the command line understands beyond Lightning's: names of shipped configurations, and short refusals."""

import difflib
import inspect
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile
from pytorch_lightning.cli import LightningArgumentParser


class ShippedConfig(ActionConfigFile):
    """`--config NAME` finds a file, or a configuration that comes with the zoo."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        if isinstance(values, str) and not Path(values).exists():
            values = str(shipped(values))
        super().__call__(parser, cfg, values, option_string)


def shipped(name: str) -> Path:
    """The shipped configuration of a name.

    Raises:
        TypeError: There is none; a parser reports it.
    """
    folder = Path(str(files("configs")))
    path = folder / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        have = sorted(file.stem for file in folder.glob("*.yaml") if file.stem != "defaults")
        raise TypeError(f"there is no file {name!r}; the shipped configurations are {', '.join(have)}.{near(name, have)}")
    return path


def near(name: str, names: list[str]) -> str:
    """A question after the name that was meant, or nothing.

    Example:
        >>> near("IWEA", ["IWAE", "VAE"])
        ' Did you mean IWAE?'
    """
    by_lower = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]}?" if close else ""


class ZooParser(LightningArgumentParser):
    """A parser that refuses in a few lines: what is wrong, what exists, and what may have been meant."""

    choices: dict[str, type] = {}  # noqa: RUF012  set once, by the command line
    """The base classes whose leaves can be named on the command line, by what they are called there."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the refusal and exits with status 2."""
        print(f"zoo: error: {self._explain(message)}", file=sys.stderr)
        sys.exit(2)

    def _explain(self, message: str) -> str:
        if match := re.search(r"Unrecognized arguments: (.*)", message):
            option = match[1].split()[0].split("=")[0]
            return f"there is no option {option}.{near(option, self._options())} `{self.prog} --help` lists them all."
        if match := re.search(r"Option '([\w.]+)' is not accepted", message):
            owner = re.search(r"class_path '([\w.]+)'", message)
            names = arguments_of(owner[1]) if owner else []
            return (
                f"{owner[1].split('.')[-1] if owner else 'it'} has no option {match[1]!r}; it has {', '.join(names)}."
                f"{near(match[1], names)}"
            )
        if match := re.search(r"Expected a dot import path string: (\S+)", message):
            key = re.search(r'key "([\w.]+)"', message)
            kinds = {kind: leaves(base) for kind, base in self.choices.items()}
            mine = key[1].split(".")[-1] if key else ""
            known = kinds.get(mine, sorted({leaf for names in kinds.values() for leaf in names}))
            return (
                f"there is no {mine or 'class'} {match[1]!r}; there is {', '.join(known)}, and any class of your own by "
                f"its dotted path.{near(match[1], known)}"
            )
        lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
        return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]


def leaves(base: type) -> list[str]:
    """The names of the concrete classes under a base."""
    found = {base} | {leaf for child in base.__subclasses__() for leaf in _below(child)}
    return sorted(each.__name__ for each in found if not inspect.isabstract(each) and not each.__name__.startswith("_"))


def _below(cls: type) -> set[type]:
    return {cls} | {leaf for child in cls.__subclasses__() for leaf in _below(child)}


def arguments_of(path: str) -> list[str]:
    """The names of the arguments of an imported class, those of its bases included."""
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, object)
    names: list[str] = []
    for each in inspect.getmro(cls):
        parameters = inspect.signature(each.__init__).parameters.values() if "__init__" in vars(each) else []
        names += [p.name for p in parameters if p.name != "self" and p.kind is p.POSITIONAL_OR_KEYWORD]
    return list(dict.fromkeys(names))
