"""Runs what puts the claims to the test, and writes the report."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from zoo.article.claim import Claim
from zoo.article.lab import Lab
from zoo.article.verdict import Part, Verdict, overall
from zoo.errors import ZooError
from zoo.figures.style import STYLE, panels
from zoo.reports.page import Section, Shown, Table, write_page

LEAD = (
    'What the article "Why does the VAE work?" (Su Jianlin, https://kexue.fm/archives/5383, in Chinese) claims, put to '
    "the test at the scale *{scale}*: {runs} runs. The rule of each verdict was written down before these runs. "
    "Numbers are nats an image unless another unit is named; intervals are of 95 %, over images and seeds."
)


def reproduce(claims: Sequence[Claim], lab: Lab) -> Path:
    """Trains what is missing, measures it, judges the claims and writes the report into the folder of the lab.

    Args:
        claims: The claims.
        lab: The runs.

    Returns:
        The path of the page.

    Raises:
        Interrupted: By Ctrl-C; the same call goes on.
    """
    sweeps = list(dict.fromkeys(name for claim in claims for name in claim.sweeps if lab.sweep(name)))
    n_runs = sum(len(lab.trials(name)) for name in sweeps)  # all are trained before anything is measured
    with matplotlib.rc_context(STYLE):
        found = [Judged(claim, lab) for claim in claims]
        overview = Shown("overview", _overview(found), "What decides each claim.")
        summary = Section("Verdicts", tables=[verdicts(found)], figures=[overview])
        lead = LEAD.format(scale=lab.scale.name, runs=n_runs)
        sections = [summary, *(_section(each) for each in found)]
        return write_page(lab.folder, "Why does the VAE work? Claim by claim", lead, sections)


class Judged:
    """A claim and what came of it; where a run has failed, nothing is decided.

    Args:
        claim: The claim.
        lab: The runs.
    """

    def __init__(self, claim: Claim, lab: Lab) -> None:
        self.claim, self.lab, self.failed = claim, lab, False
        try:
            self.parts = claim.parts(lab)
        except ZooError as error:
            self.failed = True
            self.parts = [Part("what it takes has run", str(error), Verdict.UNDECIDED)]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole."""
        return overall(self.parts)


def verdicts(found: Sequence[Judged]) -> Table:
    """A line a claim."""
    rows = [[f"({each.claim.letter})", each.claim.title, f"**{each.verdict}**"] for each in found]
    return Table(["claim", "what the article says", "verdict"], rows)


def _overview(found: Sequence[Judged]) -> Figure:
    columns = min(3, len(found))
    figure, axes = panels(3.6 * columns, 2.7 * -(-len(found) // columns), -(-len(found) // columns), columns)
    for place in axes.flat[len(found) :]:
        place.set_visible(False)
    for place, each in zip(axes.flat, found, strict=False):
        if not each.failed:
            each.claim.panel(each.lab, place)
        place.set_title(f"({each.claim.letter}) {each.verdict}", loc="left", fontweight="bold")
    return figure


def _section(each: Judged) -> Section:
    claim, lab = each.claim, each.lab
    asserted = Table(["part", "measured", "verdict"], [[p.asserts, p.measured, p.verdict] for p in each.parts])
    paragraphs = [
        f"**The article says:** {claim.says}",
        f"**Rule:** {claim.rule}",
        f"**Verdict: {each.verdict}.** {claim.why}",
    ]
    return Section(
        f"({claim.letter}) {claim.title}",
        "\n\n".join(paragraphs),
        tables=[asserted, *(() if each.failed else claim.tables(lab))],
        figures=() if each.failed else claim.figures(lab),
        sections=[_runs(claim, lab)],
    )


def _runs(claim: Claim, lab: Lab) -> Section:
    rows = []
    for name in claim.sweeps:
        sweep, trials = lab.sweep(name), lab.trials(name)
        if sweep is None:
            rows.append([name, "not run at this scale", ""])
        else:
            rows.append([name, str(len(trials)), f"`{sweep.typed(trials[0].parameters)}`"])
    heads = ["sweep", "runs", "the command of the first"]
    return Section(f"What was run for ({claim.letter})", tables=[Table(heads, rows)])
