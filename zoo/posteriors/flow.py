"""A normalising flow as the posterior."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Size, Tensor
from torch.quasirandom import SobolEngine
from zuko.distributions import NormalizingFlow
from zuko.flows import MAF
from zuko.transforms import Transform

from zoo.checks import check_counts, check_widths
from zoo.distributions import diagonal_normal
from zoo.posteriors.base import Posterior
from zoo.precision import refuse_16_bits

POINTS = 256
"""How many points the moments of a flow are taken from."""


class CouplingFlow(Posterior):
    """A diagonal Gaussian sent through affine couplings that see the encoder's context; by the library zuko.

    Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770; couplings by Dinh, Sohl-Dickstein and Bengio 2017,
    https://arxiv.org/abs/1605.08803. Its KL term has no closed form: a VAE takes it with ``closed_form_kl=False``.
    Its mean and variance, which `codes` and the monitors read, are those of 256 fixed quasi-random points.

    Args:
        latent_dim: The number of latent dimensions.
        transforms: The number of couplings.
        context: How many numbers the encoder emits for the couplings to see.
        hidden: The widths of the hidden layers of a coupling.

    Raises:
        ZooError: A number is below 1.

    Example:
        >>> CouplingFlow(3, context=8)(torch.zeros(7, 14)).rsample((5,)).shape
        torch.Size([5, 7, 3])
    """

    points: Tensor

    def __init__(
        self, latent_dim: int, transforms: int = 2, context: int = 32, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__(latent_dim)
        check_counts(transforms=transforms, context=context)
        check_widths(hidden)
        self.h_shape = (2 * latent_dim + context,)
        self.couplings = MAF(latent_dim, context, transforms, passes=2, hidden_features=hidden).transform
        uniform = SobolEngine(latent_dim, scramble=True, seed=0).draw(POINTS, dtype=torch.float64)
        points = torch.special.ndtri(uniform).to(torch.get_default_dtype())
        self.register_buffer("points", points[:, None], persistent=False)

    def forward(self, h: Tensor) -> "FlowDistribution":
        """Turns (B, 2 D + context) into q(z|x)."""
        refuse_16_bits(self, self.points.dtype)
        mean, log_std, context = h.tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        return FlowDistribution(self.couplings(context), mean, log_std.exp(), self.points)


class FlowDistribution(NormalizingFlow):
    """A flow over a diagonal Gaussian, with moments.

    Args:
        transform: From z to the Gaussian.
        mean: The mean of the Gaussian, (B, D).
        std: Its standard deviation, (B, D).
        points: Standard normal points that the moments are taken from, (n, 1, D).
    """

    def __init__(self, transform: Transform, mean: Tensor, std: Tensor, points: Tensor) -> None:
        super().__init__(transform, diagonal_normal(mean, std))
        self._points = points

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density of points (..., D), which broadcast against the batch."""
        shape = torch.broadcast_shapes(x.shape, self.batch_shape + self.event_shape)
        with torch.autocast(x.device.type, enabled=False):  # in 16 bits log-determinants would lose their digits
            return super().log_prob(x.expand(shape))

    def rsample(self, shape: Sequence[int] = ()) -> Tensor:
        """Draws of the Gaussian, sent through the couplings as `log_prob` sends them back."""
        with torch.autocast(self._points.device.type, enabled=False):
            return super().rsample(Size(shape))

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        with torch.autocast(self._points.device.type, enabled=False):
            z = self.transform.inv(self.base.mean + self.base.stddev * self._points)  # (n, B, D)
        variance, mean = torch.var_mean(z, 0, correction=0)  # pyright: ignore[reportArgumentType]
        return mean, variance

    @property
    def mean(self) -> Tensor:
        """The mean over the points, (B, D)."""
        return self._moments[0]

    @property
    def variance(self) -> Tensor:
        """The variance over the points, (B, D)."""
        return self._moments[1]
