"""Samples of a split, and the ranks that share them."""

import pytorch_lightning as pl

from zoo.errors import ZooError


def check_share(n_images: int | None, trainer: pl.Trainer) -> None:
    """Refuses a sample that leaves a rank without an image; None is all images.

    Raises:
        ZooError: There are fewer images than ranks.
    """
    if n_images is not None and n_images < trainer.world_size:
        raise ZooError(f"n_images is {n_images} for {trainer.world_size} ranks: give at least one image to each.")
