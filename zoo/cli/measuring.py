"""What the commands that measure finished runs have in common."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import datamodules
from zoo.cli.program import prepare
from zoo.errors import ZooError


@contextmanager
def measuring() -> Iterator[None]:
    """Within it the process is as fast as `zoo test`, and what is refused ends it with one sentence and status 1."""
    try:
        prepare()
        yield
    except (ZooError, datamodules.DataError, OSError) as error:
        print(f"zoo: error: {error}", file=sys.stderr)
        sys.exit(1)
