"""The densities between a start p_0(z) and p(x, z), and one run of chains along them."""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Size, Tensor

from zoo.estimators.hmc import Chance, Point, transition
from zoo.networks import full_precision
from zoo.noise import ExampleNoise, fingerprint, mix
from zoo.proposals import Proposal, Proposing, proposed

ACCEPTANCE = 0.65
"""The share of trajectories that step sizes are tuned to, as in Wu et al. 2017."""

GAIN = 1.0
"""By how much the logarithm of a step size follows the acceptance while it is tuned, from a temperature to the next."""


def sigmoidal_schedule(n: int) -> Tensor:
    r"""n + 1 inverse temperatures from 0 to 1, dense at both ends, in float64.

    .. math:: b_t = \frac{\sigma(4 (2 t / n - 1)) - \sigma(-4)}{\sigma(4) - \sigma(-4)}

    Wu, Burda, Salakhutdinov and Grosse 2017, https://arxiv.org/abs/1611.02648.

    Example:
        >>> sigmoidal_schedule(4)
        tensor([0.0000, 0.1050, 0.5000, 0.8950, 1.0000], dtype=torch.float64)
    """
    s = torch.linspace(-4, 4, n + 1, dtype=torch.float64).sigmoid()
    return (s - s[0]) / (s[-1] - s[0])


class Annealable(Proposing, Protocol):
    """A model, as annealing sees it."""

    latent_dim: int

    def draw_size(self, n_z: int, n_x: int) -> int:
        """How many numbers it takes to decode one draw of n_z codes and to compare it with n_x examples."""
        ...

    def check(self, x: Tensor) -> None:
        """Refuses data that the likelihood gives no density to."""
        ...


class Annealing:
    r"""The densities :math:`p_b(z) \propto p_0(z) \left[ p(x, z) / p_0(z) \right]^b` of the examples of a batch.

    Args:
        model: The model, in evaluation mode.
        x: The batch, (B, *x_shape).
        proposal: Makes :math:`p_0`; None for the prior.

    Attributes:
        keys: What the noise of each example is a function of, (B,).
        unit: The standard deviation of :math:`p_0`, (B, D) or (D,): the chains move in units of it.
    """

    def __init__(self, model: Annealable, x: Tensor, proposal: Proposal | None) -> None:
        self._model, self._x, self.keys = model, x, fingerprint(x)
        self._prior = model.prior(model.encode)
        self._start = None if proposal is None else proposed(model, x, proposal)
        self.unit = self._prior.stddev if self._start is None else self._start.stddev

    def begin(self, n_chains: int, seed: int) -> Tensor:
        """Draws of p_0, (C, B, D)."""
        with ExampleNoise(self.keys, seed=seed):
            if self._start is None:
                return full_precision(self._prior.sample(Size([n_chains, len(self._x)])))
            return full_precision(self._start.rsample(Size([n_chains])))

    def at(self, z: Tensor) -> Point:
        """What the densities are at z (C, B, D): one pass through the decoder, and back."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            log_start, log_ratio = self._prior.log_prob(z), self._model.log_px(self._x, z)
            if self._start is not None:
                log_pz, log_start = log_start, self._start.log_prob(z)
                log_ratio = log_ratio + log_pz - log_start
            (start_slope,) = torch.autograd.grad(log_start.sum(), z, retain_graph=True)
            (ratio_slope,) = torch.autograd.grad(log_ratio.sum(), z)
        return Point(z.detach(), log_start.detach(), log_ratio.detach(), start_slope, ratio_slope)


class Run(NamedTuple):
    """A run of C chains along a path of T steps.

    Args:
        log_w: The log-weight of each chain, (C, B), in float64.
        acceptance: The share of trajectories that were taken at each temperature between the ends, (T - 1, B).
        log_steps: The logarithm of the step size there, (T - 1, B).
    """

    log_w: Tensor
    acceptance: Tensor
    log_steps: Tensor


def anneal(
    path: Annealing,
    z: Tensor,
    schedule: Tensor,
    log_steps: Tensor,
    n_leapfrog: int,
    seed: int,
    gain: float = 0.0,
    tick: Callable[[], object] = bool,
) -> Run:
    r"""Leads chains along the schedule, by one trajectory of HMC at each temperature between its ends.

    .. math:: \log w = \sum_{t=1}^{T} (b_t - b_{t-1}) \log \frac{p(x, z_{t-1})}{p_0(z_{t-1})}

    where :math:`z_{t-1}` is what trajectories at :math:`b_1, \dots, b_{t-1}` have made of :math:`z_0`. Neal 2001,
    https://arxiv.org/abs/physics/9803008. With T = 1 that is the weight of importance sampling. Along a schedule that
    is reversed it is minus the log-weight of the chain that goes the other way.

    Args:
        path: The densities.
        z: Where the chains begin, (C, B, D).
        schedule: The inverse temperatures, (T + 1,).
        log_steps: The logarithms of the step sizes, in the units of the path, (T - 1, B).
        n_leapfrog: The number of leapfrog steps of a trajectory.
        seed: The seed of the noise, which follows each example.
        gain: By how much the logarithm of a step size follows the acceptance of all chains of its example. Where that
            is not 0 no weight is right: a chain whose step size depends on where it has been does not keep p_b.
        tick: What is called after each trajectory.
    """
    b, point = schedule.tolist(), path.at(z)
    log_w = torch.zeros(z.shape[:2], dtype=torch.float64, device=z.device)
    run = Run(log_w, torch.zeros_like(log_steps), log_steps.clone())
    for t in range(1, len(b) - 1):
        log_w += (b[t] - b[t - 1]) * point.log_ratio.double()
        step = run.log_steps[t - 1].exp()[:, None] * path.unit  # (B, D)
        with ExampleNoise(path.keys, seed=mix(seed, t)):
            chance = Chance.like(point.z)
        point, acceptance = transition(path.at, point, b[t], step, n_leapfrog, chance)
        run.acceptance[t - 1] = acceptance.mean(0)
        run.log_steps[t:] += gain * (run.acceptance[t - 1] - ACCEPTANCE)
        tick()
    log_w += (b[-1] - b[-2]) * point.log_ratio.double()
    return run


def tuned_steps(
    path: Annealing, n: int, n_chains: int, n_leapfrog: int, seed: int, tick: Callable[[], object] = bool
) -> Tensor:
    """The logarithms of step sizes for n temperatures, (n - 1, B), by a run of other chains with other noise.

    They are functions of the model and the example alone, so what goes on with them keeps every p_b. The run has
    `tuning_temperatures`; between these the logarithms are interpolated.
    """
    z, size = path.begin(n_chains, seed), tuning_temperatures(n)
    first = math.log(1.5) - 0.25 * math.log(z.shape[-1])  # near what is best for a Gaussian p_0 in D dimensions
    log_steps = torch.full((size - 1, z.shape[1]), first, dtype=z.dtype, device=z.device)
    found = anneal(path, z, sigmoidal_schedule(size), log_steps, n_leapfrog, seed, GAIN, tick).log_steps
    if size == n:
        return found
    return F.interpolate(found.T[None], size=n - 1, mode="linear", align_corners=True)[0].T  # (n - 1, B)


def tuning_temperatures(n: int) -> int:
    """How many temperatures tune the step sizes for n: a tenth of them, or 100 where that is more.

    Example:
        >>> [tuning_temperatures(n) for n in (30, 500, 10_000)]
        [30, 100, 1000]
    """
    return min(n, max(100, n // 10))
