"""Annealed importance sampling: log p(x) of a decoder, whatever its encoder is worth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from zoo.checks import check_counts
from zoo.estimators.annealing import (
    Annealable,
    Annealing,
    Run,
    anneal,
    sigmoidal_schedule,
    tuned_steps,
    tuning_temperatures,
)
from zoo.estimators.kept import Kept
from zoo.estimators.streaming import evaluating
from zoo.estimators.weights import AnnealedWeights
from zoo.noise import mix
from zoo.proposals import Proposal, check_proposal

TUNING, FORWARD, REVERSE = 2, 3, 4
"""The seeds of the noise of three kinds of runs; that of an estimate by draws is 0, that of a refit 1."""

NUMBERS = 2**20
"""How many numbers the examples and chains that are moved at once may take to decode."""

Tick = Callable[[], object]
"""What is called after each trajectory."""


class AnnealedImportanceSampling:
    r"""log p(x) from chains that are led from a distribution :math:`p_0(z)` to the posterior.

    .. math:: \log \frac{1}{C} \sum_c w_c, \qquad
        \log w_c = \sum_{t=1}^{T} (b_t - b_{t-1}) \log \frac{p(x, z_{c, t-1})}{p_0(z_{c, t-1})}

    Neal 2001, https://arxiv.org/abs/physics/9803008. A chain begins at a draw of :math:`p_0` and makes one trajectory
    of Hamiltonian Monte Carlo at each temperature, on :math:`p_b(z) \propto p_0(z)^{1-b}\, p(x, z)^b`, as the inverse
    temperature b rises from 0 to 1 along a `sigmoidal_schedule` (Wu et al. 2017, https://arxiv.org/abs/1611.02648).
    The mean weight is p(x) in expectation, so that its logarithm is a lower bound, which rises with T and C.

    That holds for step sizes that do not depend on the chains. They are therefore tuned, for each example and
    temperature, to an acceptance of 0.65 by chains of their own, and then fixed: a chain whose step size follows its
    own acceptance would not keep :math:`p_b`.

    The noise follows each example, so the numbers depend on neither the batch nor the rank but by rounding. That may
    decide whether a trajectory is taken: in single precision it moves a chain now and then, which is Monte-Carlo noise.
    The model, its gradients and the generators are not touched. Memory grows with ``batch_size``, not with the number
    of examples.

    Args:
        n_temperatures: The number of steps of the schedule, T; with 1 it is importance sampling.
        n_chains: The number of chains of each example, C.
        n_leapfrog: The number of leapfrog steps of a trajectory: passes through the decoder, and back.
        proposal: Makes :math:`p_0`, as `Amortised()`, the encoder's posterior; None for the prior.
        seed: The seed of the noise.

    Raises:
        ZooError: A count is below 1, or proposal is none.

    Example:
        >>> import zoo
        >>> model, x = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> found = AnnealedImportanceSampling(n_temperatures=5, n_chains=2)(model, x)
        >>> found.log_likelihood.shape, found.error.shape
        (torch.Size([7]), torch.Size([7]))
    """

    def __init__(
        self,
        n_temperatures: int = 1000,
        n_chains: int = 16,
        n_leapfrog: int = 10,
        proposal: Proposal | None = None,
        seed: int = 0,
    ) -> None:
        check_counts(n_temperatures=n_temperatures, n_chains=n_chains, n_leapfrog=n_leapfrog)
        check_proposal(proposal)
        self.n_temperatures, self.n_chains, self.n_leapfrog = n_temperatures, n_chains, n_leapfrog
        self.proposal, self.seed = proposal, seed
        self.schedule = sigmoidal_schedule(n_temperatures)

    @property
    def passes(self) -> int:
        """How often a code is decoded for each example, and gone back from: by the chains, and by those that tune."""
        runs = (self.n_temperatures, tuning_temperatures(self.n_temperatures))
        return self.n_chains * sum(1 + (n - 1) * self.n_leapfrog for n in runs)

    def __call__(
        self,
        model: Annealable,
        x: Tensor,
        file: str | Path | None = None,
        batch_size: int | None = None,
        progress: bool = False,
    ) -> AnnealedWeights:
        """Estimates log p(x) of examples (B, *x_shape).

        Args:
            model: The model.
            x: The examples.
            file: Where finished batches are kept: called again with the same arguments, it goes on from there.
            batch_size: How many examples are taken at once; by default what their sizes suggest.
            progress: Whether a bar shows how far it is.

        Raises:
            ZooError: x is no data for the likelihood, or the file is of another task.
        """

        def columns(path: Annealing, tick: Tick) -> Tensor:
            run = self.forward(path, self.tuned_steps(path, tick), tick)
            return torch.cat([run.log_w, acceptance(run)[None]])  # (C + 1, B)

        found = self.in_batches(columns, model, [x], 1, file, batch_size, progress)
        return AnnealedWeights(found[:-1], found[-1])

    def tuned_steps(self, path: Annealing, tick: Tick = bool) -> Tensor:
        """The logarithms of the step sizes, (T - 1, B)."""
        sizes = (self.n_temperatures, self.n_chains, self.n_leapfrog)
        return tuned_steps(path, *sizes, mix(TUNING, self.seed), tick)

    def forward(self, path: Annealing, log_steps: Tensor, tick: Tick = bool) -> Run:
        """A run from draws of p_0."""
        seed = mix(FORWARD, self.seed)
        z = path.begin(self.n_chains, seed)
        return anneal(path, z, self.schedule, log_steps, self.n_leapfrog, seed, tick=tick)

    def reverse(self, path: Annealing, z: Tensor, log_steps: Tensor, tick: Tick = bool) -> Run:
        """A run from draws z (B, D) of the posterior back to p_0: its weights are inverse."""
        seed, z = mix(REVERSE, self.seed), z.expand(self.n_chains, *z.shape)
        return anneal(path, z, self.schedule.flip(0), log_steps.flip(0), self.n_leapfrog, seed, tick=tick)

    def in_batches(
        self,
        columns: Callable[..., Tensor],
        model: Annealable,
        tensors: Sequence[Tensor],
        runs: int,
        file: str | Path | None,
        batch_size: int | None,
        progress: bool,
    ) -> Tensor:
        """Columns of numbers, one for each example, worked out batch by batch and kept in the file.

        Args:
            columns: Makes those of a batch, from its path, from what is called after each trajectory, and from the
                batch of each further tensor.
            model: The model.
            tensors: The examples, and what else there is of each.
            runs: How many runs ``columns`` makes beside the one that tunes.
            file: See `__call__`.
            batch_size: See `__call__`.
            progress: See `__call__`.
        """
        if batch_size is None:
            batch_size = max(1, NUMBERS // (self.n_chains * model.draw_size(1, 1)))
        check_counts(batch_size=batch_size)
        sizes = (self.n_temperatures, self.n_chains, self.n_leapfrog, self.seed)
        trajectories = runs * (self.n_temperatures - 1) + tuning_temperatures(self.n_temperatures) - 1
        with torch.inference_mode(False), evaluating(cast(nn.Module, model)):
            x, *others = [each.clone() for each in tensors]  # of inference there are no gradients
            model.check(x)
            kept = Kept(file, model, self.proposal, *sizes, runs, x, *others)
            found = kept.load(x.device)
            starts = range(sum(each.shape[1] for each in found), len(x), batch_size)
            with tqdm(total=len(starts) * trajectories, unit=" trajectories", disable=not progress) as bar:
                for i in starts:
                    batch = slice(i, i + batch_size)
                    path = Annealing(model, x[batch], self.proposal)
                    found.append(columns(path, bar.update, *(each[batch] for each in others)))
                    kept.save(torch.cat(found, 1))
            return torch.cat(found, 1)


def acceptance(run: Run) -> Tensor:
    """The share of trajectories that were taken, (B,), in float64: 1 where there was none."""
    return run.acceptance.double().mean(0).nan_to_num(1.0)
