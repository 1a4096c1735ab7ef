"""Claim (g): the decoder's mean may be shown as a sample."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from zoo.article.claim import Claim
from zoo.article.claims.posterior_variance import gaussian_decoders
from zoo.article.lab import Lab
from zoo.article.verdict import Part, Verdict
from zoo.figures.style import BLUE, GREY
from zoo.reports.figures import mosaic
from zoo.reports.groups import Compared
from zoo.reports.page import Shown, Table

INVISIBLE, PLAIN = 30.0, 20.0
"""The peak signal-to-noise ratios, in dB, above which noise is hardly seen, and below which it is plain."""


class MeanAsSample(Claim):
    """Means of p(x|z) beside draws of it."""

    letter = "g"
    title = "The mean of p(x|z) may be shown as a sample"
    says = (
        "With a Gaussian decoder, often of fixed variance, the mean μ(z) is shown as the sample: the variance is "
        "taken to be so small that a draw would look the same."
    )
    rule = (
        "The peak signal-to-noise ratio of draws against their means, −10 log10 of the mean square difference of "
        f"pixels in [0, 1], is at least {INVISIBLE:g} dB for the claim to hold of a decoder, and below {PLAIN:g} dB "
        "for it not to, for every seed."
    )
    why = (
        "A draw differs from its mean by σ in every pixel. A decoder with σ² = 1, which is what a plain squared "
        "error stands for, says that its images are all but noise, and the mean is no sample of it. A variance "
        "learned by the likelihood is the error that is left over, which may be seen; where it is decoded from z, "
        "it may be anything at a z of the prior that no image came near in training. A small one that was chosen "
        "by hand makes the picture honest and the model sure of more than it knows."
    )
    sweeps = ("fixed_variance", "learned_variance")

    def parts(self, lab: Lab) -> list[Part]:
        """Draws from every Gaussian decoder."""
        return [
            Part(f"{name}: a draw looks like its mean", f"{values.min():.1f} to {values.max():.1f} dB", _judge(values))
            for name, values in _ratios(lab).items()
        ]

    def panel(self, lab: Lab, axes: Axes) -> None:
        """The ratios, a point a seed."""
        _panel(axes, _ratios(lab))

    def figures(self, lab: Lab) -> list[Shown]:
        """Means and draws."""
        return [_pictures(gaussian_decoders(lab))]

    def tables(self, lab: Lab) -> list[Table]:
        """None: the parts have all numbers."""
        return []


def _ratios(lab: Lab) -> dict[str, np.ndarray]:
    return {name: np.array([_ratio(each) for each in model.models]) for name, model in gaussian_decoders(lab).items()}


def _samples(model: object, n: int) -> tuple[Tensor, Tensor]:
    """Means (n, C, H, W) and draws at the same z."""
    pictures = []
    for mean in (True, False):
        torch.manual_seed(0)
        pictures.append(model.sample(n, mean=mean))  # type: ignore[attr-defined]
    return pictures[0], pictures[1]


def _ratio(model: object) -> float:
    means, draws = _samples(model, 100)
    return float(-10 * (means - draws).double().square().mean().log10())


def _judge(ratios: np.ndarray) -> Verdict:
    if ratios.min() >= INVISIBLE:
        return Verdict.HOLDS
    return Verdict.FAILS if ratios.max() < PLAIN else Verdict.UNDECIDED


def _panel(axes: Axes, ratios: Mapping[str, np.ndarray]) -> None:
    axes.axvspan(INVISIBLE, 60, color=GREY, alpha=0.25)
    for i, values in enumerate(ratios.values()):
        axes.plot(values, [i] * len(values), "o", color=BLUE)
    axes.set_yticks(range(len(ratios)), list(ratios))
    left = min(values.min() for values in ratios.values()) - 3
    axes.set(xlabel="draws against means (dB)", ylim=(len(ratios) - 0.5, -0.5), xlim=(left, 40))


def _pictures(models: Mapping[str, Compared]) -> Shown:
    rows, words = [], []
    for name, model in models.items():
        for kind, images in zip(("means", "draws"), _samples(model.models[0], 10), strict=True):
            rows.append(images)
            words.append(f"{name}:\n{kind}")
    return Shown(
        "g-samples", mosaic(rows, words), "Means of p(x|z), and draws of it at the same z ~ p(z), of the first seed."
    )
