"""Claim (e): IWAE is tighter, generates better and encodes worse."""

import itertools
from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from zoo import RefitIWAE, RefittedEncoder
from zoo.article.claim import Claim
from zoo.article.lab import Lab, tested
from zoo.article.verdict import Part, larger, nats
from zoo.measures.importance import pareto_khat
from zoo.reports.figures import line, samples
from zoo.reports.groups import Compared
from zoo.reports.measured import examples
from zoo.reports.page import Shown, Table
from zoo.reports.paired import Estimate, difference, estimate, of_seeds


class ImportanceWeighting(Claim):
    """The VAE against the IWAE over k."""

    letter = "e"
    title = "IWAE: a tighter bound, a better generator, a weaker encoder"
    says = (
        "With k weighted draws the bound tends to log p(x) as k grows; it gives a better generator than the VAE, and "
        "an encoder that is worse."
    )
    rule = (
        "Each part holds where the 95 % interval of its difference, over images and seeds, lies above 0, and does "
        "not hold where that lies below. Tighter: L_k of one model over rising k. Generator: log p(x) of the decoder "
        "with the largest k less the VAE's, by annealed importance sampling from fresh encoders. Encoder: "
        "how far the ELBO is below L_k, which is KL(q(z|x) ‖ p(z|x)) as far as L_k is log p(x); the accuracy of a "
        "linear probe on the codes; and the signal-to-noise ratio of the encoder's gradient."
    )
    why = (
        "The weighted bound asks of q(z|x) only that some of k draws fall well. It is trained to cover p(z|x), which "
        "costs ELBO, and by a gradient whose signal falls as k^(-1/2) while that of the decoder's grows (Rainforth et "
        "al. 2018, https://arxiv.org/abs/1802.04537). Whether the codes are worth less to others is another question "
        "than whether q(z|x) is close to p(z|x)."
    )
    sweeps = ("draws", "iwae")

    def parts(self, lab: Lab) -> list[Part]:
        """Compares the IWAE of the largest k with the VAE."""
        models, over_k = _models(lab), _over_k(lab)
        vae, most = models["VAE"], list(models.values())[-1]
        rises = [estimate(over_k["VAE"][b] - over_k["VAE"][a]) for a, b in itertools.pairwise(_ks(lab))]
        least = min(rises, key=lambda each: each.low)
        better = difference(lab.log_px(most).annealed, lab.log_px(vae).annealed, same_seeds=True)
        gaps = [values[lab.scale.k] - values[1] for values in over_k.values()]
        worse = difference(gaps[-1], gaps[0], same_seeds=True)
        probe, snr = (of_seeds(tested(vae, name) - tested(most, name)) for name in (PROBE, SNR))
        return [
            Part("the bound rises with k, on one model: the least of the steps", nats(least), larger(least)),
            Part("the decoder is better", nats(better), larger(better)),
            Part("q(z|x) is further from p(z|x)", nats(worse), larger(worse)),
            Part("a linear probe finds less in the codes", _share(probe), larger(probe)),
            Part("the encoder's gradient has a smaller signal-to-noise ratio", _number(snr), larger(snr)),
        ]

    def panel(self, lab: Lab, axes: Axes) -> None:
        """L_k over k."""
        _panel(axes, _over_k(lab))

    def figures(self, lab: Lab) -> list[Shown]:
        """Samples."""
        return [Shown("e-samples", samples(_models(lab)), "Means of p(x|z) for z ~ p(z), of the first seed.")]

    def tables(self, lab: Lab) -> list[Table]:
        """The numbers, and two fresh encoders of one decoder."""
        models = _models(lab)
        return [_numbers(lab, models, _over_k(lab)), _refits(lab, list(models.values())[-1])]


def _models(lab: Lab) -> dict[str, Compared]:
    """The VAE, and the IWAE over k."""
    return {"VAE": lab.models("draws", "model.k")[1]} | {
        f"IWAE, k = {k}": model for k, model in lab.models("iwae", "model.k").items()
    }


def _ks(lab: Lab) -> list[int]:
    return [1, 5, 50, lab.scale.k]


def _over_k(lab: Lab) -> dict[str, dict[int, np.ndarray]]:
    """L_k (S, N) by the model and k."""
    return {name: lab.log_likelihoods(model, _ks(lab)) for name, model in _models(lab).items()}


PROBE, SNR = "code_quality/linear_probe", "gradient_snr/encoder"


def _share(each: Estimate) -> str:
    return f"{100 * each.mean:+.1f} ({100 * each.low:+.1f} to {100 * each.high:+.1f}) points less"


def _number(each: Estimate) -> str:
    return f"{each.mean:+.3f} ({each.low:+.3f} to {each.high:+.3f}) less"


def _panel(axes: Axes, over_k: Mapping[str, Mapping[int, np.ndarray]]) -> None:
    for i, (name, by_k) in enumerate(over_k.items()):
        axes.plot(
            list(by_k), [values.mean() for values in by_k.values()], marker="o", markersize=3, label=name, **line(i)
        )
    axes.set(xscale="log", xlabel="k, draws of the estimate", ylabel="L_k (nats)")
    axes.legend(loc="lower right")


def _khat(model: Compared, lab: Lab) -> float:
    """The median over images of k̂, of the first seed."""
    x = examples(model.runs[0], 50)
    return float(pareto_khat(model.models[0].log_weights(x, lab.scale.k)).median())


def _numbers(lab: Lab, models: Mapping[str, Compared], over_k: Mapping[str, Mapping[int, np.ndarray]]) -> Table:
    k = lab.scale.k
    rows = []
    for name, model in models.items():
        low, high = over_k[name][1], over_k[name][k]
        log_px = [f"{each.mean():.2f}" for each in (low, high, high - low, *lab.log_px(model))]
        units = [f"{tested(model, each).mean():.1f}" for each in ("kl", "active_units", "ess/median")]
        snr = [f"{tested(model, f'gradient_snr/{part}').mean():.3f}" for part in ("encoder", "decoder")]
        rows.append([name, *log_px, *units, f"{_khat(model, lab):.2f}", f"{tested(model, PROBE).mean():.1%}", *snr])
    log_px_heads = ["L_1", f"L_{k}", f"L_{k} − L_1", "AIS", f"L_{k}, refitted"]
    heads = ["model", *log_px_heads, "KL term", "active units", "ESS of 64", "k̂", "probe", "SNR, encoder", "decoder"]
    caption = (
        f"Means over seeds; nats where no unit is named. AIS, and L_{k} beside it, are from fresh encoders, of "
        f"{lab.scale.n_annealed} test images. ESS and k̂ are medians over test images."
    )
    return Table(heads, rows, caption)


def _refits(lab: Lab, model: Compared) -> Table:
    """One decoder, and fresh encoders of it: what the objective alone does to q(z|x)."""
    epochs = lab.scale.refit_epochs
    fresh = {"by the ELBO": RefittedEncoder(epochs=epochs), "by L_5": RefittedEncoder(partial(RefitIWAE, k=5), epochs)}
    rows = []
    for name, proposal in fresh.items():
        found = lab.log_likelihoods(model, [1, lab.scale.k], proposal, f"refitted {name}")
        rows.append([name, *(f"{each.mean():.2f}" for each in found.values())])
    return Table(["fresh encoder", "L_1", f"L_{lab.scale.k}"], rows, "The decoder of the largest k, frozen: two fresh "
                 f"encoders for it, trained for {epochs} epochs. Means over seeds.")  # fmt: skip
