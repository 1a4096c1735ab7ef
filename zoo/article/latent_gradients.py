"""The gradients that one draw of z hands to μ and log σ of the encoder, by several estimators."""

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.base import LatentVariableModel
from zoo.estimators import evaluating


class LatentGradients(NamedTuple):
    r"""Gradients of the one-draw ELBO with respect to μ and log σ, each (R, B, 2, D), in nats.

    With :math:`z = \mu + \sigma \epsilon` and :math:`g = \nabla_z \log p(x|z)`:

    Args:
        closed: Pathwise, KL term in closed form: :math:`g - \mu` and :math:`g \sigma \epsilon + 1 - \sigma^2`.
        drawn: Pathwise, KL term of the draw: :math:`g - z` and :math:`(g - z) \sigma \epsilon + 1`.
        score: Of the score function, :math:`f \epsilon / \sigma` and :math:`f (\epsilon^2 - 1)`, where
            :math:`f = \log p(x|z) + \log p(z) - \log q(z|x)`.
        baseline: The same with the mean of f over other draws taken off.
    """

    closed: Tensor
    drawn: Tensor
    score: Tensor
    baseline: Tensor


def latent_gradients(
    model: LatentVariableModel, x: Tensor, draws: int = 100, seed: int = 0, shrink: float = 1.0
) -> LatentGradients:
    r"""Gradients by R draws of q(z|x) of examples (B, \*x_shape), under a standard normal prior.

    Args:
        model: A model with a diagonal Gaussian q(z|x).
        x: The examples.
        draws: How many, R.
        seed: Of the noise, which is the same for all estimators.
        shrink: What σ is multiplied by before the draws are made.

    Example:
        >>> import zoo
        >>> model = zoo.BernoulliVAE(x_shape=(1, 5, 4), latent_dim=3)
        >>> latent_gradients(model, torch.ones(7, 1, 5, 4), draws=10).drawn.shape
        torch.Size([10, 7, 2, 3])
    """
    with evaluating(model):
        q = model.encode(x)
        mean, std = q.mean, shrink * q.stddev
    noise = torch.randn(draws, *mean.shape, generator=torch.Generator().manual_seed(seed), dtype=mean.dtype)
    z = (mean + std * noise).requires_grad_()
    log_px = model.log_px(x, z)  # (R, B)
    (g,) = torch.autograd.grad(log_px.sum(), z)
    z = z.detach()
    f = (log_px.detach() + (0.5 * (noise.square() - z.square()) + std.log()).sum(-1))[..., None]  # (R, B, 1)
    others = (f.sum(0) - f) / (draws - 1)
    return LatentGradients(
        closed=_pair(g - mean, g * std * noise + 1 - std.square()),
        drawn=_pair(g - z, (g - z) * std * noise + 1),
        score=_pair(f * noise / std, f * (noise.square() - 1)),
        baseline=_pair((f - others) * noise / std, (f - others) * (noise.square() - 1)),
    )


def total_variance(gradients: Tensor) -> Tensor:
    """The variance over draws, summed over μ, log σ and dimensions, in the mean over examples: ()."""
    return gradients.double().var(0).sum((-2, -1)).mean()


def _pair(of_mean: Tensor, of_log_std: Tensor) -> Tensor:
    return torch.stack([of_mean, of_log_std], -2)
