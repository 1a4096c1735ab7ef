"""A report: one HTML page that needs nothing beside it, the same in Markdown, and its figures as SVG and PNG."""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import matplotlib
from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from zoo.figures.style import STYLE
from zoo.files import written_whole

LARGEST_SVG = 200_000
"""Above so many bytes, as of many images, the page shows the PNG."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class Shown(NamedTuple):
    """A figure of a report.

    Args:
        name: Of its files, without the suffix.
        figure: What is drawn.
        caption: What a reader sees there, in Markdown.
    """

    name: str
    figure: Figure
    caption: str


class Table(NamedTuple):
    """A table of a report, its cells in Markdown.

    Args:
        heads: The names of its columns.
        rows: Its rows, as long as the heads.
        caption: What it holds, in Markdown.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    @property
    def of_numbers(self) -> list[bool]:
        """Which columns hold numbers, and stand to the right.

        Example:
            >>> Table(["model", "ELBO"], [["IWAE", "-90.1 ± 0.2"], ["PriorSampling", "n/a"]]).of_numbers
            [False, True]
        """
        columns = [[cell for cell in cells if cell not in ("", "n/a")] for cells in zip(*self.rows, strict=True)]
        return [bool(cells) and all(re.match(r"[+-]?\d", cell) for cell in cells) for cells in columns]


@dataclass(frozen=True)
class Section:
    """A part of a report: text, then tables, figures and parts of its own.

    Args:
        title: Its heading.
        text: Paragraphs in Markdown.
        tables: Its tables.
        figures: Its figures.
        sections: Its parts.
    """

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    figures: Sequence[Shown] = ()
    sections: Sequence["Section"] = ()

    @property
    def anchor(self) -> str:
        """What links to it.

        Example:
            >>> Section("KL terms, unit by unit").anchor
            'kl-terms-unit-by-unit'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def write_page(folder: Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Writes `index.html`, `report.md` and `figures/`.

    Args:
        folder: Where; it is made where it is missing.
        title: The heading.
        lead: The first paragraphs, in Markdown.
        sections: What follows.

    Returns:
        The path of the page.

    Raises:
        ZooError: The files cannot be written.
    """
    pictures = {shown.name: _write_figure(folder / "figures", shown) for shown in _figures(sections)}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"markdown": _html, "inline": _html_inline}
    template = environment.from_string((files("zoo.reports") / "page.html.j2").read_text())
    page = template.render(title=title, lead=lead, sections=sections, pictures=pictures)
    for name, text in {"report.md": markdown(title, lead, sections), "index.html": page}.items():
        with written_whole(folder / name) as part:
            part.write_text(text)
    return folder / "index.html"


def markdown(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The whole report in Markdown.

    Example:
        >>> print(markdown("Runs", "Two of them.", [Section("Numbers", tables=[Table(["a"], [["1"]])])]), end="")
        # Runs
        <BLANKLINE>
        Two of them.
        <BLANKLINE>
        ## Numbers
        <BLANKLINE>
        | a |
        |---:|
        | 1 |
    """
    parts = [f"# {title}", lead, *(part for section in sections for part in _parts(section, 2))]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _parts(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {section.title}"
    yield section.text
    for table in section.tables:
        yield table.caption
        ruler = "|".join("---:" if right else "---" for right in table.of_numbers)
        yield "\n".join([_row(table.heads), f"|{ruler}|", *map(_row, table.rows)])
    for shown in section.figures:
        yield f"![{_plain(shown.caption)}](figures/{shown.name}.png)"
        yield shown.caption
    for part in section.sections:
        yield from _parts(part, level + 1)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _figures(sections: Sequence[Section]) -> Iterator[Shown]:
    for section in sections:
        yield from section.figures
        yield from _figures(section.sections)


def _write_figure(folder: Path, shown: Shown) -> str:
    """Writes a figure as SVG and as PNG, and gives the one that the page shows, as a data URI."""
    made: dict[str, bytes] = {}
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": shown.name, "svg.fonttype": "path"}):
        for form, more in {"svg": {"metadata": {"Date": None}}, "png": {"dpi": 160}}.items():
            buffer = io.BytesIO()
            shown.figure.savefig(buffer, format=form, **more)
            made[form] = buffer.getvalue()
            with written_whole(folder / f"{shown.name}.{form}") as part:
                part.write_bytes(made[form])
    form, mime = ("svg", "svg+xml") if len(made["svg"]) <= LARGEST_SVG else ("png", "png")
    return f"data:image/{mime};base64,{base64.b64encode(made[form]).decode()}"


def _html(text: str) -> str:
    return _MARKDOWN.render(text)


def _html_inline(text: str) -> str:
    return _MARKDOWN.renderInline(text)


def _plain(text: str) -> str:
    """What is read out of a picture: its caption in one line, without marks."""
    return " ".join(re.sub(r"[`*\[\]]", "", text).split())
