"""All that callbacks know of models and data."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from torch import Tensor

from zoo.proposals import Proposal


class Weighs(Protocol):
    """A model, as a monitor sees it."""

    has_encoder: bool
    shared_draws: bool
    k: int
    latent_dim: int
    x_shape: tuple[int, ...]

    @property
    def levels(self) -> int | None:
        """How many values a pixel can have, where p(x|z) is a probability of pixels and no density."""
        ...

    def codes(self, x: Tensor) -> Tensor:
        """Where a batch stands in the latent space, (B, latent_dim)."""
        ...

    def log_weights(self, x: Tensor, k: int, chunk: int | None = None, proposal: Proposal | None = None) -> Tensor:
        """The log-weights of k draws, (k, B)."""
        ...


@runtime_checkable
class GivesTraining(Protocol):
    """Data that give training examples to what is fitted to their codes."""

    def training_batches(self, n: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields n examples, or all of them, and their labels (-1 for none): the same on every rank."""
        ...


@runtime_checkable
class NamesPixels(Protocol):
    """Data that say what their pixels are."""

    pixel_seed: int

    @property
    def pixels_name(self) -> str:
        """One word for what the pixels are."""
        ...

    @property
    def pixels_binary(self) -> bool:
        """Whether every pixel is 0 or 1."""
        ...

    @property
    def pixels_levels(self) -> int | None:
        """The levels that a density of the pixels stands for; None where it stands for none."""
        ...
