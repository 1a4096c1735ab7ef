"""Learning curves, from the log of a run."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

from zoo.figures.style import BLUE, GREY, panels

CURVES = ("objective", "elbo", "kl", "log_px")
"""What is drawn, where it is logged."""

COLOURS = {"train": GREY, "val": BLUE}
"""The stages, and their colours."""

Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""Points (step, value) by name and by stage."""


def read_curves(path: Path) -> Curves:
    """Reads each curve, in training and validation, from a `metrics.csv`; {} without one."""
    curves: Curves = {}
    if path.is_file():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for key, value in row.items():
                    stage, _, name = key.partition("/")
                    if stage in COLOURS and name in CURVES and value:
                        curves.setdefault(name, {}).setdefault(stage, []).append((int(row["step"]), float(value)))
    return curves


def learning_curves(curves: Curves) -> Figure:
    """Draws each curve over the step, training beside validation."""
    figure, axes = panels(2.7 * len(curves), 2.4, columns=len(curves))
    for place, (name, stages) in zip(axes[0], curves.items(), strict=True):
        for stage, points in stages.items():
            place.plot(*zip(*points, strict=True), label=stage, linewidth=1.2, color=COLOURS[stage])
        place.set(title=f"{name} (nats)", xlabel="step")
        values = sorted(value for points in stages.values() for _, value in points)
        place.set_ylim(
            values[len(values) // 20] if len(values) > 20 else None
        )  # the first steps would flatten the rest
    axes[0, 0].legend(loc="lower right")
    return figure
