"""A claim of the article: what it says, which runs put it to the test, and by what rule they are judged."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from matplotlib.axes import Axes

from zoo.article.lab import Lab
from zoo.article.verdict import Part
from zoo.reports.page import Shown, Table


class Claim(ABC):
    """A claim of the article. A subclass says what it is, and judges what was run."""

    letter: ClassVar[str]
    """What it is called."""

    title: ClassVar[str]
    """It in a line."""

    says: ClassVar[str]
    """What the article says, in Markdown."""

    rule: ClassVar[str]
    """How it is judged, in Markdown; written before what it judges was run."""

    why: ClassVar[str]
    """What theory says of it, in Markdown."""

    sweeps: ClassVar[tuple[str, ...]]
    """What is run for it."""

    @abstractmethod
    def parts(self, lab: Lab) -> list[Part]:
        """What the claim asserts, with the verdict on each.

        Raises:
            ZooError: A run that it takes has failed.
        """

    @abstractmethod
    def panel(self, lab: Lab, axes: Axes) -> None:
        """Draws what decides it."""

    @abstractmethod
    def figures(self, lab: Lab) -> Sequence[Shown]:
        """What else shows it."""

    @abstractmethod
    def tables(self, lab: Lab) -> Sequence[Table]:
        """The numbers."""
