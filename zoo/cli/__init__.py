"""The command line."""

from zoo.cli.program import main

__all__ = ["main"]
