"""What the monitors found in a split, at a glance."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from zoo.figures.style import BLUE, DARK, GREEN, GREY, ORANGE, panels

Found = Mapping[str, Any]
"""What is logged of a split and the `details` of the monitors, by their names."""

LEAST = 0.1
"""How many nats the axis of KL terms shows at least, so that a collapse looks like one."""


def dashboard(found: Found, title: str) -> Figure:
    """One panel for each monitor that has found something.

    Args:
        found: What is logged of the split and the `details` of the monitors.
        title: What the numbers are of.
    """
    drawn = panels_of(found)
    columns, rows = min(2, len(drawn)), -(-len(drawn) // 2)
    figure, axes = panels(4.2 * columns, 0.4 + 2.6 * rows, rows, columns)
    for place, draw in zip(axes.flat, drawn, strict=False):
        draw(place, found)
    for place in axes.flat[len(drawn) :]:
        place.set_axis_off()
    figure.suptitle(title)
    return figure


def panels_of(found: Found) -> list[Callable[[Axes, Found], None]]:
    """What there is something to draw of."""
    return [draw for draw, has in PANELS.items() if has(found)]


def _spectrum(axes: Axes, found: Found) -> None:
    """The KL term of each unit, from the greatest to the smallest; active and inactive apart where that is known."""
    kl = np.array(found["kl_per_dimension"])
    order, parts = kl.argsort()[::-1], [(np.ones(len(kl), dtype=bool), "", BLUE)]
    if "variance_of_means" in found:
        ranks = np.argsort(found["variance_of_means"])[::-1].argsort()
        active = ranks < found["active_units"]
        parts = [(active, f"{active.sum()} active", BLUE), (~active, f"{(~active).sum()} inactive", GREY)]
    for chosen, label, colour in parts:
        if chosen.any():
            axes.bar(np.flatnonzero(chosen[order]) + 1, kl[order][chosen[order]], 0.8, color=colour, label=label)
    axes.set(title="KL term, unit by unit", xlabel="unit, sorted", ylabel="nats", xlim=(0.3, len(kl) + 0.7))
    axes.set_ylim(0, max(1.25 * kl.max(), LEAST))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if "variance_of_means" in found:
        axes.legend(loc="upper right", ncols=2)


def _variances(axes: Axes, found: Found) -> None:
    """The histogram of log posterior variance, active and inactive units apart."""
    binned = [found[f"log_posterior_variance_{kind}"] for kind in ("active", "inactive")]
    counts, edges = np.array([each.counts for each in binned]), np.array(binned[0].edges)  # (2, bins)
    held = np.flatnonzero(counts.sum(0))
    low, high = max(0, held[0] - 2), min(len(edges) - 1, held[-1] + 3)
    share, edges = counts[:, low:high] / counts.sum(), edges[low : high + 1]
    if share[0].any():
        axes.stairs(share[0], edges, fill=True, color=BLUE, label="active")
    if share[1].any():
        axes.stairs(share.sum(0), edges, baseline=share[0], fill=True, color=GREY, label="inactive")
    axes.axvline(0, color=DARK, linewidth=0.8, linestyle=":", label="σ² = 1")
    axes.set(title="posterior variance, of all units and examples", xlabel="log σ²(x)", ylabel="share")
    axes.legend(loc="upper left")


def _likelihoods(axes: Axes, found: Found) -> None:
    """Estimates of log p(x) over the number of draws, with what is known of the weights."""
    name = _estimates(found)[0]
    own = name.removeprefix("log_likelihood")
    whose = f" of the {own[1:].replace('_', ' ')}" if own else ""
    points, cut = _over_k(found, name), _over_k(found, f"{name}_cut")
    k = max(points)
    label = f"$L_k${whose} ± standard error"
    axes.errorbar(k, points[k], found[f"{name}/se"], color=BLUE, capsize=3, linewidth=1)
    axes.plot(list(points), list(points.values()), "o-", color=BLUE, markersize=4, linewidth=1.2, label=label)
    if cut:
        axes.plot(list(cut), list(cut.values()), "s", color=ORANGE, mfc="none", label="inactive units cut")
    if f"jvi1{own}" in found:
        axes.plot(k, found[f"jvi1{own}"], "D", color=GREEN, markersize=4, mfc="none", label="JVI-1, no bound")
    axes.set(title="log-likelihood", xlabel="draws k", ylabel="nats", xscale="log")
    axes.set_xticks(ks := sorted({*points, *cut}), [str(each) for each in ks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.ticklabel_format(axis="y", useOffset=False)
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.6 * (high - low))  # room for the legend
    axes.legend(loc="lower right", title=_trust(found, k, own), title_fontsize=7.5, alignment="left")


def _over_k(found: Found, family: str) -> dict[int, float]:
    """The members of a family that are named by their number of draws, in its order."""
    numbered = (name.partition("/") for name in found)
    return {
        k: found[f"{family}/{k}"] for k in sorted(int(k) for own, _, k in numbered if own == family and k.isdigit())
    }


def _estimates(found: Found) -> list[str]:
    """The estimates of log p(x) of all units, that of the model's own draws first."""
    errors = (name for name in found if re.fullmatch(r"log_likelihood(_[^_]+_proposal)?/se", name))
    return sorted((name.removesuffix("/se") for name in errors), key=len)


def _trust(found: Found, k: int, own: str) -> str | None:
    """How far the weights are to be trusted, in words."""
    if f"khat{own}/above" not in found:
        return None
    effective, above = found[f"ess{own}/median"], found[f"khat{own}/above"]
    return f"{effective:.3g} of {k} draws effective (median)\nk̂ too large for {above:.0%} of examples"


def _information(axes: Axes, found: Found) -> None:
    """The two parts of the KL term, beside the ceiling of the first."""
    left = 0.0
    for name, colour in (("mutual_information", GREEN), ("aggregate_kl", ORANGE)):
        words = name.replace("_kl", " KL").replace("_", " ")
        axes.barh(0, found[name], 0.5, left, color=colour, label=f"{words}: {found[name]:.2f}")
        left += found[name]
    ceiling = found["mutual_information/ceiling"]
    axes.plot([ceiling] * 2, [-0.35, 0.35], color=DARK, linewidth=1.2, label=f"ceiling of the first: {ceiling:.2f}")
    axes.set(title="where the KL term goes", xlabel="nats", ylim=(-0.4, 1.2), yticks=[])
    axes.legend(loc="upper left")


PANELS: dict[Callable[[Axes, Found], None], Callable[[Found], Any]] = {
    _spectrum: lambda found: "kl_spectrum" in found,
    _variances: lambda found: "log_posterior_variance_active" in found,
    _likelihoods: _estimates,
    _information: lambda found: "mutual_information" in found,
}
"""The panels, and whether what they show was found."""
