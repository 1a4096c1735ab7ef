"""Pictures of what a model has learned, and of how it learned."""

import csv
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from zoo.errors import ZooError
from zoo.files import written_whole
from zoo.steps import examples

CURVES = ("objective", "elbo", "kl", "log_px")


class Pictures(pl.Callback):
    """Writes pictures to a folder: samples (means beside draws), reconstructions, learning curves.

    Samples and reconstructions are written when `test` ends, for data that are images; learning curves from the
    `metrics.csv` of the run, where there is one.

    Args:
        n: How many samples and reconstructions, at most.
        seed: The seed of the samples, so that two models show the same z.
        folder: Where to write; by default `pictures` in the folder of the run.
    """

    def __init__(self, n: int = 40, seed: int = 0, folder: str | None = None) -> None:
        if n < 1:
            raise ZooError(f"n is {n}, where at least one picture was expected.")
        self.n, self.seed, self.folder = n, seed, folder
        self._parts: list[Tensor] = []

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps a few images of each batch, since a split may be in the order of its classes."""
        if batch_idx == 0:
            self._parts = []
        x, batches = examples(batch), int(trainer.num_test_batches[dataloader_idx])
        spread = torch.linspace(0, len(x) - 1, min(len(x), -(-self.n // batches)), device=x.device)
        self._parts.append(x[spread.long()])

    @rank_zero_only
    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Writes the pictures."""
        folder = Path(self.folder or Path(trainer.default_root_dir) / "pictures")
        folder.mkdir(parents=True, exist_ok=True)
        x = torch.cat(self._parts)[: self.n]
        if is_image(x):
            self._write_samples(pl_module, folder)
            pairs = torch.stack([x, pl_module.reconstruct(x)], 1).flatten(0, 1)
            write_grid(folder / "reconstructions.png", {"images beside their reconstructions": pairs})
        curves = read_curves(Path(trainer.default_root_dir) / "metrics.csv")
        if curves:
            write_curves(folder / "curves.png", curves)

    def _write_samples(self, model: Any, folder: Path) -> None:
        with torch.random.fork_rng():
            grids = {}
            for title, mean in (("samples: means of p(x|z)", True), ("samples: draws of p(x|z)", False)):
                torch.manual_seed(self.seed)
                grids[title] = model.sample(self.n, mean)
        write_grid(folder / "samples.png", grids)


def is_image(x: Tensor) -> bool:
    """Whether a batch holds images, (B, 1 or 3, H, W).

    Example:
        >>> is_image(torch.zeros(2, 1, 28, 28)), is_image(torch.zeros(2, 5))
        (True, False)
    """
    return x.ndim == 4 and x.shape[1] in (1, 3)


def tile(images: Tensor, columns: int = 10) -> Tensor:
    """Lays images (n, C, H, W) out in whole rows, (rows H, columns W, C); fewer than a row are filled up with black.

    Example:
        >>> tile(torch.zeros(25, 1, 28, 28)).shape
        torch.Size([56, 280, 1])
    """
    images = images[: max(columns, len(images) // columns * columns)].detach().cpu()
    missing = -len(images) % columns
    images = torch.cat([images, images.new_zeros(missing, *images.shape[1:])])
    c, h, w = images.shape[1:]
    return images.view(-1, columns, c, h, w).permute(0, 3, 1, 4, 2).reshape(-1, columns * w, c)


def write_grid(path: Path, grids: dict[str, Tensor]) -> None:
    """Writes grids of images side by side, with values clipped to [0, 1]."""
    tiles = {title: tile(images).clamp(0, 1).float().squeeze(-1).numpy() for title, images in grids.items()}
    height, width = next(iter(tiles.values())).shape[:2]
    figure = Figure(figsize=(5 * len(grids), 0.4 + 5 * height / width), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, len(grids), squeeze=False)[0], tiles.items(), strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    save(figure, path)


def read_curves(path: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Reads (step, value) of each curve, in training and validation, from a `metrics.csv`; {} without one."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    if path.is_file():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for key, value in row.items():
                    stage, _, name = key.partition("/")
                    if stage in ("train", "val") and name in CURVES and value:
                        curves.setdefault(name, {}).setdefault(stage, []).append((int(row["step"]), float(value)))
    return curves


def write_curves(path: Path, curves: dict[str, dict[str, list[tuple[int, float]]]]) -> None:
    """Draws each curve over the step, training beside validation."""
    figure = Figure(figsize=(3.2 * len(curves), 2.8), layout="constrained")
    for axes, (name, stages) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for stage, points in stages.items():
            faint = 0.4 if stage == "train" else 1.0  # a batch is noisier than a split
            axes.plot(*zip(*points, strict=True), label=stage, linewidth=1, alpha=faint)
        axes.set_title(f"{name} (nats)", fontsize=9)
        axes.set_xlabel("step")
        values = sorted(value for points in stages.values() for _, value in points)
        axes.set_ylim(values[len(values) // 20] if len(values) > 20 else None)  # the first steps would flatten the rest
        axes.legend(fontsize=8)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Writes a picture whole or not at all."""
    with written_whole(path) as part:
        figure.savefig(part, dpi=150, format="png")
