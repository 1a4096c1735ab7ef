"""What all pictures have in common: light paper, thin lines, colours that the colour-blind can tell apart."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
"""Of Okabe and Ito 2008, https://jfly.uni-koeln.de/color/."""

GREY, DARK = "#B3B3B3", "#404040"
"""Of what stands back, and of lines that are read."""

CLASSES = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
    "#777777",
)
"""Of ten classes: the muted scheme of Tol 2021, https://personal.sron.nl/~pault/, and a grey."""

STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#808080",
    "axes.linewidth": 0.6,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 10,
    "font.size": 8,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "text.color": "#202020",
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}
"""The settings of matplotlib that pictures are drawn with."""


def panels(width: float, height: float, rows: int = 1, columns: int = 1, **ratios: Any) -> tuple[Figure, np.ndarray]:
    """A new figure of so many inches, and its axes, (rows, columns)."""
    figure = Figure(figsize=(width, height), layout="compressed")
    return figure, figure.subplots(rows, columns, squeeze=False, **ratios)


def bare(axes: Axes) -> None:
    """Takes the frame and the ticks away, and leaves the labels."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
