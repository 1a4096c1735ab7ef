"""What a model makes of places in its latent space, as figures."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from zoo.base import LatentVariableModel
from zoo.estimators import evaluating
from zoo.figures.mosaics import CELL, COLUMNS, height, in_rows, show, signed
from zoo.figures.style import panels
from zoo.paths import interpolate, mean_and_spread, most_active, normal_quantiles, plane_grid, traverse

STEPS = 13
"""The points of a line or of a traversal."""

SIDE = 20
"""The images of a side of the decoded grid."""

PAIRS = 8
"""How many lines between codes are drawn, at most."""

UNITS = 12
"""How many units are moved, at most."""

REACH = 3
"""How far a unit is moved, in standard deviations of the prior."""


def samples(model: LatentVariableModel, n: int, seed: int) -> Figure:
    """Means of p(x|z) beside draws of it, of the same n draws of the prior."""
    grids = {}
    for title, mean in (("samples: means of p(x|z)", True), ("samples: draws of p(x|z)", False)):
        torch.manual_seed(seed)
        grids[title] = in_rows(model.sample(n, mean))
    figure, axes = panels(2 * CELL * COLUMNS, 0.3 + height(grids[title]), columns=2)
    for place, (title, images) in zip(axes[0], grids.items(), strict=True):
        show(place, images, title)
    return figure


def reconstructions(model: LatentVariableModel, x: Tensor) -> Figure:
    """Images (n, C, H, W), and below each the mean of p(x|z) at its code."""
    pairs = torch.stack([in_rows(x), in_rows(model.reconstruct(x))], 1)  # (bands, 2, columns, C, H, W)
    figure, axes = panels(1 + CELL * COLUMNS, 0.3 + len(pairs) * (0.1 + height(pairs[0])), rows=len(pairs))
    for place, pair in zip(axes[:, 0], pairs, strict=True):
        show(place, pair, rows=("input", "decoded"))
    figure.suptitle("inputs and their reconstructions")
    return figure


def interpolations(model: LatentVariableModel, x: Tensor) -> Figure:
    """Straight lines between the codes of images (n, C, H, W), two by two, n ≥ 2: the means of p(x|z) along them."""
    x = x[: 2 * min(PAIRS, len(x) // 2)]
    start, end = x[::2, None], x[1::2, None]  # (pairs, 1, C, H, W)
    codes = model.codes(x)
    line = _decoded(model, interpolate(codes[::2], codes[1::2], STEPS))
    blank = torch.ones_like(start)
    images = torch.cat([start, blank, line, blank, end], 1)  # (pairs, STEPS + 4, C, H, W)
    figure, axes = panels(CELL * images.shape[1], 0.6 + height(images))
    columns = ["input", *[""] * (STEPS + 2), "input"]
    show(axes[0, 0], images, "decoded along the straight lines between the codes of two inputs", columns=columns)
    return figure


def traversals(model: LatentVariableModel, x: Tensor, variance: Tensor, threshold: float) -> Figure:
    """Active units moved one at a time from the code of an image, the most active first: the means of p(x|z).

    Args:
        model: The model.
        x: The image, (C, H, W).
        variance: The variance of the code of each unit over a split, (D,); that of one unit is above the threshold.
        threshold: What makes a unit active.
    """
    units = most_active(variance, threshold)[:UNITS]
    mean, spread = _prior_moments(model)
    sds = torch.linspace(-REACH, REACH, STEPS).to(mean)
    values = mean[units, None] + sds * spread[units, None]  # (n, STEPS)
    code = model.codes(x[None])[0]
    moved = _decoded(model, traverse(code, units, values.to(code)))
    image = in_rows(torch.cat([x[None], model.reconstruct(x[None])]), STEPS)
    images = torch.cat([image, moved])  # (1 + n, STEPS, C, H, W)
    rows = ["input, decoded", *(f"unit {u + 1}:  {variance[u]:.2f}" for u in units.tolist())]
    figure, axes = panels(CELL * (STEPS + 3), 0.8 + height(images))
    title = "active units moved one by one, the others as the image has them\n(beside each, the variance of its code)"
    show(axes[0, 0], images, title, rows, [signed(sd, "g") for sd in sds])
    axes[0, 0].set_xlabel("value of the unit, in standard deviations of the prior from its mean")
    return figure


def decoded_grid(model: LatentVariableModel) -> Figure:
    """The means of p(x|z) over the whole of a plane of two latents, at quantiles of each."""
    mean, spread = _prior_moments(model)
    quantiles = normal_quantiles(SIDE).to(mean)
    across, up = (mean[i] + quantiles * spread[i] for i in (0, 1))
    images = _decoded(model, plane_grid(across, up))
    figure, axes = panels(0.5 + 0.3 * SIDE, 0.7 + 0.3 / CELL * height(images))
    rows, columns = ([signed(z, ".1f") if i % 2 else "" for i, z in enumerate(axis)] for axis in (up.flip(0), across))
    title = "means of p(x|z), z at normal quantiles of the prior's mean and variance"
    show(axes[0, 0], images, title, rows, columns, gap=0)
    axes[0, 0].set_xlabel("$z_1$")
    axes[0, 0].set_ylabel("$z_2$")
    return figure


def _decoded(model: LatentVariableModel, z: Tensor) -> Tensor:
    """The means of p(x|z) of z (..., D), (..., *x_shape)."""
    with evaluating(model):
        return model.decode(z).mean


def _prior_moments(model: LatentVariableModel) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of p(z), each (D,)."""
    with evaluating(model):
        return mean_and_spread(model.prior(model.encode))
