"""Models of one latent dimension or a few whose gradients have a known law, made with doors of their own."""

import math
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from zoo import MLP, Draw, LatentVariableModel
from zoo.distributions import diagonal_normal
from zoo.objectives import elbo_mc, iwae


class Free(LatentVariableModel):
    """q(z|x) = N(mean, std^2) whatever x is, and p(x|z) = N(x; z + shift, 1): x and z have the same shape."""

    def __init__(self, dim: int = 1, k: int = 1) -> None:
        super().__init__(x_shape=(dim,), latent_dim=dim, k=k)
        self.mean, self.log_std = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.shift = nn.Parameter(torch.zeros(dim))

    @torch.no_grad()
    def at(self, mean: Tensor, std: Tensor, shift: Tensor) -> Self:
        """The same model with other parameters."""
        for parameter, value in ((self.mean, mean), (self.log_std, std.log()), (self.shift, shift)):
            parameter.copy_(value)
        return self

    def encode(self, x: Tensor) -> Distribution:
        return diagonal_normal(self.mean.expand(len(x), -1), self.log_std.exp().expand(len(x), -1))

    def decode(self, z: Tensor) -> Distribution:
        return diagonal_normal(z + self.shift, torch.ones_like(z))

    def objective(self, draw: Draw) -> Tensor:
        return iwae(draw)


class OneDrawKL(Free):
    """Nothing but minus the KL term, from the draws."""

    def objective(self, draw: Draw) -> Tensor:
        return draw.log_ratio.mean(0)


class ClosedKL(Free):
    """Nothing but minus the KL term, in closed form."""

    def objective(self, draw: Draw) -> Tensor:
        return -draw.kl


class Quadratic(Free):
    """E_q[a + b u + c u^2], u = z - mean, by the gradient that goes through the draws."""

    a, b, c = 1.5, -0.8, 2.5

    def value(self, z: Tensor) -> Tensor:
        u = (z - self.mean.detach()).sum(-1)
        return self.a + self.b * u + self.c * u.square()

    def objective(self, draw: Draw) -> Tensor:
        return self.value(draw.z).mean(0)


class Scored(Quadratic):
    """The same by the score function: the draws have no gradient."""

    def objective(self, draw: Draw) -> Tensor:
        z = draw.z.detach()
        return (self.value(z) * draw.q.log_prob(z)).mean(0)


class Unreparameterised(Normal):
    """A normal distribution whose draws have no gradient."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(torch.Size(sample_shape)).detach()


class Detached(Free):
    """The ELBO with the KL term from draws that have no gradient: the encoder's is noise alone."""

    def encode(self, x: Tensor) -> Distribution:
        q = Unreparameterised(self.mean.expand(len(x), -1), self.log_std.exp().expand(len(x), -1))
        return Independent(q, 1, validate_args=False)

    def objective(self, draw: Draw) -> Tensor:
        return elbo_mc(draw)


class Forgetful(MLP):
    """A perceptron with what changes when it is trained or draws: batch norm and dropout."""

    def __init__(self, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape, out_shape, hidden=[6])
        self.norm, self.drop = nn.BatchNorm1d(math.prod(in_shape)), nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.drop(self.norm(x.flatten(1))).view(x.shape))


def rainforth_constants(x: float, mean: float, std: float, shift: float) -> tuple[float, float]:
    r"""The limits of :math:`\sqrt{k}` SNR of `mean` and of SNR of `shift` :math:`/ \sqrt{k}` in one dimension.

    They are :math:`|E[w \nabla w]| / (Z\, \mathrm{sd}[\nabla w])` and
    :math:`|\nabla Z| / \mathrm{sd}[\nabla w - w \nabla \log Z]`, by quadrature over the noise of the draw.
    """
    noise = torch.linspace(-12, 12, 20_001)
    density = (-0.5 * noise.square()).exp() / math.sqrt(2 * math.pi) * (noise[1] - noise[0])
    z = mean + std * noise
    r = x - z - shift
    w = std * (-0.5 * (r.square() + z.square() - noise.square())).exp() / math.sqrt(2 * math.pi)
    by_mean, by_shift = w * (r - z), w * r  # log q at its own draw does not depend on the mean
    evidence, slope = (density * w).sum(), (density * by_shift).sum()
    encoder = (density * w * by_mean).sum().abs() / evidence / (density * by_mean.square()).sum().sqrt()
    spread = (density * (by_shift - w * slope / evidence).square()).sum().sqrt()
    return float(encoder), float(slope.abs() / spread)
