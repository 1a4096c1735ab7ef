"""OMNIGLOT at 28 by 28, handwritten characters of fifty alphabets."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.pixels import Dynamic
from datamodules.published_file import GitBlob, PublishedFile
from datamodules.published_images import PublishedImages, check_val_size
from datamodules.records import Images, Splits


def parse_mat(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the 24,345 and the 8,070 images, (N, 1, 28, 28), from chardata.mat.

    A column of the file is an image whose columns follow each other.
    """
    from scipy.io import loadmat  # here, because importing it takes longer than reading other data sets

    arrays = loadmat(io.BytesIO(content), variable_names=["data", "testdata"])
    x, x_test = (arrays[key].T.reshape(-1, 1, 28, 28).swapaxes(2, 3) for key in ("data", "testdata"))
    return np.ascontiguousarray(x, np.float32), np.ascontiguousarray(x_test, np.float32)


class OMNIGLOT(PublishedImages):
    """OMNIGLOT as Burda et al. split it, 24,345 and 8,070 images of 28 by 28, `val_size` of the former for validation.

    The validation images are those that others take from these: the last ones of a permutation that is always the
    same. The one file, chardata.mat, is downloaded to the cache folder, or read from data_dir/OMNIGLOT or data_dir.

    Args:
        data_dir: A folder of yours; by default $ZOO_DATA_DIR, and where that is not set the cache folder.
        val_size: The number of validation images, which may be 0.
        **kwargs: Passed to `ImageDataModule`.

    References:
        Human-level concept learning through probabilistic program induction (Lake et al., 2015)
        https://doi.org/10.1126/science.aab3050, and
        Importance weighted autoencoders (Burda et al., 2015) https://arxiv.org/abs/1509.00519
    """

    x_shape = (1, 28, 28)
    default_pixels = Dynamic
    folder = "OMNIGLOT"
    mirrors = ("https://github.com/yburda/iwae/raw/78a6075484bd7dd6f47a4bb9880d2295bc7a5220/datasets/OMNIGLOT/",)
    files = (PublishedFile("chardata.mat", GitBlob("016a3536ffe5e1d38e42563a18d7a78bfaf643ec"), parse_mat),)

    def __init__(self, data_dir: str | Path | None = None, val_size: int = 1345, **kwargs: Any) -> None:
        super().__init__(data_dir, **kwargs)
        check_val_size(type(self).__name__, val_size, 24_345)
        self.val_size = val_size

    def load(self) -> Splits:
        """Reads the images, and takes the validation images from all over those of training."""
        x, x_test = self.read(self.files[0])
        everything, cut = Images(torch.from_numpy(x)), len(x) - self.val_size
        order = torch.from_numpy(np.random.RandomState(123).permutation(len(x)))
        return Splits(everything.at(order[:cut]), everything.at(order[cut:]), Images(torch.from_numpy(x_test)))
