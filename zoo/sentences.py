"""What an error says to who typed the command."""

import re

from lightning_fabric.utilities.exceptions import MisconfigurationException

from datamodules import DataError
from zoo.errors import ZooError


def known_cause(error: BaseException | None) -> BaseException | None:
    """The error behind an error that its own sentence explains, or None: jsonargparse wraps what a class raises."""
    while error is not None and not isinstance(error, ZooError | DataError | MisconfigurationException | OSError):
        error = error.__cause__
    return error


def sentence(error: BaseException) -> str:
    """What an error says, as a sentence.

    Example:
        >>> sentence(PermissionError(13, "Permission denied", "/lost"))
        '/lost cannot be read or written (Permission denied): see to the place, its rights and its space.'
    """
    if isinstance(error, OSError) and error.filename is not None:
        what = error.strerror or type(error).__name__
        return f"{error.filename} cannot be read or written ({what}): see to the place, its rights and its space."
    return str(error)


def gist(error: Exception) -> str:
    """What jsonargparse reports of a part that could not be made, without the tree of all that it tried.

    Example:
        >>> gist(ValueError("Union subtypes Errors: - there is no start_at - Expected a <class 'NoneType'>"))
        'there is no start_at'
    """
    told = " ".join(str(error).split())
    tried = re.search(r"Errors: - (.*?) - Expected an? <class 'NoneType'>", told)
    return tried[1] if tried else told
