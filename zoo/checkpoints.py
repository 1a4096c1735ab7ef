"""Checkpoints that say how to build their model, in plain data; nothing that a file names is imported."""

import functools
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.errors import ZooError

_PLAIN = (str, int, float, bool, type(None))


class Rebuildable(pl.LightningModule):
    """A module that remembers the arguments it was made with, as plain data, and writes them to its checkpoints."""

    _given: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remembers the arguments; only here are those of a subclass seen, which may pass others on to its base."""
        model = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(model, *args, **kwargs)
        given = dict(list(bound.arguments.items())[1:])
        for parameter in inspect.signature(cls.__init__).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(parameter.name, {})
        object.__setattr__(model, "_given", given)
        return model

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters({name: to_plain(value, name) for name, value in self._given.items()})

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Takes weights.

        Raises:
            ZooError: They are those of another model.
        """
        try:
            return super().load_state_dict(*args, **kwargs)
        except RuntimeError as error:
            why = " ".join(str(error).split())
            raise ZooError(f"the weights do not fit the model that the checkpoint names: {why}") from error

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the class and its arguments, in the form that Lightning's own loaders read as well."""
        checkpoint["hyper_parameters"] = {
            **self.hparams,
            "_class_path": path_of(type(self)),
            "_instantiator": "pytorch_lightning.cli.instantiate_module",
        }


def path_of(thing: Any) -> str:
    """The shortest dotted path of a class or function, which outlives a move of its file within its package.

    Example:
        >>> path_of(torch.nn.Tanh)
        'torch.nn.Tanh'
    """
    parts, name = thing.__module__.split("."), thing.__qualname__
    modules = (".".join(parts[:i]) for i in range(1, len(parts) + 1))
    exports = (each for each in modules if each in sys.modules and getattr(sys.modules[each], name, None) is thing)
    return f"{next(exports, thing.__module__)}.{name}"


def to_plain(value: Any, name: str) -> Any:
    """Turns an argument into plain data: classes and partials become a ``class_path`` with ``init_args``.

    Raises:
        ZooError: The value is none of these.

    Example:
        >>> to_plain(functools.partial(torch.nn.Linear, bias=False), "layer")
        {'class_path': 'torch.nn.Linear', 'init_args': {'bias': False}}
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple | torch.Size):
        return [to_plain(item, name) for item in value]
    if isinstance(value, Mapping):
        return {key: to_plain(item, name) for key, item in value.items()}
    factory, keywords = _unfold(value, name)
    if not inspect.isclass(factory) and not inspect.isfunction(factory):
        raise ZooError(
            f"{name} is a {type(value).__name__}, which cannot be written to a checkpoint: pass a class, or "
            "functools.partial of a class with its arguments, and the model builds it."
        )
    if "<" in factory.__qualname__:
        raise ZooError(
            f"{name} is {factory.__qualname__}, which cannot be found again from a checkpoint: give it a name at "
            "the top of a module, or pass functools.partial of a class with its arguments."
        )
    if not makes_part(factory):
        raise ZooError(
            f"{name} is {path_of(factory)}, which makes no part of a model: pass a class of modules, optimisers or "
            "schedules, or a function whose annotation says that it returns one."
        )
    plain = {"class_path": path_of(factory)}
    return plain | {"init_args": to_plain(keywords, name)} if keywords else plain


def spec_of(model: Rebuildable) -> dict[str, Any]:
    """How to build a model anew, as plain data: `from_plain` makes a factory of it."""
    return {"class_path": path_of(type(model)), "init_args": dict(model.hparams)}


def _unfold(value: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """The factory and the arguments of a partial; anything else is a factory without arguments."""
    if not isinstance(value, functools.partial):
        return value, {}
    if value.args and inspect.isclass(value.args[-1]):  # as jsonargparse makes it: partial(instantiate, ..., cls)
        return value.args[-1], value.keywords
    if value.args:
        raise ZooError(f"{name} is a functools.partial with unnamed arguments: name them.")
    return value.func, value.keywords


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`.

    Raises:
        ZooError: A named class has not been imported.
    """
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_path" not in value:
        return {key: from_plain(item) for key, item in value.items()}
    factory, arguments = imported(value["class_path"]), from_plain(value.get("init_args", {}))
    if not makes_part(factory):
        raise ZooError(f"the checkpoint names {value['class_path']}, which makes no part of a model: it is not called.")
    return functools.partial(factory, **arguments) if arguments else factory


