"""The latent dimensions one by one: their KL terms, and the log-likelihood without some of them."""

from collections.abc import Iterator

from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from zoo.drawing import DrawingModel
from zoo.errors import ZooError
from zoo.estimators import evaluating, streamed_logmeanexp


def factors(q: Distribution) -> Distribution | None:
    """The factors of a distribution over (D,) whose dimensions are independent, batch (..., D); None of another.

    Example:
        >>> import torch
        >>> from zoo.distributions import diagonal_normal
        >>> factors(diagonal_normal(torch.zeros(7, 3), torch.ones(7, 3))).batch_shape
        torch.Size([7, 3])
    """
    if isinstance(q, Independent) and q.reinterpreted_batch_ndims == 1 and not q.base_dist.event_shape:
        return q.base_dist
    return None


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    r""":math:`\mathrm{KL}(q(z_u|x) \,\|\, p(z_u))` of each dimension u in closed form, (B, D), in nats.

    Args:
        q: The posterior :math:`q(z|x)`: batch (B,), event (D,).
        p: The prior :math:`p(z)`: batch (), event (D,).

    Returns:
        The KL terms; None where q or p does not factorise over dimensions, or its factors have no closed form.

    Example:
        >>> import torch
        >>> from zoo.distributions import diagonal_normal
        >>> p = diagonal_normal(torch.zeros(2), torch.ones(2))
        >>> kl_per_dimension(diagonal_normal(torch.tensor([[3.0, 0.0]]), torch.ones(1, 2)), p)
        tensor([[4.5000, 0.0000]])
    """
    q_factors, p_factors = factors(q), factors(p)
    if q_factors is None or p_factors is None:
        return None
    try:
        return kl_divergence(q_factors, p_factors)
    except NotImplementedError:
        return None


def cut_log_likelihood(model: DrawingModel, x: Tensor, k: int, kept: Tensor) -> Tensor:
    r"""The k-draw log-likelihood without the units that are not kept, (B,), in nats and float64.

    .. math:: \log \frac{1}{k} \sum_i p(x|z_i) \prod_{u\, \mathrm{kept}} \frac{p(z_{iu})}{q(z_{iu}|x)},
        \qquad z_{iu} = 0 \text{ where } u \text{ is not kept}

    Where the other units say nothing about x, it is that of the whole model: Burda, Grosse and Salakhutdinov 2015,
    https://arxiv.org/abs/1509.00519, lost less than 0.06 nats. Its noise is that of `log_likelihood`, so with all units
    kept it is the same number.

    Args:
        model: A model whose posterior and prior factorise over dimensions.
        x: A batch, (B, *x_shape).
        k: The number of draws.
        kept: Which units are kept, (D,).

    Raises:
        ZooError: The posterior or the prior does not factorise.

    Example:
        >>> import torch, zoo
        >>> model, x = zoo.BernoulliVAE(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> cut_log_likelihood(model, x, 10, torch.tensor([True, False, True])).shape
        torch.Size([7])
    """
    with evaluating(model):
        return streamed_logmeanexp(_weigh_cut(model, x, k, kept))


def _weigh_cut(model: DrawingModel, x: Tensor, k: int, kept: Tensor) -> Iterator[Tensor]:
    """Log-weights of k draws in chunks, (chunk, B)."""
    p_factors = factors(model.prior(model.encode))
    for q, z in model.evaluation_codes(x, k):
        q_factors = factors(q)
        if q_factors is None or p_factors is None:
            raise ZooError(
                "the posterior or the prior does not factorise over its units: none can be left out of its density."
            )
        log_ratio = (p_factors.log_prob(z) - q_factors.log_prob(z))[..., kept].sum(-1)
        yield model.log_px(x, z * kept) + log_ratio
