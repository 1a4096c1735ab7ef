"""Distributions over z that torch lacks, and KL terms between those that it has."""

import math
from collections.abc import Sequence

import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal
from torch.distributions.kl import register_kl

from zoo.distances import square_distance


def diagonal_normal(mean: Tensor, std: Tensor) -> "DiagonalNormal":
    """N(mean, diag std²) over the last axis, not validated: validation would cost more than the step it guards."""
    return DiagonalNormal(Normal(mean, std, validate_args=False), 1, validate_args=False)


class DiagonalNormal(Independent):
    """A Gaussian of independent dimensions, whose log-density reads each draw three times; torch's reads it eight."""

    base_dist: Normal

    def log_prob(self, value: Tensor) -> Tensor:
        r""":math:`-\frac{1}{2} \sum_d (z_d - \mu_d)^2 / \sigma_d^2 - \sum_d \log \sigma_d - \frac{D}{2} \log 2 \pi`."""
        mean, std = self.base_dist.loc, self.base_dist.scale
        square = ((value - mean) / std).square().sum(-1)
        return -0.5 * square - std.log().sum(-1) - 0.5 * math.log(2 * math.pi) * self.event_shape[0]


class Choice(Categorical):
    """A categorical distribution that draws by uniform numbers, as evaluation noise asks: see `zoo.noise`.

    Args:
        logits: The logits, (C,).

    Example:
        >>> Choice(torch.tensor([0.0, 9.0])).sample(Size([5, 4])).shape
        torch.Size([5, 4])
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: Categorical | None = None) -> Categorical:
        """Torch's own, of a batch."""
        return Categorical(logits=self.logits, validate_args=False).expand(Size(batch_shape), _instance)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws: the number of the first one up to which the probabilities add up to a uniform number."""
        below = self.probs.cumsum(-1)[:-1]  # all but the last, whose sum may round to less than 1
        return torch.searchsorted(
            below, torch.rand(Size(sample_shape), dtype=below.dtype, device=below.device), right=True
        )


class GaussianMixture(MixtureSameFamily):
    r"""A mixture of C diagonal Gaussians, :math:`\sum_c \pi_c N(z; \mu_c, \mathrm{diag}\, \sigma_c^2)`.

    The density of n points costs a matrix product and n C numbers, where torch's mixture would hold n C D.

    Args:
        logits: The logits of the weights, (C,).
        mean: The means, (C, D).
        std: The standard deviations, (C, D).

    Example:
        >>> import torch
        >>> p = GaussianMixture(torch.zeros(2), torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1))
        >>> p.log_prob(torch.zeros(5, 4, 1)).shape
        torch.Size([5, 4])
    """

    def __init__(self, logits: Tensor, mean: Tensor, std: Tensor) -> None:
        parts = diagonal_normal(mean, std)
        super().__init__(Choice(logits), parts, validate_args=False)
        self._mean, self._std = mean, std

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws of the Gaussians that are chosen alone, where torch's mixture would draw of all C."""
        chosen = self.mixture_distribution.sample(Size(sample_shape))
        return diagonal_normal(self._mean[chosen], self._std[chosen]).sample()

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density of points (..., D)."""
        distance = square_distance(self._mean, x.reshape(-1, x.shape[-1]), self._std**-2)  # (C, n)
        log_norm = self._std.log().sum(-1) + 0.5 * x.shape[-1] * math.log(2 * math.pi)  # (C,)
        log_weight = self.mixture_distribution.logits - log_norm
        return (log_weight[:, None] - 0.5 * distance).logsumexp(0).view(x.shape[:-1])


@register_kl(MultivariateNormal, Independent)
def _kl_full_to_diagonal(q: MultivariateNormal, p: Independent) -> Tensor:
    r""":math:`\frac{1}{2} \sum_d ((\Sigma_{dd} + (\mu_d - m_d)^2) / s_d^2 - 1 + \log s_d^2) - \log |L|`."""
    if not isinstance(p.base_dist, Normal) or p.event_shape != q.event_shape:
        raise NotImplementedError
    variance = p.base_dist.variance
    moved = (q.variance + (q.mean - p.mean).square()) / variance
    log_det = q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * (moved - 1 + variance.log()).sum(-1) - log_det
