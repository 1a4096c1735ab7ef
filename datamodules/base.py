"""The base of all data modules: splits, pixels, loaders."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import pytorch_lightning as pl
import torch
from torch import Generator, Tensor

from datamodules.checks import check_count, check_splits
from datamodules.errors import DataError
from datamodules.loaders import EvalBatches, TrainBatches
from datamodules.pixels import Grey, Pixels, intensity
from datamodules.records import DRAWN, Batch, Images, Splits, Stored
from datamodules.statistics import Moments, moments_of
from zoo.noise import mix
from zoo.protocols import foreseeable


class ImageDataModule(pl.LightningDataModule, ABC):
    """Images in memory or mapped from a file, split once and handed out in batches.

    A leaf names its `x_shape` and says how to `load` its splits, and perhaps what to download in
    `prepare_data`; the rest is done here. Validation and test pixels are drawn once, by seeds of their
    own, and are the same in every run; the order of training and the noise of its pixels follow the seed of
    the run.

    A file that is mapped may be larger than memory. Only pixels that are drawn once are kept in memory: those of
    validation and test, and with `Static` and `Threshold` those of training.

    There are no worker processes: gathering a batch from memory takes less time than passing it between
    processes.

    Args:
        batch_size: The number of examples in a training batch, on each rank.
        pixels: What the pixels are; by default what the data set is commonly used with.
        eval_batch_size: The same for validation, test and prediction; by default `batch_size`.
        pixel_seed: The seed of the pixels that are drawn once.

    Attributes:
        x_shape: The shape of one example, known without download or setup.
        default_pixels: What the pixels are where nothing is said.
    """

    x_shape: tuple[int, ...]
    default_pixels: ClassVar[type[Pixels]] = Grey

    def __init__(
        self,
        batch_size: int = 100,
        pixels: Pixels | None = None,
        eval_batch_size: int | None = None,
        pixel_seed: int = 777,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.pixels = self.default_pixels() if pixels is None else pixels
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.pixel_seed = pixel_seed
        self._train: TrainBatches | None = None
        check_count("batch_size", self.batch_size)
        check_count("eval_batch_size", self.eval_batch_size)

    @abstractmethod
    def load(self) -> Splits:
        """Reads the data: uint8 0..255 or floats of shape (N, *x_shape), and int64 labels (N,) or None."""

    @cached_property
    def splits(self) -> Splits:
        """The three splits as they are stored, loaded, checked and drawn when they are first asked for."""
        splits = self.load()
        check_splits(splits, self.x_shape, self.pixels)
        train = splits.train if self.pixels.anew else self._freeze(splits.train, 0)
        return Splits(train, self._freeze(splits.val, 1), self._freeze(splits.test, 2))

    def _freeze(self, part: Images, number: int) -> Images:
        if self.pixels.as_stored:
            return part
        generator = Generator().manual_seed(mix(self.pixel_seed, number))
        return Images(torch.cat([self.pixels.freeze(piece, generator) for piece in part.pieces()]), part.labels)

    def setup(self, stage: str) -> None:
        """Loads the splits, once, and starts the order of training where `stage` is "fit"."""
        train = self.splits.train
        if stage == "fit":
            overfit = getattr(self.trainer, "overfit_batches", 0)  # set, but not declared, by the Trainer
            self._train = TrainBatches(train, self.batch_size, self._seed(), *self._share(), overfit)

    def _seed(self) -> int:
        seed = int(os.environ.get("PL_GLOBAL_SEED") or torch.initial_seed())
        # Without a global seed each process may have its own, and shares of different orders would overlap.
        return self.trainer.strategy.broadcast(seed) if self.trainer else seed

    def _share(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _eval_batches(self, part: Images) -> EvalBatches:
        return EvalBatches(part, self.eval_batch_size, *self._share())

    def state_dict(self) -> dict[str, str]:
        """Returns what a run that goes on must not change: the pixels."""
        return {"pixels": self.pixels_name}

    def load_state_dict(self, state_dict: dict[str, str]) -> None:
        """Refuses to train on with other pixels: the weights would be of both, and reported as of the last.

        Raises:
            DataError: The run that goes on had other pixels.
        """
        fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        if fitting and state_dict["pixels"] != self.pixels_name:
            raise DataError(
                f"the run that goes on has {state_dict['pixels']} pixels and these are {self.pixels_name}: resume with"
                " the same --data.pixels, or begin a new run without --ckpt_path."
            )

    def train_dataloader(self) -> TrainBatches:
        """Returns the one loader made by `setup("fit")`, so that a reload does not start its order again."""
        if self._train is None:
            raise DataError('there are no training batches yet: call setup("fit") first, as a Trainer does.')
        return self._train

    def val_dataloader(self) -> EvalBatches | list[EvalBatches]:
        """Returns the validation batches; no loader at all where that split is empty."""
        return self._eval_batches(self.splits.val) if self.splits.val.size else []

    def test_dataloader(self) -> EvalBatches:
        """Returns the test batches."""
        return self._eval_batches(self.splits.test)

    def predict_dataloader(self) -> EvalBatches:
        """Returns the test batches."""
        return self.test_dataloader()

    @foreseeable
    def on_after_batch_transfer(self, batch: Stored, dataloader_idx: int) -> Batch:
        """Turns what is stored into what a model sees, on the device of the batch.

        Args:
            batch: A batch of one of the loaders above.
            dataloader_idx: Not used; Lightning passes it.

        Returns:
            The batch in the floating point type of the run.
        """
        images, labels, noise_seed = batch
        if self.pixels.anew and noise_seed != DRAWN:
            images = self.pixels.freeze(images, Generator(images.device).manual_seed(noise_seed))
        x = intensity(images).to(torch.get_default_dtype())
        if self.trainer:
            x = self.trainer.precision_plugin.convert_input(x)
        if labels is None:
            labels = torch.full((len(x),), -1, device=x.device)
        return Batch(x, labels)

    @cached_property
    def _moments(self) -> Moments:
        return moments_of(self.splits.train)

    def mean(self) -> Tensor:
        """Returns the mean training example as a model sees it, (*x_shape)."""
        return self.pixels.mean(self._moments.mean).to(torch.get_default_dtype())

    def variance(self) -> Tensor:
        """Returns the variance over training examples of each pixel as a model sees it, (*x_shape); divided by N."""
        return self.pixels.variance(*self._moments).to(torch.get_default_dtype())

    def examples(self, n: int) -> Tensor:
        """Returns training examples as a model sees them, to start parts of a model from, (n, *x_shape).

        Which they are, and the draw of their pixels, are the same in every run and on every rank.

        Args:
            n: How many; where there are fewer, they come round again.
        """
        check_count("the number of examples", n)
        generator = Generator().manual_seed(mix(3))
        index = torch.randperm(self.splits.train.size, generator=generator)[:n]
        images = self.splits.train.at(index.repeat(math.ceil(n / len(index)))[:n]).stored
        if self.pixels.anew:
            images = self.pixels.freeze(images, generator)
        return intensity(images).to(torch.get_default_dtype())

    def training_batches(self, n: int) -> Iterator[Batch]:
        """Yields training examples with their labels as a model sees them, for what is fitted to their codes.

        Which they are, their order and the draw of their pixels are the same in every run and on every rank. The
        batches of training, their order and their noise are left as they are.

        Args:
            n: How many; all, where there are fewer.
        """
        check_count("the number of examples", n)
        generator = Generator().manual_seed(mix(4))
        index = torch.randperm(self.splits.train.size, generator=generator)[:n]
        for rows in index.split(self.eval_batch_size):
            part = self.splits.train.at(rows)
            images = self.pixels.freeze(part.stored, generator) if self.pixels.anew else part.stored
            yield self.on_after_batch_transfer(Stored(images, part.labels, DRAWN), 0)

    def training_epoch(self, epoch: int, seed: int) -> Iterator[Batch]:
        """Yields the batches of an epoch as a model sees them, for what is trained beside a training.

        Their order and the draw of their pixels are functions of the seed and the epoch, and every rank gets all of
        them. The batches of training, their order and their noise are left as they are.

        Args:
            epoch: Which one, counted from 0.
            seed: The seed.
        """
        batches = TrainBatches(self.splits.train, self.batch_size, seed)
        batches.position = epoch * len(batches)
        for stored in batches:
            yield self.on_after_batch_transfer(stored, 0)

    @property
    def pixels_name(self) -> str:
        """One word for what the pixels are."""
        return self.pixels.name

    @property
    def pixels_binary(self) -> bool:
        """Whether every pixel is 0 or 1."""
        return self.pixels.binary

    @property
    def pixels_levels(self) -> int | None:
        """The levels that a density of the pixels stands for, where it bounds a probability of them, else None."""
        return self.pixels.levels

    @property
    def description(self) -> str:
        """One line for logs and tables, such as "MNIST5k, dynamic pixels, 4000/500/500"."""
        sizes = "/".join(str(part.size) for part in self.splits)
        return f"{type(self).__name__}, {self.pixels_name} pixels, {sizes}"
