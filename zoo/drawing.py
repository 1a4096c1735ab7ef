"""How a model draws and weighs: k draws for each example, under training or evaluation noise, in bounded memory."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.utils.checkpoint import checkpoint

from zoo.cache import even, numbers_in_cache
from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.estimators import draws_at_once, evaluating, streamed_logmeanexp
from zoo.noise import ExampleNoise, fingerprint
from zoo.priors import Prior
from zoo.proposals import Proposal, proposed
from zoo.steps import LightningSteps
from zoo.weighing import Weighing


class DrawingModel(LightningSteps):
    """A model that draws z from q(z|x) and says what the draws cost."""

    k: int
    prior: Prior
    has_encoder: bool

    shared_draws: bool = False
    """Whether the examples of a batch share their draws: z is (k, 1, D)."""

    def __init__(self) -> None:
        super().__init__()
        self._weighing = Weighing()

    @abstractmethod
    def encode(self, x: Tensor) -> Distribution:
        """q(z|x): batch (B,), event (latent_dim,)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of z (..., latent_dim): batch (...), event x_shape."""

    @abstractmethod
    def draw_size(self, n_z: int, n_x: int) -> int:
        """How many numbers it takes to decode one draw of n_z codes and to compare it with n_x examples."""

    @property
    @abstractmethod
    def fits_batch(self) -> bool:
        """Whether p(x|z) is fitted to all draws of a batch, so that they must be decoded at once."""

    @final
    def draw(self, x: Tensor, k: int | None = None, log_px: Tensor | None = None) -> Draw:
        """k draws of the proposal for each example.

        Args:
            x: The examples, (B, *x_shape).
            k: How many draws; by default the model's own k.
            log_px: log p(x|z) of these very draws, (k, B), where it is known: then nothing is decoded.
        """
        q = self.encode(x)
        z = q.rsample(torch.Size([self.k if k is None else k]))  # (k, B, D), or (k, 1, D)
        return Draw(q, self.prior(self.encode), z, self.log_px(x, z) if log_px is None else log_px)

    @final
    @torch.no_grad()
    def evaluation_draw(self, x: Tensor) -> Draw:
        """The same under evaluation noise, a function of each example and draw."""
        with ExampleNoise(self._keys(x)):
            return self.draw(x)

    @final
    def log_weights(self, x: Tensor, k: int, chunk: int | None = None, proposal: Proposal | None = None) -> Tensor:
        """The log-weights of k draws under evaluation noise, (k, B): see `Draw.log_w`.

        Args:
            x: A batch, (B, *x_shape).
            k: The number of draws, honoured exactly.
            chunk: How many draws are made at once, on which the weights do not depend; where it is said, nothing is
                compiled.
            proposal: What z is drawn from; by default q(z|x).

        Raises:
            ZooError: k is below 1, x is no data for the likelihood, or the proposal does not go with q(z|x).
        """
        with evaluating(self):
            return torch.cat([torch.cat(list(chunks)) for chunks in self._weigh(x, k, chunk, proposal)], 1)

    @final
    def log_likelihood(self, x: Tensor, k: int, chunk: int | None = None, proposal: Proposal | None = None) -> Tensor:
        """The k-draw estimate of log p(x), in expectation a lower bound: (B,), in nats and float64.

        A function of the weights, of x and of k alone: its noise follows each example, so neither the batch nor
        the chunk nor the rank moves it. Its memory does not grow with k.

        Args:
            x: A batch, (B, *x_shape).
            k: The number of draws, honoured exactly.
            chunk: How many draws are made at once; where it is said, nothing is compiled.
            proposal: What z is drawn from; by default q(z|x).

        Raises:
            ZooError: k is below 1, x is no data for the likelihood, or the proposal does not go with q(z|x).
        """
        with evaluating(self):
            return torch.cat([streamed_logmeanexp(chunks) for chunks in self._weigh(x, k, chunk, proposal)])

    @final
    def own_proposal(self, x: Tensor) -> Distribution:
        """q(z|x): batch (B,), event (D,), also where the examples of a batch share their draws."""
        q = self.encode(x)
        return q.expand(torch.Size([len(x)])) if self.shared_draws else q

    def _keys(self, x: Tensor) -> Tensor:
        """What the evaluation noise is a function of: the example, or nothing where the draws are shared."""
        return torch.zeros(1, dtype=torch.int64, device=x.device) if self.shared_draws else fingerprint(x)

    @final
    def evaluation_codes(
        self, x: Tensor, k: int, chunk: int | None = None, proposal: Proposal | None = None
    ) -> Iterator[tuple[Distribution, Tensor]]:
        """The proposal, made once, beside chunks of k draws of it under evaluation noise, (chunk, B, D).

        Each example has its own draws, also where a batch shares them in training: a mean over examples has a standard
        error then.

        Args:
            x: A batch, (B, *x_shape).
            k: The number of draws, honoured exactly.
            chunk: How many draws come at once; they do not depend on it.
            proposal: What z is drawn from; by default q(z|x).

        Raises:
            ZooError: k is below 1, x is no data for the likelihood, or the proposal does not go with q(z|x).
        """
        self.check(x)
        check_counts(k=k)
        yield from self._codes(x, k, chunk, proposal)

    def _codes(
        self, x: Tensor, k: int, chunk: int | None, proposal: Proposal | None
    ) -> Iterator[tuple[Distribution, Tensor]]:
        chunk = self._codes_at_once(x) if chunk is None else chunk
        check_counts(chunk=chunk)
        q, keys = proposed(self, x, proposal), fingerprint(x)
        for first in range(0, k, chunk):
            yield q, _drawn(q, keys, first, min(chunk, k - first))

    def _codes_at_once(self, x: Tensor) -> int:
        """So many draws of each example that they stay in the cache; few of them are decoded at a time."""
        n, width = len(x), self.prior.width
        if self.fits_batch:
            return draws_at_once(max(self.draw_size(n, n), n * width))
        few = draws_at_once(4 * n * self.prior.latent_dim, numbers_in_cache(x))  # beside what is made of them
        return min(few, draws_at_once(n * width))

    def _weigh(self, x: Tensor, k: int, chunk: int | None, proposal: Proposal | None) -> Iterator[Iterator[Tensor]]:
        """For some examples after others, chunks of their log-weights, (chunk, b)."""
        self.check(x)
        check_counts(k=k)
        own = chunk is None and proposal is None and not self.fits_batch
        compiled = self._weighing.columns(self, x, k) if own else None
        return iter([self._chunks(x, k, chunk, proposal)]) if compiled is None else compiled

    def _chunks(self, x: Tensor, k: int, chunk: int | None, proposal: Proposal | None) -> Iterator[Tensor]:
        p = self.prior(self.encode)
        for q, z in self._codes(x, k, chunk, proposal):
            yield Draw(q, p, z, self.log_px(x, z)).log_w

    @final
    def weigh(self, x: Tensor, keys: Tensor, first: Tensor, k: int) -> Tensor:
        """The log-weights of k draws of each example, from the first on: a function of tensors alone, (k, B)."""
        q = self.own_proposal(x)
        z = _drawn(q, keys, first, k)
        return Draw(q, self.prior(self.encode), z, self.log_px(x, z)).log_w

    @final
    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) of z (k, B, D) or (k, 1, D), (k, B).

        So many are decoded at once that memory grows as k (B + D), and not as k pixels; where nothing is
        differentiated, so many that they stay in the cache.
        """
        if self.fits_batch:
            return self._log_px_at_once(x, z)
        if torch.is_grad_enabled():
            chunks = z.split(draws_at_once(self.draw_size(z.shape[1], len(x))))
            if len(chunks) == 1:
                return self._log_px_at_once(x, z)
            return torch.cat([checkpoint(self._log_px_at_once, x, each, use_reentrant=False) for each in chunks])
        shared = z.shape[1] < len(x)
        draws = draws_at_once(self.draw_size(1, len(x) if shared else 1), numbers_in_cache(z))
        n = len(x) if shared else even(len(x), max(1, draws // len(z)))  # so many examples at once
        columns = [
            _joined([self._log_px_at_once(some, each) for each in codes.split(even(len(z), draws))])
            for some, codes in zip(x.split(n), z.split(n, 1), strict=True)
        ]
        return _joined(columns, 1)

    def _log_px_at_once(self, x: Tensor, z: Tensor) -> Tensor:
        return self.decode(z).log_prob(x)


def _joined(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    """One tensor of several; of one it is no copy."""
    return parts[0] if len(parts) == 1 else torch.cat([*parts], dim)


def _drawn(q: Distribution, keys: Tensor, first: int | Tensor, k: int) -> Tensor:
    """Draws of each example under evaluation noise, from the first on, (k, B, D)."""
    with ExampleNoise(keys, first):
        return q.rsample(torch.Size([k]))
