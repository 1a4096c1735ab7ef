"""The command line."""

from zoo.cli.front import main

__all__ = ["main"]
