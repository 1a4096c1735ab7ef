"""The posterior mixed with the prior, so that no weight is without a bound."""

import math
from collections.abc import Sequence

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from zoo.errors import ZooError
from zoo.proposals.base import Proposal, Proposing


class Defensive(Proposal):
    r"""A mixture of q(z|x) and the prior, :math:`r(z|x) = (1 - \alpha)\, q(z|x) + \alpha\, p(z)`.

    A weight is then at most :math:`p(x|z) / \alpha`, however narrow q is, and at most :math:`1 / (1 - \alpha)` times
    what it is under q alone. Hesterberg 1995, https://doi.org/10.1080/00401706.1995.10484303; Owen 2013, chapter 9,
    https://artowen.su.domains/mc/. It takes any q and any prior. Where z has many dimensions, draws of the prior seldom
    meet the posterior, and the bound is far above all weights.

    Args:
        weight: The weight of the prior, α.

    Raises:
        ZooError: Not 0 < weight < 1, or there is no encoder.

    Example:
        >>> import torch, zoo
        >>> model, x = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> Defensive(0.2)(model, x).rsample((5,)).shape
        torch.Size([5, 7, 3])
    """

    changes_posterior = True

    def __init__(self, weight: float = 0.1) -> None:
        if not 0 < weight < 1:
            raise ZooError(f"weight is {weight}, where a number between 0 and 1 was expected, as 0.1.")
        self.weight = weight

    def __call__(self, model: Proposing, x: Tensor) -> "DefensiveMixture":
        """Mixes q(z|x) with p(z)."""
        self.check(model)
        return DefensiveMixture(model.own_proposal(x), model.prior(model.encode), self.weight)


class DefensiveMixture(Distribution):
    """(1 - α) q(z|x) + α p(z).

    Args:
        q: Batch (B,), event (D,).
        p: Batch (), event (D,).
        weight: α.
    """

    arg_constraints = {}  # noqa: RUF012  # pyright: ignore  # nothing is validated

    def __init__(self, q: Distribution, p: Distribution, weight: float) -> None:
        super().__init__(q.batch_shape, q.event_shape, validate_args=False)
        self._q, self._p, self._weight = q, p, weight

    @property
    def mean(self) -> Tensor:
        """The mean, (B, D)."""
        return self._mixed(self._q.mean, self._p.mean)

    @property
    def variance(self) -> Tensor:
        """The variance of each dimension, (B, D)."""
        spreads = [each.variance + (each.mean - self.mean).square() for each in (self._q, self._p)]
        return self._mixed(*spreads)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of points (..., B, D)."""
        log_q, log_p = self._q.log_prob(value), self._p.log_prob(value)
        return torch.logaddexp(math.log1p(-self._weight) + log_q, math.log(self._weight) + log_p)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws of q, a share α of them replaced by draws of p; the choice has no gradient."""
        z = self._q.rsample(Size(sample_shape))  # first, so that evaluation noise gives it what q alone would have
        from_prior = torch.rand(z.shape[:-1], dtype=z.dtype, device=z.device) < self._weight
        return torch.where(from_prior[..., None], self._p.sample(Size(z.shape[:-1])), z)

    def _mixed(self, of_q: Tensor, of_p: Tensor) -> Tensor:
        """The weighted mean of a number of q and the same of p."""
        return (1 - self._weight) * of_q + self._weight * of_p
