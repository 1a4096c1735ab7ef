"""L_k beside its upper counterpart U_k, for data that the model has made."""

from collections.abc import Iterator
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.estimators.simulation import Bounds, Simulated
from zoo.estimators.streaming import evaluating
from zoo.objectives import logmeanexp
from zoo.proposals import Proposal, Proposing

NUMBERS = 2**24
"""How many weights are held at once."""


class Bounded(Proposing, Protocol):
    """A model, as its bounds see it."""

    def evaluation_codes(
        self, x: Tensor, k: int, chunk: int | None = None, proposal: Proposal | None = None
    ) -> Iterator[tuple[Distribution, Tensor]]:
        """The proposal, made once, beside chunks of k draws of it, (chunk, B, D)."""
        ...


def simulated_bounds(model: Bounded, simulated: Simulated, k: int, proposal: Proposal | None = None) -> Bounds:
    r""":math:`L_k` and :math:`U_k` of simulated data.

    .. math:: L_k = \log \frac{1}{k} \sum_{i=1}^{k} w_i, \qquad
        U_k = \log \frac{1}{k} \Big( w^* + \sum_{i=1}^{k-1} w_i \Big), \qquad E[L_k] \le E[\log p(x)] \le E[U_k]

    The :math:`w_i` are the weights of draws of q(z|x), and :math:`w^*` that of the z which x was made of, a draw of the
    posterior. Both rise or fall towards log p(x) with k, and how far they are apart bounds what :math:`L_k` loses on
    such data: Grosse, Ghahramani and Adams 2015, https://arxiv.org/abs/1511.02543. The draws are those of
    `log_likelihood`.

    Args:
        model: The model that the data were made by.
        simulated: The data, and the codes that they were made of: see `simulate`.
        k: The number of weights.
        proposal: What z is drawn from; by default q(z|x).

    Raises:
        ZooError: k is below 1, or the proposal does not go with q(z|x).

    Example:
        >>> import zoo
        >>> from zoo.estimators import simulate
        >>> model = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3)
        >>> simulated_bounds(model, simulate(model, 7), k=10).gap.shape
        torch.Size([7])
    """
    check_counts(k=k)
    parts = [each.split(max(1, NUMBERS // k)) for each in simulated]
    bounds = [torch.stack(_bounds(model, x, z, k, proposal)) for x, z in zip(*parts, strict=True)]  # each (2, B)
    return Bounds(*torch.cat(bounds, 1))


def _bounds(model: Bounded, x: Tensor, z: Tensor, k: int, proposal: Proposal | None) -> tuple[Tensor, Tensor]:
    """Both of a batch, each (B,)."""
    with evaluating(cast(nn.Module, model)):
        p, parts = model.prior(model.encode), []
        for q, drawn in model.evaluation_codes(x, k, proposal=proposal):
            true = [] if parts else [z[None]]  # beside the first draws
            parts += [Draw(q, p, each, model.log_px(x, each)).log_w.double() for each in (*true, drawn)]
    log_w = torch.cat(parts)  # (1 + k, B)
    return logmeanexp(log_w[1:]), logmeanexp(torch.cat([log_w[:1], log_w[2:]]))
