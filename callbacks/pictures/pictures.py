"""The callback that gathers what is drawn, and writes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torchmetrics import Metric

from callbacks.exhibits import log_picture
from callbacks.monitor import Monitor, Stage, details, logged
from callbacks.pictures import decoded
from callbacks.pictures.curves import learning_curves, read_curves
from callbacks.pictures.dashboard import dashboard, panels_of
from callbacks.pictures.plane import latent_plane
from callbacks.protocols import Weighs
from zoo.checks import check_counts, check_not_negative
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.figures.mosaics import is_image
from zoo.figures.style import STYLE
from zoo.files import written_whole
from zoo.keeping import generators_kept
from zoo.metrics import BottomK, Moments
from zoo.noise import fingerprint
from zoo.priors import StandardNormal

POINTS = 5000
"""How many codes the latent plane shows, at most."""

SPLITS = {"val": "validation", "test": "test"}
"""The splits, in words."""


class Pictures(Monitor):
    """Writes pictures of a model and of what the other monitors found.

    * `samples.png`: means of p(x|z) beside draws of it; `reconstructions.png`: images, and what becomes of them.
    * `interpolations.png`: decoded lines between the codes of images; `traversals.png`: active units moved one by one.
    * `latent_plane.png`: codes coloured by label; `decoded_grid.png`: the whole plane decoded, of two latents.
    * `monitors.png`: what the other monitors found; `curves.png`: learning curves, from the `metrics.csv` of the run.

    What needs images is left out where the data are none, what needs an encoder where the model has none. The images
    are those of the smallest hashes: the same for every model, batch size and number of ranks.

    Args:
        n: How many samples and reconstructions, at most.
        seed: The seed of the samples, so that two models show the same z.
        folder: Where to write; by default `pictures` in the folder of the run.
        stages: Where it watches: in validation (`val`), in `test` or in both. Those of a validation go to a folder of
            their own, `val/epoch-…-step-…`.
        every_n_epochs: In validation, how often.
        threshold: What the variance of an active unit's mean is above.

    Raises:
        ZooError: n or every_n_epochs is below 1, or seed or threshold is out of range.
    """

    def __init__(
        self,
        n: int = 40,
        seed: int = 0,
        folder: str | None = None,
        stages: Sequence[Stage] = ("test",),
        every_n_epochs: int = 1,
        threshold: float = 0.01,
    ) -> None:
        super().__init__(stages, every_n_epochs)
        check_counts(n=n)
        check_not_negative(threshold=threshold, seed=seed)
        if seed >= 2**63:
            raise ZooError(f"seed is {seed}, where a number below 2^63 was expected.")
        self.n, self.seed, self.folder, self.threshold = n, seed, folder, threshold

    def metrics(self, model: Weighs) -> list[Metric]:
        """A few images; of a model with an encoder more codes, and the variance of all of them."""
        self._images, self._codes, self._moments = BottomK(self.n), BottomK(POINTS), Moments(model.latent_dim)
        return [self._images, *([self._codes, self._moments] if model.has_encoder else [])]

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Keeps examples of a batch, and the means of their posteriors."""
        keys = fingerprint(x)
        self._images.update(keys, x)
        if model.has_encoder:
            codes = draw.q.mean.double()
            self._codes.update(keys, torch.cat([codes, self.labels[:, None]], 1))
            self._moments.update(codes)

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """Gathers what is to be drawn; logs nothing."""
        self._x = self._images.compute()
        if model.has_encoder:
            self._rows, self._variance = self._codes.compute(), self._moments.compute().by_dimension().variance
        return {}

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Draws, into a folder of this validation."""
        self._draw(trainer, pl_module, "val", f"val/epoch-{trainer.current_epoch:04d}-step-{trainer.global_step:06d}")

    @rank_zero_only
    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Draws."""
        self._draw(trainer, pl_module, "test", "")

    def figures(self, trainer: pl.Trainer, model: Any, stage: Stage) -> dict[str, Figure]:
        """All that is drawn of a split, by its name."""
        figures: dict[str, Figure] = {}
        if is_image(self._x):
            figures |= self._of_images(model)
        if model.has_encoder and model.latent_dim > 1:
            circles = isinstance(model.prior, StandardNormal)
            figures["latent_plane"] = latent_plane(self._rows[:, :-1], self._rows[:, -1].long(), circles)
        found = logged(trainer, stage) | details(trainer)
        if panels_of(found):
            title = f"{type(model).__name__} on {type(self.data).__name__}, {SPLITS[stage]} split"
            figures["monitors"] = dashboard(found, title)
        curves = read_curves(Path(trainer.default_root_dir) / "metrics.csv")
        return figures | ({"curves": learning_curves(curves)} if curves else {})

    def _of_images(self, model: Any) -> dict[str, Figure]:
        """What the model makes of the prior, of images and of their codes."""
        figures = {
            "samples": decoded.samples(model, self.n, self.seed),
            "reconstructions": decoded.reconstructions(model, self._x),
        }
        if model.latent_dim == 2:
            figures["decoded_grid"] = decoded.decoded_grid(model)
        if model.has_encoder and len(self._x) > 1:
            figures["interpolations"] = decoded.interpolations(model, self._x)
        if model.has_encoder and (self._variance > self.threshold).any():
            figures["traversals"] = decoded.traversals(model, self._x[0], self._variance, self.threshold)
        return figures

    def _draw(self, trainer: pl.Trainer, model: Any, stage: Stage, place: str) -> None:
        """Draws and writes all figures of a split; the generators are left as they were."""
        if self._metrics:
            folder = Path(self.folder or Path(trainer.default_root_dir) / "pictures") / place
            with rc_context(STYLE), generators_kept():
                for name, figure in self.figures(trainer, model, stage).items():
                    path = folder / f"{name}.png"
                    with written_whole(path) as part:
                        figure.savefig(part, dpi=150, format="png")
                    log_picture(trainer, f"{stage}/{name}", path)
