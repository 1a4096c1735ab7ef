"""Loaders whose order is a function of a seed and a position, and which share examples out between ranks.

They index whole batches out of tensors in memory, which is several times faster than a DataLoader with or
without worker processes, and their state is one integer, so a resumed run sees what the stopped one would
have seen.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.records import DRAWN, Images, Stored
from zoo.noise import mix
from zoo.protocols import foreseeable


@foreseeable
class TrainBatches:
    """Shuffled batches of one rank, without end: pass after pass, each of exactly `len(self)` batches.

    The order of epoch e is a function of (seed, e), and the whole state is `position`, the number of
    batches handed out: e = position // len(self). A pass starts wherever the position stands, since
    Lightning ends a resumed or a limited epoch by counting. An epoch's permutation is padded by wrapping
    around, so that every rank gets equally many examples; the incomplete last batch is kept.

    Args:
        data: All training examples, the same on every rank.
        batch_size: The number of examples in a batch of this rank.
        seed: The seed of the order and of the noise, the same on every rank.
        rank: Which share is handed out.
        world_size: The number of shares.
        overfit: As the Trainer's `overfit_batches`: a number of batches or a fraction of them, to be handed
            out in stored order again and again; 0 means all, shuffled.
    """

    def __init__(
        self,
        data: Images,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        overfit: int | float = 0,
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.overfit = overfit
        self.position = 0

    def __len__(self) -> int:
        return math.ceil(math.ceil(self.data.size / self.world_size) / self.batch_size)

    @property
    def period(self) -> int:
        """The number of batches after which the examples come round again."""
        wanted = self.overfit if isinstance(self.overfit, int) else int(self.overfit * len(self))
        return min(wanted, len(self)) or len(self)

    def order(self, epoch: int) -> Tensor:
        """Returns the indices of this rank's examples in `epoch`, (ceil(N / world_size),)."""
        size = self.data.size
        generator = torch.Generator().manual_seed(mix(self.seed, epoch))
        indices = torch.arange(size) if self.overfit else torch.randperm(size, generator=generator)
        padded = math.ceil(size / self.world_size) * self.world_size
        return indices.repeat(math.ceil(padded / size))[self.rank : padded : self.world_size]

    def __iter__(self) -> Iterator[Stored]:
        period, epoch, batches = self.period, None, ()
        for _ in range(len(self)):
            # Counted before it is handed out: a checkpoint is written while the batch is out.
            now, self.position = self.position, self.position + 1
            if now // period != epoch:
                epoch = now // period
                batches = self.order(epoch).split(self.batch_size)
            part = self.data.at(batches[now % period])
            yield Stored(part.stored, part.labels, mix(self.seed, self.rank, now))

    def state_dict(self) -> dict[str, int]:
        """Returns the position, and what it counts in: the seed of the order, and the batches of an epoch."""
        return {"position": self.position, "seed": self.seed, "epoch": len(self)}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Takes up a saved position, and the seed, so that a run resumed under another seed keeps its order.

        Raises:
            DataError: The epochs have other batches now, so that the position would mean something else.
        """
        if state_dict["epoch"] != len(self):
            raise DataError(
                f"the run that goes on had {state_dict['epoch']} batches in an epoch and now has {len(self)}: resume "
                "with the same data, batch size and number of processes."
            )
        self.position, self.seed = state_dict["position"], state_dict["seed"]


class EvalBatches:
    """The examples of one rank in stored order: over all ranks, every example exactly once.

    Rank r holds the examples r, r + world_size, ...; nothing is padded, so ranks may hold unequal numbers.

    Args:
        data: All examples of the split, the same on every rank.
        batch_size: The number of examples in a batch of this rank.
        rank: Which share is handed out.
        world_size: The number of shares.
    """

    def __init__(self, data: Images, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if data.size < world_size:
            raise DataError(
                f"an evaluation split holds {data.size} examples for {world_size} ranks, and a rank without"
                " examples would hang the others: run it on fewer devices, or give the split more examples."
            )
        self.data = data
        self.batch_size = batch_size
        self.indices = torch.arange(rank, data.size, world_size)

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def __iter__(self) -> Iterator[Stored]:
        for index in self.indices.split(self.batch_size):
            part = self.data.at(index)
            yield Stored(part.stored, part.labels, DRAWN)
