"""What an error says to who typed the command."""

import re

import torch.distributed as dist
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from datamodules import DataError
from zoo.errors import ZooError

UNKNOWN_NUMBER = (
    "{name} was not logged in this validation, and a checkpoint or a stop was to go by it: name a number that is "
    "logged in each (`metrics.csv` has the names), or have it logged in each, as by --log_likelihood.every_n_epochs=1."
)

LOST = (
    "another process of this run died, or did not answer in time; what it said stands above ({what}). A fit goes on "
    "from its last checkpoint by --ckpt_path last. How long to wait for a process that hangs can be set: "
    "--trainer.strategy=DDPStrategy --trainer.strategy.timeout=0:10:0."
)


def known_cause(error: BaseException | None) -> BaseException | None:
    """The error behind an error that its own sentence explains, or None: jsonargparse wraps what a class raises."""
    while error is not None:
        error = _unknown_number(error) or error
        if isinstance(error, ZooError | DataError | MisconfigurationException | OSError):
            break
        error = _of_other_process(error) or error.__cause__
    return error


def _unknown_number(error: BaseException) -> ZooError | None:
    """What Lightning says where a checkpoint or an early stop follows a number that is not there."""
    told = re.search(r"conditioned on metric `(.*?)` which|\(monitor='(.*?)'\)` could not find", str(error))
    return ZooError(UNKNOWN_NUMBER.format(name=told[1] or told[2])) if told else None


def _of_other_process(error: BaseException) -> ZooError | None:
    """What an error says of another process of the run: its own sentence, or that it is lost."""
    last = str(error).strip().rpartition("\n")[2]
    raised = re.fullmatch(r"(?:zoo|datamodules)\.errors\.\w+: (.*)", last)
    if raised and isinstance(error, ProcessRaisedException):
        return ZooError(raised[1])
    # What gloo raises has no class of its own.
    if isinstance(error, ProcessExitedException | dist.DistError) or "gloo/transport" in str(error):
        return ZooError(LOST.format(what=re.sub(r".*\[\S*\.cc:\d+\] | This is typically.*", "", last)))
    return None


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
