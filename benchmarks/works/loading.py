"""Loading data alone: batches of 100 as a model sees them."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.interleave import interleave, ratio
from benchmarks.settings import Settings
from benchmarks.table import Row, Table
from datamodules import ArrayImages, Binary, Dynamic, Pixels

BATCH = 100


def run(settings: Settings) -> list[Table]:
    """The table."""
    n = settings.size(40_000)
    stored = {name: np.load(Path(settings.folder) / f"{name}.npy")[:n] for name in ("images", "grey")}
    x = torch.from_numpy(stored["images"]).float()
    loader = DataLoader(TensorDataset(x), batch_size=BATCH, shuffle=True)
    floor = "copying as many bytes"
    epochs: dict[str, Callable[[], object]] = {
        floor: copying(torch.from_numpy(stored["grey"]), x),
        "zoo, pixels as stored": module(settings, "images", Binary(), n),
        "zoo, pixels drawn anew": module(settings, "grey", Dynamic(), n),
        "torch, indexing": lambda: exhaust(x[rows] for rows in torch.randperm(n).split(BATCH)),
        "torch, DataLoader": lambda: exhaust(loader),
    }
    turns = {name: timed(epoch) for name, epoch in epochs.items()}
    interleave(turns, 1)
    seconds = interleave(turns, settings.times)
    rows: list[Row] = [
        {
            "contender": name,
            "of the floor": ratio(own, seconds[floor]),
            "of torch, indexing": ratio(own, seconds["torch, indexing"]),
        }
        for name, own in seconds.items()
    ]
    note = "The floor reads a byte and writes a float for each pixel, in the order in which they lie."
    return [Table("Loading alone, batch 100", rows, [note])]


def module(settings: Settings, name: str, pixels: Pixels, n: int) -> Callable[[], object]:
    """An epoch of a data module, on as many images."""
    path = Path(settings.folder) / f"loading-{name}.npy"
    np.save(path, np.load(Path(settings.folder) / f"{name}.npy", mmap_mode="r")[: n + 1])
    data = ArrayImages(path=path, pixels=pixels, val=0, test=1, batch_size=BATCH)
    data.setup("fit")
    return lambda: exhaust(data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader())


def copying(stored: Tensor, x: Tensor) -> Callable[[], object]:
    """Turns all bytes into floats, batch by batch, in memory that is there already."""
    batches, out = stored.view(torch.uint8).split(BATCH), torch.empty_like(x[:BATCH])
    return lambda: [out[: len(batch)].copy_(batch) for batch in batches]


def exhaust(batches: Iterable[object]) -> None:
    """Takes all batches, and keeps none."""
    for _ in batches:
        pass


def timed(epoch: Callable[[], object]) -> Callable[[], float]:
    """What runs it and says how long it took."""

    def turn() -> float:
        began = time.perf_counter()
        epoch()
        return time.perf_counter() - began

    return turn
