"""A modular zoo of variational autoencoders: models, and the mathematics they are made of."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.public import *  # noqa: F403
    from zoo.public import __all__ as __all__

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports all of the zoo at the first name that is asked for: `zoo --help` asks for none, and needs no torch."""
    if name == "__all__" or not name.startswith("_"):
        public = vars(import_module("zoo.public"))  # as it imports itself, not all names are there yet
        globals().update({key: public[key] for key in public if key == "__all__" or not key.startswith("_")})
        if name in globals():  # a part such as zoo.networks, too, is there once it is imported
            return globals()[name]
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    """All names, for those who look around."""
    return sorted({*globals(), *__getattr__("__all__")})
