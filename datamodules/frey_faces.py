"""Frey Faces, 1,965 frames of a film of one face."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.array_pickle import parse_bytes_array
from datamodules.errors import DataError
from datamodules.published_file import Digest, PublishedFile, Readable
from datamodules.published_images import PublishedImages
from datamodules.random_split import split_at_random
from datamodules.records import Images, Splits

_PIXELS = Digest("sha256", "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78")


def parse_npz(content: bytes, name: str) -> np.ndarray:
    """Reads the frames from a .npz file that holds them as `images`; `name` stands in messages."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            frames = file["images"]
    except Exception as error:  # a damaged archive may raise anything
        raise DataError(f"{name} is not a .npz file of `images` ({error})") from None
    return _known(frames, name)


def parse_pickle(content: bytes, name: str) -> np.ndarray:
    """Reads the frames from the published pickle; `name` stands in messages."""
    return _known(parse_bytes_array(content, name), name)


def _known(frames: np.ndarray, name: str) -> np.ndarray:
    if _PIXELS.fault(frames.tobytes()) is not None:
        raise DataError(f"{name} holds other images than the Frey Faces")
    return frames


class FreyFaces(PublishedImages):
    """Frey Faces, split at random: 1,565 for training, 200 for validation, 200 for test.

    Read from frey_faces.npz (an array `images`) or freyfaces.pkl, in data_dir/FreyFaces or in data_dir itself, or
    downloaded. The pickle is read without executing it. The frames are neighbours in a film, so the test images
    resemble some of the training images closely.

    Args:
        data_dir: A folder of yours; by default $ZOO_DATA_DIR, and where that is not set the cache folder.
        split_seed: The seed of the split.
        **kwargs: Passed to `ImageDataModule`.

    References:
        Nonlinear dimensionality reduction by locally linear embedding (Roweis and Saul, 2000)
        https://doi.org/10.1126/science.290.5500.2323
    """

    x_shape = (1, 28, 20)
    folder = "FreyFaces"
    mirrors = (
        "https://raw.githubusercontent.com/jmtomczak/vae_vampprior/"
        "bb6ff3e58036adbea448e82d7bc55593d605b52c/datasets/Freyfaces/",
    )
    files = (
        PublishedFile(
            "freyfaces.pkl",
            Digest("sha256", "3b69410c6a5fd6e03f09012905168be3712373a094a776f7e58fcd0670d2138a"),
            parse_pickle,
            others=(PublishedFile("frey_faces.npz", Readable(parse_npz), parse_npz),),
        ),
    )

    def __init__(self, data_dir: str | Path | None = None, split_seed: int = 0, **kwargs: Any) -> None:
        super().__init__(data_dir, **kwargs)
        self.split_seed = split_seed

    def load(self) -> Splits:
        """Reads the frames and shuffles them."""
        frames = Images(torch.from_numpy(self.read(self.files[0])).reshape(-1, *self.x_shape))
        return split_at_random(frames, (frames.size - 400, 200, 200), self.split_seed)
