"""What the commands that measure finished runs have in common."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import datamodules
from zoo.cli.program import quieten
from zoo.errors import ZooError
from zoo.memory import keep_freed


@contextmanager
def measuring() -> Iterator[None]:
    """Within it the process is as fast as `zoo test`, and what is refused ends it with one sentence and status 1."""
    quieten()
    keep_freed()
    torch.set_flush_denormal(True)
    try:
        yield
    except (ZooError, datamodules.DataError, OSError) as error:
        print(f"zoo: error: {error}", file=sys.stderr)
        sys.exit(1)
