"""A Gaussian posterior, widened."""

import math

from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from zoo.distributions import diagonal_normal
from zoo.errors import ZooError
from zoo.proposals.base import Proposal, Proposing


class Widened(Proposal):
    r"""q(z|x) with its standard deviations multiplied: :math:`N(\mu, s^2 \Sigma)` for :math:`N(\mu, \Sigma)`.

    Training on the ELBO makes q too narrow where the posterior's dimensions depend on each other, and weights have no
    variance where a variance of q is at most half the posterior's (Owen 2013, chapter 9, https://artowen.su.domains/mc/).
    Widening costs draws in every dimension that was wide enough: with the posterior itself for q, the effective sample
    size of k draws is about :math:`k\, (\sqrt{2 s^2 - 1} / s^2)^D`, so that s must be near 1 where D is large.

    Args:
        scale: What the standard deviations are multiplied by, s.

    Raises:
        ZooError: scale is not a positive number, there is no encoder, or q(z|x) is no Gaussian.

    Example:
        >>> import torch, zoo
        >>> model, x = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> (Widened(2.0)(model, x).stddev / model.encode(x).stddev).mean()
        tensor(2., grad_fn=<MeanBackward0>)
    """

    changes_posterior = True

    def __init__(self, scale: float = 1.1) -> None:
        if not 0 < scale < math.inf:
            raise ZooError(f"scale is {scale}, where a positive number was expected, as 1.1.")
        self.scale = scale

    def __call__(self, model: Proposing, x: Tensor) -> Independent | MultivariateNormal:
        """Widens q(z|x)."""
        self.check(model)
        q = model.own_proposal(x)
        if isinstance(q, MultivariateNormal):
            return MultivariateNormal(q.mean, scale_tril=self.scale * q.scale_tril, validate_args=False)
        if isinstance(q, Independent) and isinstance(q.base_dist, Normal):
            return diagonal_normal(q.mean, self.scale * q.stddev)
        raise ZooError(
            f"Widened was asked to widen a {type(q).__name__}, where a Gaussian was expected: take another proposal, "
            "as Refitted or Defensive, or a model with a Gaussian posterior."
        )
