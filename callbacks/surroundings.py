"""What a number was measured with: versions and hardware."""

import platform
from importlib.metadata import version
from typing import Any

import pytorch_lightning as pl
import torch

from zoo import __version__

PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute.

    Example:
        >>> sorted(versions())
        ['numpy', 'python', 'pytorch-lightning', 'torch', 'torchmetrics', 'vae-zoo']
    """
    own = {"vae-zoo": __version__, "python": platform.python_version()}
    return own | {package: version(package) for package in PACKAGES}


def hardware(trainer: pl.Trainer, model: pl.LightningModule) -> dict[str, Any]:
    """The device of the first rank, how many there are, and how precisely they compute."""
    gpu = model.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(model.device) if gpu else platform.processor() or platform.machine(),
        "ranks": trainer.world_size,
        "threads": torch.get_num_threads(),
        "precision": trainer.precision,
    }
