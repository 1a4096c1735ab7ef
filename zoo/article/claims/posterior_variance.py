"""Claim (c): the posterior variance is small."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from zoo.article.claim import Claim
from zoo.article.lab import Lab, tested
from zoo.article.verdict import Part, Verdict
from zoo.figures.style import BLUE, GREY
from zoo.reports.figures import posterior_variances
from zoo.reports.groups import Compared
from zoo.reports.page import Shown, Table
from zoo.reports.paired import Estimate, of_seeds

SMALL = 0.1
"""What counts as a small variance, beside the prior's 1."""

LEARNED = {"LearnedVariance": "Gaussian, one learned σ²", "PixelVariance": "Gaussian, a learned σ² a pixel",
           "DecodedVariance": "Gaussian, σ² decoded from z"}  # fmt: skip
"""What decoders are called, by the variance of their sweep."""


class PosteriorVariance(Claim):
    """How much is left open of z once x is known."""

    letter = "c"
    title = "A trained q(z|x) has a small variance"
    says = (
        "The variance of a trained q(z|x) is small, so that x and z go almost one to one, and one draw is almost any "
        "draw."
    )
    rule = (
        f"A variance is small below {SMALL}, where the prior's is 1. For a decoder the claim holds where the share of "
        "small ones, over test images and all latent dimensions, is above 90 % with its 95 % interval over seeds; it "
        "does not hold where that is below 50 %, and holds in part between."
    )
    why = (
        "A dimension that is not used costs least where q(z|x) is the prior, with variance 1: so variances fall "
        "apart into those of active dimensions and those of inactive ones. How small the active ones are is decided "
        "by the decoder's own noise: a variance of p(x|z) that is small by choice makes posteriors narrow, as does "
        "nothing else."
    )
    sweeps = ("draws", "fixed_variance", "learned_variance")

    def parts(self, lab: Lab) -> list[Part]:
        """Counts the small variances of each decoder."""
        return [
            Part(f"small for a decoder that is {name}", f"{_interval(each)} are below {SMALL}", _judge(each))
            for name, each in _all_shares(lab).items()
        ]

    def panel(self, lab: Lab, axes: Axes) -> None:
        """The shares of small variances."""
        _panel(axes, _all_shares(lab))

    def figures(self, lab: Lab) -> list[Shown]:
        """Histograms."""
        told = "Variances of q(z|x) over test images and dimensions, of the first seed."
        return [Shown("c-histograms", posterior_variances(decoders(lab)), told)]

    def tables(self, lab: Lab) -> list[Table]:
        """The numbers."""
        return [_numbers(decoders(lab))]


def _all_shares(lab: Lab) -> dict[str, Estimate]:
    return {name: of_seeds(_shares(model)) for name, model in decoders(lab).items()}


def _interval(share: Estimate) -> str:
    return f"{share.mean:.0%} ({max(0, share.low):.0%} to {min(1, share.high):.0%})"


def decoders(lab: Lab) -> dict[str, Compared]:
    """A model for each kind of decoder, by its name."""
    return {"Bernoulli": lab.models("draws", "model.k")[1]} | gaussian_decoders(lab)


def gaussian_decoders(lab: Lab) -> dict[str, Compared]:
    """Those of them that are Gaussian."""
    found = {
        f"Gaussian, σ² = {value:g}": m for value, m in lab.models("fixed_variance", "model.variance.value").items()
    }
    return found | {LEARNED[name]: m for name, m in lab.models("learned_variance", "model.variance").items()}


def _judge(share: Estimate) -> Verdict:
    if share.n_seeds > 1:
        if share.low > 0.9:
            return Verdict.HOLDS
        if share.high < 0.5:
            return Verdict.FAILS
        if share.low > 0.5 and share.high < 0.9:
            return Verdict.IN_PART
    return Verdict.UNDECIDED


def _counts(model: Compared, run: int, part: str) -> tuple[np.ndarray, np.ndarray]:
    """A histogram of log σ², its counts and its edges."""
    found = model.runs[run].report["details"][f"log_posterior_variance_{part}"]
    return np.array(found["counts"], float), np.array(found["edges"], float)


def _shares(model: Compared, parts: tuple[str, ...] = ("active", "inactive")) -> np.ndarray:
    """The share of variances below the margin, of each seed, (S,); linear within the bin of the margin."""
    shares = []
    for run in range(len(model.runs)):
        below, total = 0.0, 0.0
        for part in parts:
            counts, edges = _counts(model, run, part)
            below += float(np.interp(np.log(SMALL), edges, np.concatenate([[0], counts.cumsum()])))
            total += counts.sum()
        shares.append(below / total if total else np.nan)
    return np.array(shares)


def _panel(axes: Axes, shares: Mapping[str, Estimate]) -> None:
    axes.axvspan(0.9, 1.03, color=GREY, alpha=0.25)
    for i, each in enumerate(shares.values()):
        error = [[each.mean - max(0, each.low)], [min(1, each.high) - each.mean]]
        axes.errorbar(each.mean, i, xerr=error, fmt="o", color=BLUE, capsize=3)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.set(xlabel=f"share of variances below {SMALL}", xlim=(-0.03, 1.03), ylim=(len(shares) - 0.5, -0.5))


def _numbers(models: Mapping[str, Compared]) -> Table:
    rows = []
    for name, model in models.items():
        active, kl = tested(model, "active_units"), tested(model, "kl")
        mean = np.array([run.test.get("posterior_variance/active") or np.nan for run in model.runs])
        rows.append([
            name, f"{active.mean():.1f} of {model.models[0].latent_dim}", f"{kl.mean():.1f}", f"{mean.mean():.3g}",
            f"{np.nanmean(_shares(model)):.0%}", f"{np.nanmean(_shares(model, ('active',))):.0%}",
        ])  # fmt: skip
    heads = ["decoder", "active units", "KL term (nats)", "mean σ², active", f"below {SMALL}", f"below {SMALL}, active"]
    return Table(heads, rows, "Means over seeds.")
