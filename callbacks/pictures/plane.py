"""The codes of a split in a plane, coloured by label."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from zoo.figures.style import BLUE, CLASSES, GREY, panels
from zoo.planes import principal_plane

MASSES = (0.5, 0.95)
"""The masses of a standard normal that circles are drawn around."""


def latent_plane(codes: Tensor, labels: Tensor, circles: bool) -> Figure:
    """Codes (N, D), D ≥ 2, by their two axes, or their two principal components where there are more.

    Args:
        codes: The codes.
        labels: The label of each, (N,); negative where there is none.
        circles: Whether the prior is a standard normal, to be drawn as circles around its mass.
    """
    points, centre, words = codes, codes.new_zeros(2), ["$z_1$", "$z_2$"]
    if codes.shape[1] > 2:
        plane = principal_plane(codes)
        points, centre = plane.project(codes), plane.project(codes.new_zeros(codes.shape[1]))
        shares = enumerate(plane.share.tolist(), start=1)
        words = [f"principal component {i} ({share:.1%} of the variance)" for i, share in shares]
    figure, axes = panels(6.2, 5.2)
    _scatter(axes[0, 0], points.cpu().numpy(), labels.cpu().numpy())
    if circles:
        _draw_circles(axes[0, 0], *centre.tolist())
    if axes[0, 0].get_legend_handles_labels()[0]:
        axes[0, 0].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes[0, 0].set(xlabel=words[0], ylabel=words[1], aspect="equal")
    axes[0, 0].set_title(f"means of q(z|x) of {len(codes)} examples of the split")
    return figure


def _scatter(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    """Draws points (N, 2): one colour without labels, one a class for few classes, a scale for many."""
    size = np.clip(3000 / len(points), 3, 14)
    classes = np.unique(labels[labels >= 0])
    if not len(classes):
        axes.scatter(*points.T, s=size, c=BLUE, alpha=0.7, linewidths=0)
    elif len(classes) > len(CLASSES):
        dots = axes.scatter(*points.T, s=size, c=labels, cmap="viridis", alpha=0.8, linewidths=0)
        axes.figure.colorbar(dots, ax=axes, label="label", shrink=0.8)
    else:
        colours = np.array(CLASSES)[np.searchsorted(classes, labels) % len(CLASSES)]
        axes.scatter(*points.T, s=size, c=colours, alpha=0.8, linewidths=0)
        for label, colour in zip(classes, CLASSES, strict=False):
            across, up = np.median(points[labels == label], 0)
            _name(axes, across, up, label, colour)


def _name(axes: Axes, across: float, up: float, label: int, colour: str) -> None:
    """Names a class in its midst and in the legend, since colours alone are not told apart by everybody."""
    axes.scatter([], [], s=20, c=colour, label=str(label))
    plate = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colour, "alpha": 0.85}
    axes.text(across, up, str(label), ha="center", va="center", size=8, weight="bold", bbox=plate)


def _draw_circles(axes: Axes, across: float, up: float) -> None:
    """Circles around the mass of the prior, which is a standard normal in any plane."""
    angle = np.linspace(0, 2 * np.pi, 200)
    for mass in MASSES:
        radius = math.sqrt(-2 * math.log(1 - mass))
        words = " and ".join(f"{each:.0%}" for each in MASSES) + "\nof the prior" if mass == MASSES[0] else None
        circle = across + radius * np.cos(angle), up + radius * np.sin(angle)
        axes.plot(*circle, color=GREY, linewidth=0.8, zorder=0, label=words)
