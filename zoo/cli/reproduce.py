"""`zoo reproduce`: the article, claim by claim."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path


def main(args: Sequence[str]) -> None:
    """Runs what puts the claims to the test, and writes the report.

    Args:
        args: The arguments behind `zoo reproduce`.
    """
    given = _parser().parse_intermixed_args(args)
    from zoo.article.claims import CLAIMS  # here, and all below, because `zoo reproduce --help` needs no torch
    from zoo.article.lab import FULL, SMALL, Lab
    from zoo.article.reproduction import reproduce
    from zoo.checks import check_counts
    from zoo.cli.measuring import measuring
    from zoo.cli.names import unknown
    from zoo.errors import ZooError

    known = {claim.letter: claim for claim in CLAIMS}
    scales = {scale.name: scale for scale in (SMALL, FULL)}
    with measuring():
        check_counts(jobs=given.jobs)
        for kind, names, there in (("claim", given.claims, known), ("scale", [given.scale], scales)):
            if wrong := [name for name in names if name not in there]:
                raise ZooError(unknown(kind, wrong[0], list(there)))
        scale = scales[given.scale]
        lab = Lab(given.out or Path("reproduction") / scale.name, scale, given.jobs, progress=True)
        page = reproduce([known[letter]() for letter in dict.fromkeys(given.claims or known)], lab)
    print(f"the report: {page}, in Markdown {page.with_name('report.md')}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "zoo reproduce",
        description='Puts the claims of the article "Why does the VAE work?" to the test. Interrupted or killed, the '
        "same command goes on; several processes and machines may work on one folder.",
    )
    parser.add_argument("claims", nargs="*", help="letters of claims, as a b e; by default all")
    parser.add_argument("--scale", default="small", help="small: digits that are here already, twenty minutes on two "
                        "cores; full: MNIST and faces, days (default: %(default)s)")  # fmt: skip
    parser.add_argument("--out", type=Path, help="where runs and report go; by default reproduction/SCALE")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time (default: %(default)s)")
    return parser
