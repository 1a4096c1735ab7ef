"""Claim (f): without reparameterisation the encoder gets no gradient from the draw."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from zoo.article.claim import Claim
from zoo.article.lab import Lab, tested
from zoo.article.latent_gradients import latent_gradients, total_variance
from zoo.article.variants import DetachedGaussian, ScoreFunctionVAE
from zoo.article.verdict import Part, Verdict, larger, nats
from zoo.figures.style import BLUE, panels
from zoo.reports.figures import line
from zoo.reports.groups import Compared
from zoo.reports.measured import examples
from zoo.reports.page import Shown, Table
from zoo.reports.paired import difference

SHRINKS = (1.0, 0.3, 0.1, 0.03, 0.01)
"""What σ is multiplied by, to see how each estimator's variance depends on it."""

ESTIMATORS = {"closed": "pathwise, closed-form KL", "drawn": "pathwise, one-draw KL", "score": "score function",
              "baseline": "score function, baseline"}  # fmt: skip


class Reparameterisation(Claim):
    """Pathwise gradients, none, and those of the score function."""

    letter = "f"
    title = "Without reparameterisation the encoder gets no gradient"
    says = (
        "z must be μ + σ ε: were it just drawn, no gradient would come back through it, and the encoder could not "
        "learn."
    )
    rule = (
        "With detached draws the encoder must end at the prior (a KL term below 0.1 nats) where the KL term is in "
        "closed form, and fall behind the pathwise one (its 95 % interval of L_k above 0) where that comes from the "
        "draw. That there is no gradient without reparameterisation does not hold if the score function, which has "
        "none, trains a model that is better than the detached ones, with a 95 % interval above 0."
    )
    why = (
        "A detached draw leaves the encoder the KL term alone, which is least at the prior; or, with the KL term of "
        "the draw, the gradient of log q(z|x), which is 0 in expectation. But an expectation has another gradient, "
        "E[f ∇ log q], which needs no derivative of f at all. Its variance is what reparameterisation saves: by "
        "theory that of f's mean over σ², where the pathwise one falls as σ²."
    )
    sweeps = ("draws", "detached", "score_function")

    def parts(self, lab: Lab) -> list[Part]:
        """Compares what was trained with and without."""
        models, values = trained(lab), _values(lab)
        pathwise, _, closed, drawn, score = models
        kl = tested(models[closed], "kl")
        lag = difference(values[pathwise], values[drawn], same_seeds=False)
        gains = [difference(values[score], values[name], same_seeds=False) for name in (closed, drawn)]
        learns = all(larger(each) == Verdict.HOLDS for each in gains)
        return [
            Part("detached, with a closed-form KL term, the encoder goes to the prior",
                 f"KL term {kl.min():.3f} to {kl.max():.3f} nats", Verdict.HOLDS if kl.max() < 0.1 else Verdict.FAILS),
            Part("detached, with the KL term of the draw, it falls behind the pathwise one", nats(lag), larger(lag)),
            Part("nothing else trains it: what the score function gains over detached draws",
                 " and ".join(nats(each) for each in gains), Verdict.FAILS if learns else Verdict.UNDECIDED),
        ]  # fmt: skip

    def panel(self, lab: Lab, axes: Axes) -> None:
        """What each came to, a point a seed."""
        _panel(axes, _values(lab))

    def figures(self, lab: Lab) -> list[Shown]:
        """The noise of the estimators."""
        return [_figure(_variances(trained(lab)["pathwise"]))]

    def tables(self, lab: Lab) -> list[Table]:
        """The numbers."""
        models = trained(lab)
        return [_numbers(models, _values(lab), lab.scale.k), _noise(_variances(models["pathwise"]))]


def _values(lab: Lab) -> dict[str, np.ndarray]:
    return {name: lab.log_likelihood(model) for name, model in trained(lab).items()}


def trained(lab: Lab) -> dict[str, Compared]:
    """The models, by their names; one that is pathwise has as many draws as that of the score function."""
    pathwise, detached = lab.models("draws", "model.k"), lab.models("detached", "model.closed_form_kl")
    ((k, score),) = lab.models("score_function", "model.k").items()
    return {
        "pathwise": pathwise[1],
        f"pathwise, {k} draws": pathwise[k],
        "detached, closed-form KL": detached[True],
        "detached, one-draw KL": detached[False],
        f"score function, {k} draws": score,
    }


def _panel(axes: Axes, values: Mapping[str, np.ndarray]) -> None:
    for i, each in enumerate(values.values()):
        axes.plot(each.mean(1), [i] * len(each), "o", color=BLUE)
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xlabel="log-likelihood (nats)", ylim=(len(values) - 0.5, -0.5))
    axes.margins(x=0.15)


def _variances(model: Compared) -> dict[str, list[float]]:
    """The variance of each estimator over what σ is multiplied by."""
    x = examples(model.runs[0], 30)
    found = [latent_gradients(model.models[0], x, draws=100, shrink=shrink) for shrink in SHRINKS]
    return {label: [float(total_variance(getattr(each, name))) for each in found] for name, label in ESTIMATORS.items()}


def _figure(variances: Mapping[str, list[float]]) -> Shown:
    figure, axes = panels(5.4, 3.4)
    for i, (label, values) in enumerate(variances.items()):
        axes[0, 0].plot(SHRINKS, values, marker="o", markersize=3, label=label, **line(i))
    axes[0, 0].set(xscale="log", yscale="log", xlabel="σ of q(z|x), as a share of the trained one",
                   ylabel="variance of the gradient of μ, log σ (nats²)")  # fmt: skip
    axes[0, 0].legend(loc="center left")
    return Shown("f-variance", figure, "The gradients that a trained encoder of the first seed gets for a test image, "
                 "by four estimators of the same mean, at the trained σ and at smaller ones. Theory: as σ² for the "
                 "pathwise ones, as 1/σ² for the score function.")  # fmt: skip


def _numbers(models: Mapping[str, Compared], values: Mapping[str, np.ndarray], k: int) -> Table:
    rows = [
        [
            name,
            f"{values[name].mean():.2f}",
            f"{tested(model, _elbo(model)).mean():.2f}",
            f"{tested(model, 'kl').mean():.2f}",
        ]
        for name, model in models.items()
    ]
    names = f"`{DetachedGaussian.__name__}` and `{ScoreFunctionVAE.__name__}`"
    caption = f"Means over seeds. The variants are {names} of `zoo.article.variants`."
    return Table(["gradient", f"L_{k}", "ELBO", "KL term (nats)"], rows, caption)


def _noise(variances: Mapping[str, list[float]]) -> Table:
    rows = [[f"{shrink:g}", *(f"{values[i]:.3g}" for values in variances.values())] for i, shrink in enumerate(SHRINKS)]
    return Table(["σ, as a share of the trained one", *variances], rows, "The variances of the figure below, nats².")


def _elbo(model: Compared) -> str:
    return "elbo" if "elbo" in model.runs[0].test else "elbo_mc"
