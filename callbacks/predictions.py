"""What `zoo predict` writes."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch.distributed as dist
from torch import Tensor

from zoo.checks import check_counts
from zoo.files import written_whole
from zoo.networks import full_precision
from zoo.steps import examples


class Predictions(pl.Callback):
    """Writes codes, reconstructions and log-likelihoods to one `.npz`, in the order of the data.

    The file holds `codes` (N, D), `reconstructions` (N, *x_shape), `log_likelihood` (N,) in nats and its `k`.

    Args:
        k: The number of draws of the log-likelihood.
        path: The file; by default `predictions.npz` in the folder of the run.

    Raises:
        ZooError: k is below 1.
    """

    def __init__(self, k: int = 1000, path: str | None = None) -> None:
        check_counts(k=k)
        self.k, self.path = k, path

    def on_predict_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins anew."""
        self._parts: list[dict[str, Tensor]] = []

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes in a batch."""
        x = examples(batch)
        part = {**outputs, "log_likelihood": pl_module.log_likelihood(x, self.k)}
        self._parts.append({name: full_precision(value).cpu() for name, value in part.items()})

    def on_predict_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Joins the ranks and writes the file whole or not at all."""
        own = {name: np.concatenate([part[name].numpy() for part in self._parts]) for name in self._parts[0]}
        ranks: list[Any] = [own]
        if trainer.world_size > 1:
            ranks = [None] * trainer.world_size
            dist.all_gather_object(ranks, own)
        if trainer.is_global_zero:
            path = Path(self.path or Path(trainer.default_root_dir) / "predictions.npz")
            whole = {name: interleave([rank[name] for rank in ranks]) for name in own}
            arrays: dict[str, Any] = whole | {"k": np.array(self.k)}
            with written_whole(path) as part, part.open("wb") as file:
                np.savez(file, **arrays)
            print(
                f"codes, reconstructions and log-likelihoods of {len(whole['codes'])} examples: {os.path.relpath(path)}"
            )


def interleave(ranks: list[np.ndarray]) -> np.ndarray:
    """Joins what ranks hold of data dealt out in turn: rank r has the examples r, r + R, r + 2R, ...

    Example:
        >>> interleave([np.array([0, 2, 4]), np.array([1, 3])])
        array([0, 1, 2, 3, 4])
    """
    whole = np.empty((sum(map(len, ranks)), *ranks[0].shape[1:]), ranks[0].dtype)
    for r, part in enumerate(ranks):
        whole[r :: len(ranks)] = part
    return whole
