"""Objectives: functions of a Draw, each a formula with its paper. Only here and in the estimators is k reduced."""

import math

from torch import Tensor

from zoo.draw import Draw


def logmeanexp(log_w: Tensor, dim: int = 0) -> Tensor:
    r""":math:`\log \frac{1}{k} \sum_i w_i`, from the logarithms.

    Example:
        >>> import torch
        >>> logmeanexp(torch.tensor([1.0, 3.0]).log())
        tensor(0.6931)
    """
    return log_w.logsumexp(dim) - math.log(log_w.shape[dim])


def elbo(draw: Draw, kl_weight: float = 1.0) -> Tensor:
    r"""The evidence lower bound with the KL term in closed form, (B,); the article's (4) for k = 1.

    .. math:: \frac{1}{k} \sum_i \log p(x|z_i) - \beta\, \mathrm{KL}(q(z|x) \,\|\, p(z))

    Kingma and Welling 2013, estimator B, https://arxiv.org/abs/1312.6114.

    Args:
        draw: k draws of the proposal.
        kl_weight: :math:`\beta`; only at 1 is this a bound.

    Raises:
        NoClosedForm: The KL term has no closed form.
    """
    return draw.log_px.mean(0) - kl_weight * draw.kl


def elbo_mc(draw: Draw, kl_weight: float = 1.0) -> Tensor:
    r"""The evidence lower bound with the KL term from the draws, (B,); the article's (5) for k = 1.

    .. math:: \frac{1}{k} \sum_i \log p(x|z_i) + \beta\, (\log p(z_i) - \log q(z_i|x))

    Kingma and Welling 2013, estimator A, https://arxiv.org/abs/1312.6114.

    Args:
        draw: k draws of the proposal.
        kl_weight: :math:`\beta`; only at 1 is this a bound.
    """
    return (draw.log_px + kl_weight * draw.log_ratio).mean(0)


def iwae(draw: Draw) -> Tensor:
    r"""The importance-weighted bound :math:`L_k`, (B,); the article's (9), and (7) where q is the prior.

    .. math:: \log \frac{1}{k} \sum_i \frac{p(x|z_i)\, p(z_i)}{q(z_i|x)}

    Burda, Grosse and Salakhutdinov 2015, https://arxiv.org/abs/1509.00519. At k = 1 it is `elbo_mc`.

    Args:
        draw: k draws of the proposal.
    """
    return logmeanexp(draw.log_w)
