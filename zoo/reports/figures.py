"""The figures of a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from zoo.figures.mosaics import CELL, height, show
from zoo.figures.style import BLUE, DARK, GREEN, GREY, ORANGE, panels
from zoo.reports.groups import Compared
from zoo.reports.paired import Estimate

COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", DARK, GREY)
"""Of models, in their order: Okabe and Ito 2008, and two greys."""

STYLES = ("-", "--", "-.", ":")
"""Of lines, so that colour is not all that tells them apart."""


def line(i: int) -> dict[str, Any]:
    """How the line of the i-th model looks."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": STYLES[(i // len(COLOURS) + i) % len(STYLES)],
        "linewidth": 1.3,
    }


def learning_curves(models: Sequence[Compared], name: str) -> Figure:
    """A number of the validation over epochs, decoder passes and seconds; a line a seed."""
    figure, axes = panels(9.5, 3.2, columns=3, sharey=True)
    for i, model in enumerate(models):
        for seed, run in enumerate(model.runs):
            points = run.curves.get(name, [])
            if not points:
                continue
            steps, values = np.array(points).T
            label = model.label if seed == 0 else None
            for place, scale in zip(axes[0], _scales(run), strict=True):
                place.plot((steps + 1) * scale, values, label=label, **line(i), alpha=0.85)
    for place, label in zip(axes[0], ("epochs", "images decoded in training", "seconds of training"), strict=True):
        place.set_xlabel(label)
    axes[0, 1].set_xscale("log")
    axes[0, 2].set_xscale("log")
    axes[0, 0].set_ylabel(f"{name} (nats)")
    _focus(axes[0, 0])
    axes[0, 0].legend(loc="lower right")
    return figure


def _scales(run: Any) -> tuple[float, float, float]:
    """Epochs, decoder passes and seconds of one step, as means over the run."""
    facts = run.report
    images = (run.config["data"]["init_args"].get("batch_size") or 1) * facts["hardware"]["ranks"]
    return 1 / run.steps_per_epoch, images * facts["k"], images / facts["images_per_second"]


def _focus(axes: Axes) -> None:
    """Leaves the first values out, which would flatten the rest."""
    values = np.concatenate([np.asarray(each.get_ydata(), float) for each in axes.get_lines()] or [np.zeros(1)])
    low, high = np.quantile(values, 0.1), values.max()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-9)


def over_k(models: Sequence[Compared], estimates: Mapping[str, Mapping[int, Estimate]]) -> Figure:
    """L_k over k, with its 95 % intervals."""
    figure, axes = panels(5.2, 3.4)
    for i, model in enumerate(models):
        found = estimates.get(model.label)
        if found:
            means, errors = zip(*((each.mean, each.half_width) for each in found.values()), strict=True)
            axes[0, 0].errorbar(list(found), means, errors, label=model.label, capsize=2, **line(i))
    axes[0, 0].set(xscale="log", xlabel="k, draws", ylabel="L_k (nats an image)")
    axes[0, 0].legend(loc="lower right")
    return figure


def differences(pairs: Mapping[str, Estimate], decided: Sequence[bool]) -> Figure:
    """Paired differences with their 95 % intervals; filled where they are larger than their noise."""
    figure, axes = panels(6.4, 0.9 + 0.32 * len(pairs))
    for i, (each, clear) in enumerate(zip(pairs.values(), decided, strict=True)):
        axes[0, 0].errorbar(each.mean, i, xerr=each.half_width, fmt="o", capsize=3, color=BLUE if clear else DARK,
                            markerfacecolor=BLUE if clear else "white")  # fmt: skip
    axes[0, 0].axvline(0, color=GREY, linewidth=0.8)
    axes[0, 0].set_yticks(range(len(pairs)), list(pairs))
    axes[0, 0].set(xlabel="difference of L_k (nats an image)", ylim=(len(pairs) - 0.5, -0.5))
    return figure


def kl_spectra(models: Sequence[Compared]) -> Figure:
    """The KL term of each latent dimension, largest first."""
    figure, axes = panels(5.2, 3.2)
    for i, model in enumerate(models):
        for seed, run in enumerate(model.runs):
            spectrum = run.report["details"].get("kl_per_dimension")
            if spectrum:
                values = sorted((value for value in spectrum if value is not None), reverse=True)
                label = model.label if seed == 0 else None
                axes[0, 0].plot(range(1, len(values) + 1), values, label=label, **line(i), alpha=0.85)
    axes[0, 0].set(xlabel="latent dimension, in the order of its KL term", ylabel="KL term (nats)")
    axes[0, 0].legend(loc="upper right")
    return figure


def posterior_variances(models: Mapping[str, Compared]) -> Figure:
    """The variances of q(z|x), of active and inactive dimensions, a panel a model."""
    details = {name: model.runs[0].report["details"] for name, model in models.items()}
    with_encoder = {name: each for name, each in details.items() if "log_posterior_variance_active" in each}
    columns = min(3, max(1, len(with_encoder)))
    rows = -(-max(1, len(with_encoder)) // columns)
    figure, axes = panels(3.2 * columns, 2.3 * rows, rows=rows, columns=columns, sharex=True)
    for place, (name, found) in zip(axes.flat, with_encoder.items(), strict=False):
        for part, colour in {"inactive": GREY, "active": BLUE}.items():
            counts, edges = (np.array(found[f"log_posterior_variance_{part}"][key]) for key in ("counts", "edges"))
            place.stairs(counts, edges / np.log(10), fill=True, color=colour, alpha=0.75, label=part)
        place.set(title=name, xlim=(-5, 0.6), yticks=[])
    for place in axes.flat[len(with_encoder) :]:
        place.set_visible(False)
    for place in axes[-1]:
        place.set_xlabel("log10 of the variance of q(z|x)")
    axes[0, 0].set_ylabel("images × dimensions")
    axes[0, 0].legend(loc="upper left")
    return figure


def images(models: Sequence[Compared], x: Tensor, seed: int = 0) -> Figure:
    """Some examples, and a row of reconstructions and one of samples of each model."""
    rows, words = [x], ["data"]
    for model in models:
        trained = model.models[0]
        if trained.has_encoder:
            rows.append(trained.reconstruct(x))
            words.append(f"{model.label}:\nreconstructions")
        torch.manual_seed(seed)
        rows.append(trained.sample(len(x)))
        words.append(f"{model.label}:\nsamples")
    return mosaic(rows, words)


def samples(models: Mapping[str, Compared], n: int = 10, seed: int = 0) -> Figure:
    """Means of p(x|z) for z ~ p(z), a row a model."""
    rows = []
    for model in models.values():
        torch.manual_seed(seed)
        rows.append(model.models[0].sample(n))
    return mosaic(rows, list(models))


def mosaic(rows: Sequence[Tensor], words: Sequence[str]) -> Figure:
    """Rows of images (N, C, H, W), each with what it is."""
    pictures = torch.stack(list(rows))
    figure, axes = panels(CELL * pictures.shape[1] + 2.2, height(pictures) + 0.2)
    show(axes[0, 0], pictures, rows=words)
    return figure
