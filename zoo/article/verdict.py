"""What is said of a claim, by rules that were written down before the runs that they judge."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from zoo.reports.paired import Estimate


class Verdict(StrEnum):
    """What came of a claim, or of a part of it."""

    HOLDS = "holds"
    IN_PART = "holds in part"
    FAILS = "does not hold"
    UNDECIDED = "not decided by this run"


@dataclass(frozen=True)
class Part:
    """One thing that a claim asserts.

    Args:
        asserts: What, in words.
        measured: What was found, with its error.
        verdict: What follows by the rule.
    """

    asserts: str
    measured: str
    verdict: Verdict


def overall(parts: Iterable[Part]) -> Verdict:
    """The verdict of a claim: in part where one part holds and another does not.

    Where some are not decided the rest says no more than it can: a claim one of whose parts fails does not hold, one
    whose parts hold as far as they are known is not decided.

    Example:
        >>> part = lambda verdict: Part("", "", verdict)
        >>> str(overall([part(Verdict.HOLDS), part(Verdict.UNDECIDED)]))
        'not decided by this run'
        >>> str(overall([part(Verdict.HOLDS), part(Verdict.FAILS), part(Verdict.UNDECIDED)]))
        'holds in part'
    """
    found = {part.verdict for part in parts}
    if Verdict.IN_PART in found or {Verdict.HOLDS, Verdict.FAILS} <= found:
        return Verdict.IN_PART
    if Verdict.FAILS in found:
        return Verdict.FAILS
    return Verdict.HOLDS if found == {Verdict.HOLDS} else Verdict.UNDECIDED


def same(each: Estimate, within: float, beyond: float) -> Verdict:
    """Whether a difference is none: by its 95 % interval, which must lie within one margin, or beyond another.

    With one seed nothing is decided of models.

    Example:
        >>> [str(same(Estimate(mean, 0.05, 9, 3, 100), within=0.2, beyond=0.5)) for mean in (0.0, 0.3, 0.9)]
        ['holds', 'not decided by this run', 'does not hold']
    """
    if each.n_seeds == 1:
        return Verdict.UNDECIDED
    if -within <= each.low and each.high <= within:
        return Verdict.HOLDS
    return Verdict.FAILS if each.low > beyond or each.high < -beyond else Verdict.UNDECIDED


def larger(each: Estimate, than: float = 0.0) -> Verdict:
    """Whether a number is larger than another, by its 95 % interval; with one seed nothing is decided of models.

    Example:
        >>> [str(larger(Estimate(mean, 0.5, 9, 3, 100))) for mean in (2.0, 0.3, -2.0)]
        ['holds', 'not decided by this run', 'does not hold']
    """
    if each.n_seeds == 1 or each.low <= than <= each.high:
        return Verdict.UNDECIDED
    return Verdict.HOLDS if each.low > than else Verdict.FAILS


def at_most(each: Estimate, holds: float, fails: float) -> Verdict:
    """Whether a number is small: by its 95 % interval, which must lie below one margin, or above another.

    Example:
        >>> [str(at_most(Estimate(mean, 0.5, 9, 3, 100), holds=2, fails=5)) for mean in (0.0, 3.0, 9.0)]
        ['holds', 'not decided by this run', 'does not hold']
    """
    if each.n_seeds == 1:
        return Verdict.UNDECIDED
    if each.high <= holds:
        return Verdict.HOLDS
    return Verdict.FAILS if each.low > fails else Verdict.UNDECIDED


def nats(each: Estimate) -> str:
    """An estimate with its 95 % interval, as it is written.

    Example:
        >>> nats(Estimate(1.0, 0.1, 1000, 3, 100))
        '+1.00 (+0.80 to +1.20) nats'
    """
    return f"{each.mean:+.2f} ({each.low:+.2f} to {each.high:+.2f}) nats"
