"""A contender's side of a benchmark: a process that waits for its turn, runs one stretch and says how long it took."""

import os
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import TypeVar

C = TypeVar("C")


class Turns:
    """What a contender is asked through a pipe, and what it answers.

    It is asked for its losses, to see that it computes what the others do, and for stretches, which are timed.
    """

    def __init__(self) -> None:
        self._pipe = Connection(int(os.environ["BENCHMARK_PIPE"]))
        self._began: float | None = None
        self._steps: float | None = None

    def wait(self, losses: Callable[[], list[float]]) -> None:
        """Ends the stretch that is under way, says its losses where it is asked for them, and begins the next one."""
        self._end()
        try:
            while self._pipe.recv() == "losses":
                self._pipe.send(losses())
        except EOFError:  # nobody asks any more
            os._exit(0)
        self._began, self._steps = time.perf_counter(), None

    def trained(self) -> None:
        """Says that the steps of this stretch are behind it, and what follows is validation."""
        if self._began is not None and self._steps is None:
            self._steps = time.perf_counter() - self._began

    def _end(self) -> None:
        if self._began is not None:
            whole = time.perf_counter() - self._began
            self._pipe.send({"steps": whole if self._steps is None else self._steps, "whole": whole})


def fastest(choices: Iterable[C], run: Callable[[C], object]) -> C:
    """What runs fastest, of nine times after a first; asked for within a stretch, when nobody else is at work.

    Args:
        choices: What there is to choose from.
        run: Runs one of them.
    """

    def seconds(choice: C) -> float:
        run(choice)
        return min(_timed(run, choice) for _ in range(9))

    return min(choices, key=seconds)


def _timed(run: Callable[[C], object], choice: C) -> float:
    began = time.perf_counter()
    run(choice)
    return time.perf_counter() - began


def take_turns(stretch: Callable[[], object], losses: Callable[[], list[float]]) -> None:
    """Takes turns for ever, with a function that runs a stretch."""
    turns = Turns()
    while True:
        turns.wait(losses)
        stretch()
