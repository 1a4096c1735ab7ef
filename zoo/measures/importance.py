"""How far to trust an estimate of log p(x): functions of log-weights, (k, B) -> (B,), in float64."""

import math

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.objectives import logmeanexp

FEWEST_DRAWS = 25
"""Below so many draws no Pareto k̂ is given: its fit would stand on fewer than five weights."""


def effective_sample_size(log_w: Tensor) -> Tensor:
    r"""How many equal weights would have the spread of these, (B,), from 1 to k.

    .. math:: \frac{(\sum_i w_i)^2}{\sum_i w_i^2}

    Owen 2013, chapter 9, https://artowen.su.domains/mc/. It is blind to a tail that no draw has met, which
    `pareto_khat` looks for.

    Args:
        log_w: The log-weights, (k, B).

    Example:
        >>> effective_sample_size(torch.tensor([1.0, 3.0]).log()[:, None])
        tensor([1.6000], dtype=torch.float64)
    """
    log_w = log_w.double()
    return (2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()


def relative_error(log_w: Tensor) -> Tensor:
    r"""The standard error of the mean weight over that mean, (B,): the Monte-Carlo error of :math:`L_k`, in nats.

    .. math:: \sqrt{1 / \mathrm{ESS} - 1 / k}

    By the delta method: right where it is small, and never above 1, however heavy the tail. Owen 2013, chapter 9,
    https://artowen.su.domains/mc/.

    Args:
        log_w: The log-weights, (k, B).

    Example:
        >>> relative_error(torch.tensor([1.0, 3.0]).log()[:, None])
        tensor([0.3536], dtype=torch.float64)
    """
    return (1 / effective_sample_size(log_w) - 1 / len(log_w)).clamp(min=0).sqrt()  # equal weights round below 0


def jvi1(log_w: Tensor) -> Tensor:
    r"""The jackknife's estimate of log p(x), (B,), in nats: :math:`L_k` less the part of its bias that falls as 1/k.

    .. math:: k L_k - \frac{k - 1}{k} \sum_i L_{k-1}^{(-i)}

    :math:`L_{k-1}^{(-i)}` leaves draw i out. **It is not a bound.** Nowozin 2018, https://openreview.net/forum?id=HyZoi-WRb.

    Args:
        log_w: The log-weights, (k, B), of at least two draws.

    Raises:
        ZooError: There is one draw alone, and none is left without it.

    Example:
        >>> log_w = torch.tensor([1.0, 3.0]).log()[:, None]
        >>> 2 * logmeanexp(log_w) - log_w.mean(0), jvi1(log_w)
        (tensor([0.8370]), tensor([0.8370], dtype=torch.float64))
    """
    k = len(log_w)
    if k < 2:
        raise ZooError(f"the jackknife was given {k} draws, where it leaves one out of at least 2.")
    log_w = log_w.double()
    total, top = log_w.logsumexp(0), log_w.argmax(0, keepdim=True)
    rest = log_w.scatter(0, top, -math.inf).logsumexp(0)  # 1 - p has no digits left where p is nearly 1
    without = torch.log1p(-(log_w - total).exp().scatter(0, top, 0.0)).sum(0) + rest - total  # sum of log(1 - p_i)
    return logmeanexp(log_w) - (k - 1) * (without / k - math.log1p(-1 / k))


def pareto_khat(log_w: Tensor) -> Tensor:
    r"""The shape :math:`\hat k` of the tail of the weights, (B,): they have moments up to about :math:`1 / \hat k`.

    The excesses of the :math:`M = \min(k / 5, 3 \sqrt k)` largest weights over the next are fitted by a generalised
    Pareto distribution, as by Zhang and Stephens 2009, https://doi.org/10.1198/tech.2009.08017, and drawn towards ½ as
    by ten more weights: :math:`(M \hat k + 5) / (M + 10)`. Vehtari, Simpson, Gelman, Yao and Gabry 2024,
    https://jmlr.org/papers/v25/19-556.html, trust a mean of weights where it is below `khat_threshold`.

    Weights that are bounded, or all equal, have a :math:`\hat k` below 0 before it is drawn towards ½.

    Args:
        log_w: The log-weights, (k, B), of at least 25 draws.

    Raises:
        ZooError: There are fewer draws.

    Example:
        >>> u = (torch.arange(2000) + 0.5) / 2000
        >>> pareto_khat(-u.log()[:, None] * torch.tensor([0.3, 1.2]))  # weights u^-κ
        tensor([0.3171, 1.1305], dtype=torch.float64)
    """
    k = len(log_w)
    _check_draws(k)
    m = math.ceil(min(k / 5, 3 * math.sqrt(k)))
    greatest = log_w.amax(0)
    rounding = torch.finfo(log_w.dtype).eps * (1 + greatest.abs().double())
    log_w = (log_w.double() - greatest).clamp(min=-600)  # e^-600 and its inverse are numbers still
    largest = log_w.topk(m + 1, dim=0).values
    tail, cutoff = largest[:-1], largest[-1]  # (M, B), falling, and (B,)
    # An excess is known to the rounding of its weight alone: ties, and weights that are all equal, have one still.
    log_excess = tail + torch.maximum(-torch.expm1(cutoff - tail), rounding).log()
    excess = (log_excess - log_excess[0]).exp()  # the shape is free of scale: the largest is 1
    return (m * _pareto_shape(excess) + 5) / (m + 10)


def khat_threshold(k: int) -> float:
    r"""What :math:`\hat k` must be below for a mean of k weights to be trusted: :math:`\min(1 - 1 / \log_{10} k, 0.7)`.

    Vehtari et al. 2024, https://jmlr.org/papers/v25/19-556.html.

    Args:
        k: The number of draws, at least 25.

    Raises:
        ZooError: There are fewer draws.

    Example:
        >>> khat_threshold(100), khat_threshold(5000)
        (0.5, 0.7)
    """
    _check_draws(k)
    return min(1 - 1 / math.log10(k), 0.7)


def _check_draws(k: int) -> None:
    if k < FEWEST_DRAWS:
        raise ZooError(f"Pareto k̂ was asked for {k} draws, where at least {FEWEST_DRAWS} were expected.")


def _pareto_shape(excess: Tensor) -> Tensor:
    """The shape of generalised Pareto excesses, (M, B), falling from 1: a posterior mean over a grid of θ, (B,).

    The likelihood is maximal over the scale at shape = mean of log(1 - θ x), which leaves θ alone.
    """
    m = len(excess)
    size = 30 + math.isqrt(m)
    step = 1 - (size / (torch.arange(size, dtype=excess.dtype, device=excess.device) + 0.5)).sqrt()
    quartile = excess[m - math.floor(m / 4 + 0.5)]  # (B,)
    theta = 1 + step[:, None] / (3 * quartile)  # (size, B)
    theta = torch.where(theta.abs() < 1e-9, 1e-9, theta)  # an exponential tail is a limit, and no number at 0 itself
    shape = torch.stack([torch.log1p(-each * excess).mean(0) for each in theta])  # one by one: memory as the tail's
    log_likelihood = m * ((-theta / shape).log() - shape - 1)
    theta = (log_likelihood.softmax(0) * theta).sum(0)
    return torch.log1p(-theta * excess).mean(0)
