"""A learned mixture of Gaussians as the prior."""

import torch
from torch import nn

from zoo.checks import check_counts
from zoo.distributions import GaussianMixture
from zoo.networks import Shape, full_precision
from zoo.priors.base import Encode, Prior


class MixtureOfGaussians(Prior):
    r"""A learned mixture of C diagonal Gaussians.

    .. math:: p(z) = \sum_c \pi_c\, N(z; \mu_c, \mathrm{diag}\, \sigma_c^2)

    Dilokthanakul et al. 2016, https://arxiv.org/abs/1611.02648. Its KL term has no closed form: a VAE takes it with
    ``closed_form_kl=False``. The means begin spread as draws of N(0, I), the variances at 1.

    Args:
        latent_dim: The number of latent dimensions.
        x_shape: The shape of one example.
        components: The number of Gaussians, C.

    Raises:
        ZooError: There is no component.

    Example:
        >>> MixtureOfGaussians(3, components=10)().event_shape
        torch.Size([3])
    """

    reparameterised = False

    def __init__(self, latent_dim: int, x_shape: Shape = (), components: int = 10) -> None:
        super().__init__(latent_dim, x_shape)
        check_counts(components=components)
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, latent_dim))
        self.log_std = nn.Parameter(torch.zeros(components, latent_dim))

    def forward(self, encode: Encode | None = None) -> GaussianMixture:
        """Returns p(z)."""
        return GaussianMixture(*map(full_precision, (self.logits, self.mean, self.log_std.exp())))
