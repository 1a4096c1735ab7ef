"""Tables in Markdown, which are also records."""

from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.interleave import Interval

Cell = str | float | Interval | None
Row = dict[str, Cell]


@dataclass
class Table:
    """What was found of a work.

    Args:
        title: What was done.
        rows: The cells of each row, by the head of their column.
        notes: What a reader should know.
    """

    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table in Markdown."""
        heads = list(dict.fromkeys(head for row in self.rows for head in row))
        lines = [f"| {' | '.join(heads)} |", f"|---{'|---:' * (len(heads) - 1)}|"]
        lines += [f"| {' | '.join(text(row.get(head)) for head in heads)} |" for row in self.rows]
        return "\n".join([f"### {self.title}", "", *lines, *(f"\n{note}" for note in self.notes), ""])

    def record(self) -> dict[str, Any]:
        """The same as plain data."""
        rows = [{head: plain(cell) for head, cell in row.items()} for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def text(cell: Cell) -> str:
    """A cell as it is read: three digits, and an interval in brackets.

    Example:
        >>> text(1234.5), text(0.12345), text(Interval(0.5, 0.25, 1.0, 0.96)), text(None)
        ('1,234', '0.123', '0.500 (0.250 to 1.00)', '')
    """
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, Interval):
        return f"{text(cell.median)} ({text(cell.low)} to {text(cell.high)})"
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:#.3g}".removesuffix(".")


def plain(cell: Cell) -> Any:
    """A cell as JSON holds it."""
    return asdict(cell) if isinstance(cell, Interval) else cell
