"""Claim (d): one draw does as well as many."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from zoo.article.claim import Claim
from zoo.article.lab import Lab, tested
from zoo.article.verdict import Part, at_most, nats, same
from zoo.figures.style import BLUE, GREEN, GREY, panels
from zoo.reports.figures import line
from zoo.reports.finished import FinishedRun
from zoo.reports.groups import Compared
from zoo.reports.page import Shown, Table
from zoo.reports.paired import Estimate, difference, of_seeds, with_spread


class OneDraw(Claim):
    """k draws of a VAE, whose log p(x|z) is averaged."""

    letter = "d"
    title = "One draw of z does as well as many"
    says = "Since the posterior is narrow, one draw is as good as any number of them."
    rule = (
        "At equal epochs, the 95 % interval of the difference in L_k of k draws less one draw, over images and "
        "seeds, must lie within ±0.5 nats for the claim to hold, and beyond ±1 for it not to. At equal decoder "
        "passes one draw must be no more than 0.5 nats of validation ELBO behind; by more than 1 the claim does not "
        "hold. A model that was first validated after more passes is taken there, which favours it."
    )
    why = (
        "More draws leave the expected objective as it is, and divide the part of the gradient's variance that the "
        "draws make by k. What is left is the noise of the minibatch, and the price is k passes through the decoder "
        "instead of one. Averaging log p(x|z) over draws is not what an IWAE does: that changes the objective, and "
        "is claim (e)."
    )
    sweeps = ("draws",)

    def parts(self, lab: Lab) -> list[Part]:
        """Compares every number of draws with one."""
        models = _models(lab)
        behind = {k: _behind(models[1], model) for k, model in models.items() if k > 1}
        return [
            *(Part(f"L_{lab.scale.k} of {k} draws less that of one, equal epochs", nats(each), same(each, 0.5, 1))
              for k, each in _gaps(lab).items()),
            *(Part(f"how far one draw is behind {k}, equal decoder passes", nats(each), at_most(each, 0.5, 1))
              for k, each in behind.items()),
        ]  # fmt: skip

    def panel(self, lab: Lab, axes: Axes) -> None:
        """What more draws gain."""
        _panel(axes, _gaps(lab))

    def figures(self, lab: Lab) -> list[Shown]:
        """The learning curves."""
        return [_curves(_models(lab))]

    def tables(self, lab: Lab) -> list[Table]:
        """The numbers."""
        return [_numbers(lab, _models(lab))]


def _models(lab: Lab) -> dict[int, Compared]:
    return lab.models("draws", "model.k")


def _gaps(lab: Lab) -> dict[int, Estimate]:
    """L_k of k draws less that of one."""
    values = {k: lab.log_likelihood(model) for k, model in _models(lab).items()}
    return {k: difference(each, values[1], same_seeds=True) for k, each in values.items() if k > 1}


def _passes(run: FinishedRun) -> tuple[np.ndarray, np.ndarray]:
    """Images that the decoder made in training so far, and the validation's ELBO there."""
    steps, values = np.array(run.curves["val/elbo"]).T
    return (steps + 1) * run.config["data"]["init_args"]["batch_size"] * run.report["k"], values


def _behind(one: Compared, many: Compared) -> Estimate:
    """By how much k draws are ahead of one, once the decoder has made as many images as one draw's whole run takes."""
    ahead = []
    for ours, theirs in zip(one.runs, many.runs, strict=True):
        (passes, values), (passes_k, values_k) = _passes(ours), _passes(theirs)
        ahead.append(np.interp(passes[-1], passes_k, values_k) - values[-1])
    return of_seeds(np.array(ahead))


def _panel(axes: Axes, gaps: Mapping[int, Estimate]) -> None:
    axes.axhspan(-0.5, 0.5, color=GREEN, alpha=0.12)
    axes.axhline(0, color=GREY, linewidth=0.6)
    for i, each in enumerate(gaps.values()):
        axes.errorbar(i, each.mean, each.half_width, fmt="o", capsize=4, color=BLUE)
    axes.set_xticks(range(len(gaps)), [f"{k} draws" for k in gaps])
    axes.set(xlim=(-0.6, len(gaps) - 0.4), ylabel="gain over one draw (nats)")


def _curves(models: Mapping[int, Compared]) -> Shown:
    figure, axes = panels(7.2, 3, columns=2, sharey=True)
    for i, (k, model) in enumerate(models.items()):
        for seed, run in enumerate(model.runs):
            passes, values = _passes(run)
            label = f"k = {k}" if seed == 0 else None
            axes[0, 0].plot(np.arange(1, len(values) + 1), values, label=label, **line(i))
            axes[0, 1].plot(passes, values, **line(i))
    best = max(values[-1] for model in models.values() for values in [_passes(run)[1] for run in model.runs])
    axes[0, 0].set(xlabel="epochs", ylabel="ELBO, validation (nats)", ylim=(best - 45, best + 3))
    axes[0, 1].set(xlabel="images decoded in training", xscale="log")
    axes[0, 0].legend(loc="lower right")
    return Shown("d-curves", figure, "The same runs by epochs and by what they cost; a line a seed.")


def _numbers(lab: Lab, models: Mapping[int, Compared]) -> Table:
    rows = []
    for k, model in models.items():
        values = [lab.log_likelihood(model).mean(1), tested(model, "elbo"), tested(model, "kl")]
        noise = [tested(model, f"gradient_variance/{part}").mean() for part in ("encoder", "decoder")]
        rows.append([str(k), *map(with_spread, values),
                     *(f"{each:.3g}" for each in noise)])  # fmt: skip
    heads = ["k", f"L_{lab.scale.k}", "ELBO", "KL term (nats)", "gradient variance, encoder", "decoder"]
    return Table(heads, rows, "Means over seeds, ± their standard deviation. The gradient's variance is that over "
                 "draws, of a batch of test images that stays, and falls as 1/k by theory.")  # fmt: skip
