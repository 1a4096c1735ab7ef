"""A small data set, small models and a quiet Trainer, for tests of what a whole run does."""

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from datamodules import Dynamic, ImageDataModule, Images, Pixels, Splits
from zoo import IWAE, MLP, BernoulliVAE, GaussianVAE, LatentVariableModel, PriorSampling, StudentT, VampPrior
from zoo.cli.runs import WholeCheckpoints

SHAPE, LATENT = (1, 5, 4), 3
SIZES = (23, 11, 13)  # divided by none of the batch sizes and numbers of ranks of the tests

MODELS: dict[str, tuple[type[LatentVariableModel], dict[str, Any]]] = {
    "gaussian": (GaussianVAE, {}),
    "bernoulli": (BernoulliVAE, {"k": 2}),
    "iwae": (IWAE, {"k": 3}),
    "prior": (PriorSampling, {"k": 4}),
}
KINDS = MODELS | {
    "own draws of the prior": (PriorSampling, {"k": 4, "share_draws": False}),
    "student": (IWAE, {"k": 3, "likelihood": StudentT}),
    "vamp": (IWAE, {"k": 3, "prior": partial(VampPrior, components=3)}),
}
"""Models whose draws are weighed in other ways."""


class SmallImages(ImageDataModule):
    """Grey images of random intensities, made binary anew at every access."""

    x_shape = SHAPE
    default_pixels = Dynamic

    def __init__(
        self,
        sizes: tuple[int, int, int] = SIZES,
        batch_size: int = 5,
        pixels: Pixels | None = None,
        eval_batch_size: int | None = None,
    ) -> None:
        super().__init__(batch_size, pixels, eval_batch_size)
        self.sizes = sizes

    def load(self) -> Splits:
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(256, (sum(self.sizes), *SHAPE), generator=generator, dtype=torch.uint8)
        return Splits(*(Images(part) for part in images.split(list(self.sizes))))


def small_x(n: int = 7) -> torch.Tensor:
    """The first images of the test split."""
    return SmallImages().splits.test.images[:n] / 255.0


def small_model(name: str, seed: int = 3, **arguments: Any) -> LatentVariableModel:
    """A model of one of the kinds, its weights drawn from a seed."""
    cls, own = KINDS[name]
    network = partial(MLP, hidden=[6])
    networks = {"decoder": network} if cls is PriorSampling else {"encoder": network, "decoder": network}
    torch.manual_seed(seed)
    return cls(**{"x_shape": SHAPE, "latent_dim": LATENT} | networks | own | arguments)


def quiet_trainer(folder: Path, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    """A Trainer that prints nothing, on one CPU unless told otherwise."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    best = {} if any(isinstance(each, Checkpoint) for each in callbacks) else {"enable_checkpointing": False}
    rest = {"accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0, "max_epochs": 3}
    with warnings.catch_warnings():
        # In a shell with Slurm installed Lightning advises to start with srun.
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        return pl.Trainer(
            default_root_dir=folder,
            callbacks=list(callbacks),
            plugins=[WholeCheckpoints()],
            **quiet | best | rest | options,
        )


def save_trained(model: pl.LightningModule, folder: Path) -> Path:
    """Trains a model for two steps, so that its weights are not those it was made with, and saves it."""
    trainer = quiet_trainer(folder, max_steps=2)
    trainer.fit(model, datamodule=SmallImages())
    trainer.save_checkpoint(folder / "a.ckpt")
    return folder / "a.ckpt"
