"""Hamiltonian Monte Carlo on a tempered density, for many chains of many examples at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Point(NamedTuple):
    r"""Where the chains stand, and what :math:`p_b(z) \propto p_0(z)\, r(z)^b` is there, for every b.

    Args:
        z: (C, B, D).
        log_start: :math:`\log p_0(z)`, (C, B).
        log_ratio: :math:`\log r(z)`, (C, B).
        start_slope: The gradient of the former, (C, B, D).
        ratio_slope: The gradient of the latter, (C, B, D).
    """

    z: Tensor
    log_start: Tensor
    log_ratio: Tensor
    start_slope: Tensor
    ratio_slope: Tensor

    def log_density(self, b: float) -> Tensor:
        """log p_b(z) up to a constant, (C, B)."""
        return self.log_start + b * self.log_ratio

    def slope(self, b: float) -> Tensor:
        """Its gradient, (C, B, D)."""
        return self.start_slope + b * self.ratio_slope


Locate = Callable[[Tensor], Point]
"""Makes the `Point` of z (C, B, D)."""


def leapfrog(at: Locate, point: Point, velocity: Tensor, b: float, step: Tensor, n_steps: int) -> tuple[Point, Tensor]:
    r"""Follows the Hamiltonian :math:`\frac{1}{2} |v|^2 - \log p_b(z)`: it can be gone back, and keeps volumes.

    .. math:: v \leftarrow v + \tfrac{\epsilon}{2} \nabla \log p_b(z), \quad z \leftarrow z + \epsilon v, \quad
        v \leftarrow v + \tfrac{\epsilon}{2} \nabla \log p_b(z)

    Neal 2011, https://arxiv.org/abs/1206.1901.

    Args:
        at: Makes a `Point`; it is called once a step.
        point: Where it begins.
        velocity: With what velocity, (C, B, D).
        b: The inverse temperature.
        step: The step size of each dimension, which broadcasts against (C, B, D).
        n_steps: The number of steps.

    Returns:
        Where it ends, and with what velocity.

    Example:
        >>> def at(z):
        ...     nothing = torch.zeros_like(z)
        ...     return Point(z, -0.5 * z.square().sum(-1), nothing[..., 0], -z, nothing)  # a standard normal
        >>> start, velocity = at(torch.ones(2, 3, 5)), torch.ones(2, 3, 5)
        >>> end, after = leapfrog(at, start, velocity, 1.0, torch.tensor(0.1), 7)
        >>> back, before = leapfrog(at, end, -after, 1.0, torch.tensor(0.1), 7)
        >>> torch.allclose(back.z, start.z) and torch.allclose(before, -velocity)
        True
    """
    velocity = velocity + step / 2 * point.slope(b)
    for i in range(1, n_steps + 1):
        point = at(point.z + step * velocity)
        velocity = velocity + (step if i < n_steps else step / 2) * point.slope(b)
    return point, velocity


class Chance(NamedTuple):
    """All that is left to chance in one trajectory of each chain.

    Args:
        velocity: Standard normal, (C, B, D).
        jitter: Uniform between 0 and 1, (C, B).
        threshold: The same.
    """

    velocity: Tensor
    jitter: Tensor
    threshold: Tensor

    @classmethod
    def like(cls, z: Tensor) -> "Chance":
        """Draws it for chains at z (C, B, D)."""
        velocity = torch.randn_like(z)
        return cls(velocity, *torch.rand(*z.shape[:2], 2, dtype=z.dtype, device=z.device).unbind(-1))


def transition(at: Locate, point: Point, b: float, step: Tensor, n_steps: int, chance: Chance) -> tuple[Point, Tensor]:
    r"""Moves each chain by one trajectory, from a velocity that is drawn anew, in a way that keeps :math:`p_b`.

    The end of the trajectory is taken with probability min(1, e^−ΔH), and its beginning where it is not: Neal 2011,
    https://arxiv.org/abs/1206.1901. Each has its own step size, uniform between 0.8 and 1.2 times ``step``, so that
    none is a whole turn of an oscillation, which would lead back to where it began (section 3.2 there). A trajectory
    that diverges is not taken.

    Args:
        at: Makes a `Point`; it is called once a step.
        point: Where the chains stand.
        b: The inverse temperature.
        step: The step size of each dimension, which broadcasts against (C, B, D).
        n_steps: The number of leapfrog steps.
        chance: What is drawn for it.

    Returns:
        Where the chains stand after it, and the probability of each end to be taken, (C, B).
    """
    step = (0.8 + 0.4 * chance.jitter[..., None]) * step
    end, velocity = leapfrog(at, point, chance.velocity, b, step, n_steps)
    kinetic = 0.5 * (chance.velocity.square() - velocity.square()).sum(-1)
    log_odds = end.log_density(b) - point.log_density(b) + kinetic  # nan where it diverged
    taken = chance.threshold.log() < log_odds  # (C, B)
    moved = (
        torch.where(taken if new.ndim == 2 else taken[..., None], new, old) for new, old in zip(end, point, strict=True)
    )
    return Point(*moved), log_odds.clamp(max=0).exp().nan_to_num(0.0)
