"""A Gaussian that is fitted anew to each image."""

import math

import torch
from torch import Tensor
from torch.distributions import Independent

from zoo.checks import check_counts
from zoo.distributions import diagonal_normal
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.noise import ExampleNoise, fingerprint
from zoo.proposals.base import Proposal, Proposing

SEED = 1
"""The seed of the noise of the fit; that of the estimate is 0."""

ADAM = {"betas": (0.9, 0.95), "eps": 0.1}
"""By its defaults Adam would remember the slopes of a bad start for 1000 steps, and near the top, however small the
slope, make steps as long as the rate. A slope of 0.1 is small here, where z is in units of a standard deviation."""


class Refitted(Proposal):
    r"""For each image the diagonal Gaussian of the greatest ELBO, found by gradient ascent from q(z|x).

    .. math:: \max_{\mu, \sigma} \; E_{r(z)}[\log p(x|z) + \log p(z) - \log r(z)],
        \qquad r(z) = N(z; \mu, \mathrm{diag}\, \sigma^2)

    It takes away what the encoder loses by serving all images with one network, the amortisation gap: Cremer, Li and
    Duvenaud 2018, https://arxiv.org/abs/1801.03558. The ascent begins at the mean and the variance of q(z|x), or of the
    prior where there is no encoder, and goes in units of that standard deviation by Adam, its rate falling to 0. The
    draws of a step come in pairs, mean ± noise, and the gradient takes the path through them alone, so that none moves
    an r that is the posterior: Roeder, Wu and Duvenaud 2017, https://arxiv.org/abs/1703.09194.

    The noise of the fit follows each image, as that of the estimate does, but is another. So r is the same in any batch
    and on any rank, and :math:`L_k` is in expectation a lower bound still. The model and its gradients are not touched.

    Args:
        steps: The number of steps.
        lr: The rate of the first step.
        pairs: The number of pairs of draws of a step.

    Raises:
        ZooError: steps or pairs is below 1, lr is not a positive number, or the ascent diverged.

    Example:
        >>> import zoo
        >>> model, x = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> Refitted(steps=2)(model, x).batch_shape
        torch.Size([7])
    """

    def __init__(self, steps: int = 200, lr: float = 0.1, pairs: int = 4) -> None:
        check_counts(steps=steps, pairs=pairs)
        if not 0 < lr < math.inf:
            raise ZooError(f"lr is {lr}, where a positive number was expected, as 0.1.")
        self.steps, self.lr, self.pairs = steps, lr, pairs

    def __call__(self, model: Proposing, x: Tensor) -> Independent:
        """Fits N(μ, diag σ²) to each image."""
        with torch.inference_mode(False):  # where a test of Lightning runs, and nothing has a gradient
            x, keys = x.clone(), fingerprint(x)
            with torch.no_grad():
                q, p = model.own_proposal(x), model.prior(model.encode)
                start, unit = q.mean, q.variance.sqrt()  # (B, D)
            shift, log_scale = (torch.zeros_like(start).requires_grad_() for _ in range(2))
            adam = torch.optim.Adam([shift, log_scale], self.lr, maximize=True, **ADAM)
            falling = torch.optim.lr_scheduler.PolynomialLR(adam, self.steps)
            for step in range(self.steps):
                noise = self._noise(keys, step, start)
                with torch.enable_grad():
                    mean, std = start + unit * shift, unit * log_scale.exp()
                    z = mean + std * noise  # (2 pairs, B, D)
                    r = diagonal_normal(mean.detach(), std.detach())
                    elbo = Draw(r, p, z, model.log_px(x, z)).log_w.mean(0)  # (B,): no image moves another's
                shift.grad, log_scale.grad = torch.autograd.grad(elbo.sum(), [shift, log_scale])
                adam.step()
                falling.step()
        lost = ~(shift.isfinite() & log_scale.isfinite()).all(1)
        if lost.any():
            raise ZooError(f"the proposal could not be refitted to {lost.sum()} of {len(x)} images: take a smaller lr.")
        return diagonal_normal(start + unit * shift.detach(), unit * log_scale.detach().exp())

    def _noise(self, keys: Tensor, step: int, like: Tensor) -> Tensor:
        """The noise of a step, in pairs of opposite sign, (2 pairs, B, D)."""
        with ExampleNoise(keys, step * self.pairs, SEED):
            half = torch.randn(self.pairs, *like.shape, dtype=like.dtype, device=like.device)
        return torch.cat([half, -half])
