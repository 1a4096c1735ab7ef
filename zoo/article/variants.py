"""What the article says would go wrong without reparameterisation, as models of a few lines each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.distributions import DiagonalNormal
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.models import BernoulliVAE
from zoo.objectives import elbo_mc
from zoo.posteriors import DiagonalGaussian


class DetachedNormal(DiagonalNormal):
    """A Gaussian whose draws carry no gradient: z is a number, and no function of μ and σ."""

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws, cut from what made them."""
        return super().rsample(torch.Size(sample_shape)).detach()


class DetachedGaussian(DiagonalGaussian):
    r"""q(z|x) = N(μ(x), diag σ²(x)) without the article's (10): the encoder gets no gradient through the draw.

    With the KL term in closed form the encoder is then trained by that alone, and goes to the prior. With the KL term
    of the draws it is trained by :math:`\nabla \log q(z|x)`, whose expectation is 0.

    Args:
        latent_dim: The number of latent dimensions.

    Example:
        >>> q = DetachedGaussian(3)(torch.zeros(7, 2, 3, requires_grad=True))
        >>> q.rsample(torch.Size([2])).requires_grad, q.log_prob(torch.zeros(7, 3)).requires_grad
        (False, True)
    """

    def forward(self, h: Tensor) -> DetachedNormal:
        """Turns (B, 2, latent_dim) into q(z|x)."""
        q = super().forward(h)
        return DetachedNormal(q.base_dist, 1, validate_args=False)


class ScoreFunctionVAE(BernoulliVAE):
    r"""The VAE of the article's (5), its encoder trained by the score function, without reparameterisation.

    .. math:: \nabla_\phi E_{q_\phi}[f_\phi] = E_{q_\phi}[(f_\phi(z) - b)\, \nabla_\phi \log q_\phi(z|x)],
        \quad f_\phi(z) = \log p(x|z) + \log p(z) - \log q_\phi(z|x)

    Williams 1992, https://doi.org/10.1007/BF00992696. The baseline b of a draw is the mean of f over the other draws of
    its image, which leaves the gradient without bias: Kool et al. 2019, https://openreview.net/forum?id=r1lgTGL5DE.

    Args:
        **kwargs: Arguments of `BernoulliVAE`, but for the posterior and `closed_form_kl`; k is at least 2.

    Raises:
        ZooError: k is 1, which leaves no other draw.
    """

    default_k = 5

    def __init__(self, **kwargs: object) -> None:
        super().__init__(posterior=DetachedGaussian, closed_form_kl=False, **kwargs)
        if self.k < 2:
            raise ZooError(f"k is {self.k}, where at least 2 draws were expected: each is compared with the others.")

    def objective(self, draw: Draw) -> Tensor:
        """The ELBO, (B,), with the gradient of the score function."""
        f = draw.log_w.detach()  # (k, B)
        others = (f.sum(0) - f) / (len(f) - 1)
        score = ((f - others) * draw.q.log_prob(draw.z)).mean(0)
        # f itself depends on the encoder by -log q(z|x), whose gradient is 0 in expectation: it is left out
        value = (draw.log_px + draw.p.log_prob(draw.z)).mean(0)
        return elbo_mc(draw).detach() + (value + score) - (value + score).detach()
