"""L_k beside its upper counterpart U_k, for data that the model has made."""

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.estimators.simulation import Bounds, Simulated
from zoo.estimators.streaming import evaluating
from zoo.objectives import logmeanexp
from zoo.proposals import Proposal, Proposing

NUMBERS = 2**24
"""How many weights are held at once."""


class Weighing(Proposing, Protocol):
    """A model, as its bounds see it."""

    def log_weights(self, x: Tensor, k: int, chunk: int | None = None, proposal: Proposal | None = None) -> Tensor:
        """The log-weights of k draws, (k, B)."""
        ...


def simulated_bounds(model: Weighing, simulated: Simulated, k: int, proposal: Proposal | None = None) -> Bounds:
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


def _bounds(model: Weighing, x: Tensor, z: Tensor, k: int, proposal: Proposal | None) -> tuple[Tensor, Tensor]:
    """Both of a batch, each (B,)."""
    log_w = model.log_weights(x, k, proposal=proposal).double()  # (k, B)
    with evaluating(cast(nn.Module, model)):
        q = model.own_proposal(x) if proposal is None else proposal(model, x)
        z = z[None]
        true = Draw(q, model.prior(model.encode), z, model.log_px(x, z)).log_w.double()  # (1, B)
    return logmeanexp(log_w), logmeanexp(torch.cat([true, log_w[1:]]))