def makes_part(factory: Any) -> bool:
    """Whether this is a class of modules, optimisers or schedules, or a function that says that it returns one.

    Example:
        >>> import subprocess
        >>> makes_part(torch.nn.Tanh), makes_part(subprocess.Popen)
        (True, False)
    """
    made = factory if inspect.isclass(factory) else inspect.signature(factory).return_annotation
    return inspect.isclass(made) and issubclass(made, (torch.nn.Module, Optimizer, LRScheduler))


def imported(path: str) -> Any:
    """Finds what a dotted path names among what has been imported; it imports nothing.

    Raises:
        ZooError: It has not been imported.
    """
    parts = path.split(".")
    for i in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:i]))
        if module is not None:
            try:
                return functools.reduce(getattr, parts[i:], module)
            except AttributeError:
                break
    raise ZooError(
        f"the checkpoint names {path}, which has not been imported, and nothing that a file names is imported "
        "for it: import or define it first (on the command line, name it with --model)."
    )


def read(path: str | Path | BinaryIO) -> dict[str, Any]:
    """Reads a checkpoint of a model of this zoo, as data alone.

    Raises:
        ZooError: There is no such file, or it is no such checkpoint.
    """
    if isinstance(path, str | Path) and not Path(path).is_file():
        raise ZooError(f"there is no checkpoint {path}: give the path of a file that `zoo fit` has written.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        _ = checkpoint["hyper_parameters"]["_class_path"], checkpoint["state_dict"]
    except PermissionError as error:
        raise ZooError(f"{path} cannot be read ({error.strerror}): see to its rights.") from error
    except Exception as error:  # torch.load has no common base for what it raises on a file of something else
        raise ZooError(
            f"{path} is not a checkpoint of a model of this zoo, or is damaged: `zoo fit` and "
            "Trainer.save_checkpoint write those."
        ) from error
    return checkpoint


def specification(checkpoint: Mapping[str, Any], path: Any) -> dict[str, Any]:
    """What the model of a checkpoint is made of: its `class_path` and `init_args`, all of them imported already.

    Raises:
        ZooError: Something named has not been imported, or the class is no model of this zoo.
    """
    hparams = checkpoint["hyper_parameters"]
    spec = {
        "class_path": hparams["_class_path"],
        "init_args": {name: value for name, value in hparams.items() if not name.startswith("_")},
    }
    cls = imported(spec["class_path"])
    if not (inspect.isclass(cls) and issubclass(cls, Rebuildable)):
        raise ZooError(f"{path} holds a {spec['class_path']}, which is not a model of this zoo.")
    from_plain(spec["init_args"])
    return spec


def load(path: str | Path | BinaryIO) -> Any:
    """Gives back a trained model, as its own class, on the CPU and in evaluation mode.

    Args:
        path: A checkpoint, made on the command line or in Python: its path, or an open file.

    Raises:
        ZooError: There is no such file, it is no checkpoint of this zoo, or it names a class that has not been
            imported.
    """
    checkpoint = read(path)
    spec = specification(checkpoint, path)
    model = imported(spec["class_path"])(**from_plain(spec["init_args"]))
    try:
        model.load_state_dict(checkpoint["state_dict"])
        model.on_load_checkpoint(checkpoint)
    except ZooError as error:
        raise ZooError(f"{path} is of no use: {error}") from error
    return model.eval()
