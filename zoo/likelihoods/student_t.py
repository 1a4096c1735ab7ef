"""Real-valued pixels with heavy tails."""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Chi2, Distribution

from zoo.errors import ZooError
from zoo.likelihoods.learned_variances import DecodedVariance
from zoo.likelihoods.location_scale import LocationScale, ScaledElements
from zoo.likelihoods.variances import FreeVariance
from zoo.networks import Shape

MOST_DF = 1e6
"""Degrees of freedom above which a t distribution counts as the Gaussian that it no longer differs from."""


class StudentT(LocationScale):
    r"""p(x|z) = Π t_ν(x; μ(z), s), with degrees of freedom ν(z) for each element, above a floor.

    .. math:: t_\nu(x; \mu, s) = \frac{\Gamma(\frac{\nu + 1}{2})}{\Gamma(\frac{\nu}{2}) \sqrt{\pi \nu} s}
        \left(1 + \frac{(x - \mu)^2}{\nu s^2}\right)^{-\frac{\nu + 1}{2}}

    Takahashi et al. 2018, https://www.ijcai.org/proceedings/2018/0374. The decoder emits μ, λ and what the scale
    takes: :math:`\log \nu = \log \xi + \log(1 + e^\lambda)` with floor ξ, as `DecodedVariance` has it for σ².

    Args:
        x_shape: The shape of one example.
        scale: Makes the part that holds the squared scale s². The variance is s² ν / (ν - 2).
        df_start: The degrees of freedom before training.
        df_floor: Their floor ξ; from 2 on the variance is finite.

    Raises:
        ZooError: Not 1 ≤ df_floor, or df_start is not above it and above 2, or the scale is one for Gaussian errors.

    Example:
        >>> p = StudentT((1, 5, 4))(torch.zeros(7, 3, 1, 5, 4))
        >>> p.df[0, 0, 0, 0]
        tensor(5.)
    """

    n_own = 2

    def __init__(
        self,
        x_shape: Shape,
        scale: Callable[[Shape], FreeVariance] = DecodedVariance,
        df_start: float = 5.0,
        df_floor: float = 2.0,
    ) -> None:
        super().__init__(x_shape, scale)
        if not 1 <= df_floor < df_start < MOST_DF or df_start <= 2:
            raise ZooError(
                f"df_floor is {df_floor} and df_start is {df_start}, where 1 <= df_floor < df_start and 2 < df_start "
                f"< {MOST_DF:g} were expected: data have a mean and a variance to start at."
            )
        self.df_floor, self.varies = df_floor, True
        self.unit_variance = df_start / (df_start - 2)
        log_ratio = math.log(df_start / df_floor)
        self.first = log_ratio + math.log(-math.expm1(-log_ratio))  # softplus inverted

    def forward(self, h: Tensor) -> "StudentTElements":
        """Turns locations, λ, and what there is of the scale, into p(x|z)."""
        location, excess, raw = self.split(h, 1, 1, self.scale.n_params)
        most = math.log(MOST_DF / self.df_floor)
        df = self.df_floor * F.softplus(self.squeeze(excess) + self.first).clamp(max=most).exp()
        return StudentTElements(df, self.squeeze(location), self.scale(raw), len(self.x_shape))

    def describe(self, p: Distribution) -> dict[str, Tensor]:
        """What there is to say of the scale, and the harmonic mean of ν, since some may be as good as infinite."""
        df = cast(StudentTElements, p).df.detach().flatten(-len(self.x_shape))
        return super().describe(p) | {"df": 1 / df.reciprocal().mean(-1)}


class StudentTElements(ScaledElements):
    """Independent elements, each Student-t.

    Args:
        df: The degrees of freedom ν, (..., *x_shape).
        location: μ, (..., *x_shape).
        squared_scale: s², of a shape that broadcasts to that.
        event_dims: The number of axes of x.
    """

    def __init__(self, df: Tensor, location: Tensor, squared_scale: Tensor, event_dims: int) -> None:
        super().__init__(location, squared_scale, event_dims)
        self.df = df

    def log_elements(self, x: Tensor) -> Tensor:
        """The log-density, as what it adds to that of the Gaussian at infinite ν."""
        kernel = (self.df + 1) * torch.log1p(((x - self.location) / self.scale).square() / self.df)
        return log_gamma_step(self.df / 2) - 0.5 * (kernel + (2 * math.pi * self.squared_scale).log())

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.location

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Normal numbers, each over the root of a χ² number by ν."""
        chi2 = Chi2(self.df, validate_args=False).sample(Size(sample_shape))
        return self.location + self.scale * torch.randn_like(chi2) * (self.df / chi2).sqrt()


def log_gamma_step(a: Tensor) -> Tensor:
    r""":math:`\log \Gamma(a + \frac{1}{2}) - \log \Gamma(a) - \frac{1}{2} \log a`, which goes to 0 as a grows.

    Above 8 it is a series in 1/a: the difference of two large numbers would be off by a nat in float32.

    Example:
        >>> log_gamma_step(torch.tensor([0.5, 1e6]))
        tensor([-2.2579e-01, -1.2500e-07])
    """
    small, b = a.clamp(max=8.0), 1 / a
    exact = torch.lgamma(small + 0.5) - torch.lgamma(small) - 0.5 * small.log()
    c = b.square()
    series = -b * (1 / 8 - c * (1 / 192 - c * (1 / 640 - c * (17 / 14336 - c * 31 / 18432))))
    return torch.where(a < 8, exact, series)
