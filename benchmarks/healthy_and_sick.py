"""Draws what monitors show while healthy and sick models train: `docs/pictures/healthy_and_sick.png`.

python benchmarks/healthy_and_sick.py
"""

import csv
import math
import subprocess
import sys
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes

from zoo.figures.style import BLUE, DARK, ORANGE, STYLE, panels
from zoo.measures.importance import khat_threshold

EPOCHS = 40
WATCH = (
    f"--trainer.max_epochs={EPOCHS} --log_likelihood.every_n_epochs=2 --kl_term.every_n_epochs=1 "
    "--resource_competition.every_n_epochs=1"
)
GREY = "--model GaussianVAE --data.pixels Grey --model.variance FixedVariance --model.variance.value"
SHARED = "--config prior_sampling --model.k=1000"
RUNS = {
    "BernoulliVAE": "",
    "Gaussian, σ² = 10": f"{GREY}=10",
    "two latents": "--model.latent_dim=2",
    "fifty latents": "",
    "Gaussian, σ² = 1": f"{SHARED} --data.pixels Grey --model.likelihood Gaussian"
    " --model.likelihood.variance FixedVariance --model.likelihood.variance.value=1",
    "Bernoulli": SHARED,
}
"""The healthy and the sick run of each panel."""

Curve = list[tuple[int, float]]


def train(options: str, folder: Path) -> dict[str, Curve]:
    """Trains, and reads (epoch, number) of all that was logged of validation."""
    command = [sys.executable, "-m", "zoo", "fit", *options.split(), *WATCH.split(), "--test_after_fit=false"]
    command += [f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    (path,) = folder.glob("*/1/metrics.csv")
    curves: dict[str, Curve] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name.startswith("val/") and value:
                    curves.setdefault(name.removeprefix("val/"), []).append((int(row["epoch"]) + 1, float(value)))
    return curves


def draw(axes: Axes, title: str, words: str, curves: dict[str, Curve], line: tuple[str, float]) -> None:
    """A healthy and a sick curve over the epochs, and what they are held against."""
    for (label, curve), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        axes.plot(*zip(*curve, strict=True), color=colour, label=label)
    axes.axhline(line[1], color=DARK, linestyle=":", linewidth=0.8)
    axes.annotate(line[0], (1, line[1]), xytext=(0, 2), textcoords="offset points", fontsize=8)
    axes.set(title=title, xlabel="epoch", ylabel=words)
    axes.set_ylim(-0.03 * line[1], 1.1 * max(line[1], *(value for curve in curves.values() for _, value in curve)))
    axes.legend()


def main() -> None:
    """Trains and draws."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/healthy_and_sick")
    runs = {options: train(options, folder / str(i)) for i, options in enumerate(dict.fromkeys(RUNS.values()))}
    labels = list(RUNS)
    panel = {
        "collapse": ("mutual_information", "mutual information (nats)", labels[:2], ("ceiling", math.log(500))),
        "heavy-tailed weights": ("khat/median", "Pareto k̂ of 64 weights, median", labels[2:4],
                                 ("threshold", khat_threshold(64))),
        "competition": ("competition/information", "information in shared draws (nats)", labels[4:],
                        ("ceiling", math.log(1000))),
    }  # fmt: skip
    with rc_context(STYLE):
        figure, axes = panels(12.0, 3.4, 1, 3)
        for place, (title, (name, words, of, line)) in zip(axes.flat, panel.items(), strict=True):
            draw(place, title, words, {label: runs[RUNS[label]][name] for label in of}, line)
        figure.savefig("docs/pictures/healthy_and_sick.png", dpi=130)


if __name__ == "__main__":
    main()
