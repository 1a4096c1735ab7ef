"""What every contender is given: images."""

from pathlib import Path

import numpy as np

from datamodules import MNIST5k, Static

N = 50_000


def write(folder: Path) -> None:
    """Writes MNIST5k's training digits, again and again up to the size of MNIST: grey, and binary by one draw."""
    order = np.random.default_rng(0).permutation(4_000)  # they are stored by the digit
    for name, data in {"grey": MNIST5k(), "images": MNIST5k(pixels=Static())}.items():
        data.prepare_data()
        stored = data.splits.train.stored.numpy()
        images = np.resize(stored[order], (N, *stored.shape[1:]))
        np.save(folder / f"{name}.npy", images if name == "grey" else images > 0)
