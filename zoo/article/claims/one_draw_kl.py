"""Claim (a): the KL term may come from the draw."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from zoo.article.claim import Claim
from zoo.article.lab import Lab, tested
from zoo.article.latent_gradients import latent_gradients, total_variance
from zoo.article.verdict import Part, nats, same
from zoo.figures.style import BLUE, ORANGE, panels
from zoo.reports.groups import Compared
from zoo.reports.measured import examples
from zoo.reports.page import Shown, Table
from zoo.reports.paired import difference, of_seeds, with_spread

NAMES = {True: "closed form (4)", False: "from the draw (5)"}
COLOURS = {True: BLUE, False: ORANGE}


class OneDrawKL(Claim):
    """(4) against (5)."""

    letter = "a"
    title = "A KL term from one draw does as well as the closed form"
    says = (
        "With everything taken from the one draw, −log p(x|z) − log p(z) + log q(z|x), a VAE converges to about what "
        "the closed-form KL term gives."
    )
    rule = (
        "The 95 % interval of the difference of L_k, over images and seeds, must lie within ±0.2 nats for the claim to "
        "hold, and beyond ±0.5 for it not to; that of the KL term within ±0.5 and beyond ±1; that of the active units "
        "within ±1 and beyond ±3."
    )
    why = (
        "The one-draw KL term itself is noisy: its variance is ½ (σ² − 1)² + μ² σ² a dimension, which is ½ and not 0 "
        "where σ is small. But the gradients it hands on, with z = μ + σ ε, add only σ² for μ and μ² σ² + 2 σ⁴ for "
        "log σ. Those vanish where σ is small, and are largest for units that are hardly used, whose σ is near 1."
    )
    sweeps = ("kl",)

    def parts(self, lab: Lab) -> list[Part]:
        """Compares both, seed by seed."""
        drawn, closed = (_models(lab)[key] for key in (False, True))
        gap = difference(lab.log_likelihood(drawn), lab.log_likelihood(closed), same_seeds=True)
        kl, units = (of_seeds(tested(drawn, name) - tested(closed, name)) for name in ("kl", "active_units"))
        counted = f"{units.mean:+.1f} ({units.low:+.1f} to {units.high:+.1f})"
        return [
            Part(f"L_{lab.scale.k} is the same", nats(gap), same(gap, 0.2, 0.5)),
            Part("the KL term is the same", nats(kl), same(kl, 0.5, 1)),
            Part("as many units are active", counted, same(units, 1, 3)),
        ]

    def panel(self, lab: Lab, axes: Axes) -> None:
        """The learning curves."""
        _learning(axes, _models(lab))

    def figures(self, lab: Lab) -> list[Shown]:
        """The noise of the gradients over training."""
        return [_variance_figure(_models(lab))]

    def tables(self, lab: Lab) -> list[Table]:
        """The numbers, and what theory says of the noise."""
        return [_numbers(lab, _models(lab)), _theory(_models(lab)[True])]


def _models(lab: Lab) -> dict[bool, Compared]:
    return lab.models("kl", "model.closed_form_kl")


def _learning(axes: Axes, models: Mapping[bool, Compared]) -> None:
    for closed, model in models.items():
        for seed, run in enumerate(model.runs):
            steps, values = np.array(run.curves["val/elbo"]).T
            axes.plot(steps + 1, values, color=COLOURS[closed], linestyle="-" if closed else "--", linewidth=1,
                      label=None if seed else NAMES[closed])  # fmt: skip
    low = min(
        np.quantile([value for _, value in run.curves["val/elbo"]], 0.15) for m in models.values() for run in m.runs
    )
    axes.set(xlabel="steps", ylabel="ELBO, validation (nats)")
    axes.set_ylim(bottom=low)
    axes.legend(loc="lower right")


def _variance_figure(models: Mapping[bool, Compared]) -> Shown:
    figure, axes = panels(7.2, 2.8, columns=2)
    for place, part in zip(axes[0], ("encoder", "decoder"), strict=True):
        for closed, model in models.items():
            for seed, run in enumerate(model.runs):
                steps, values = np.array(run.curves[f"val/gradient_variance/{part}"]).T
                place.plot(steps + 1, values, color=COLOURS[closed], linestyle="-" if closed else "--", linewidth=1,
                           label=None if seed else NAMES[closed])  # fmt: skip
        place.set(title=part, xlabel="steps", ylabel="variance of the gradient (nats²)")
    axes[0, 1].legend(loc="lower right")
    return Shown("a-variance", figure, "The variance of the training gradient of one batch of validation images over "
                 "draws, summed over parameters; a line a seed.")  # fmt: skip


def _numbers(lab: Lab, models: Mapping[bool, Compared]) -> Table:
    rows = []
    for closed, model in models.items():
        values = [lab.log_likelihood(model).mean(1), *(tested(model, name) for name in ("elbo", "kl", "active_units"))]
        rows.append([NAMES[closed], *map(with_spread, values)])
    heads = ["KL term", f"L_{lab.scale.k}", "ELBO", "KL term (nats)", "active units"]
    return Table(heads, rows, "Means over seeds, ± their standard deviation.")


def _theory(closed: Compared) -> Table:
    """What the draw of the KL term adds to the variance of the gradients of μ and log σ, beside what it should."""
    model = closed.models[0]
    x = examples(closed.runs[0], 50)
    found = latent_gradients(model, x, draws=300)
    q = model.encode(x)
    m2, s2 = q.mean.detach().square(), q.variance.detach()
    theory = (s2 + m2 * s2 + 2 * s2.square()).sum(-1).mean()
    rows = [
        ["closed form (4)", f"{total_variance(found.closed):.2f}"],
        ["from the draw (5)", f"{total_variance(found.drawn):.2f}"],
        ["the one-draw KL term alone", f"{total_variance(found.drawn - found.closed):.2f}"],
        ["the same, by theory: Σ σ² + μ² σ² + 2 σ⁴", f"{theory:.2f}"],
    ]
    caption = (
        "The variance over draws of the gradient that an image hands to μ and log σ of a trained encoder (nats²), "
        "summed over dimensions. The noise of the KL term and that of log p(x|z) come from the same draw, and partly "
        "cancel or add."
    )
    return Table(["gradient", "variance"], rows, caption)
