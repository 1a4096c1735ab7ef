"""Where the KL term goes: what z tells about x, and how far all posteriors together are from the prior."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from zoo.distributions import GaussianMixture, diagonal_normal
from zoo.errors import ZooError
from zoo.estimators import draws_at_once
from zoo.measures.units import factors


class Information(NamedTuple):
    """The two parts of a KL term and the ceiling of the first, log N, in nats: each ()."""

    mutual_information: Tensor
    aggregate_kl: Tensor
    ceiling: Tensor


class MutualInformation(Metric):
    r"""The split of the KL term over N examples into mutual information and aggregate KL.

    .. math:: \frac{1}{N} \sum_i \mathrm{KL}(q(z|x_i) \,\|\, p(z)) = I(x; z) + \mathrm{KL}(q(z) \,\|\, p(z)),
        \qquad q(z) = \frac{1}{N} \sum_j q(z|x_j)
    .. math:: I(x; z) = \frac{1}{N} \sum_i E_{q(z|x_i)} \left[ \log \frac{q(z|x_i)}{q(z)} \right] \le \log N

    Hoffman and Johnson 2016, http://approximateinference.org/accepted/HoffmanJohnson2016.pdf. I is estimated with one
    draw of each example; the aggregate KL is what it leaves of the KL term. It is the information about which of the N
    examples x is, and no draw can show more than log N: near that ceiling it says only that z tells them all apart.

    As input to ``update``: posteriors of a batch, a draw of each and their KL terms. As output of ``compute``: an
    `Information`. Only the draws, (N, D), are gathered over ranks; each rank weighs them with the posteriors it holds.

    Args:
        n: How many examples to take; those that come later are left out.

    Example:
        >>> metric = MutualInformation(2)
        >>> means = torch.tensor([[-50.0], [50.0]])  # two posteriors far apart: one bit of information
        >>> metric.update(diagonal_normal(means, torch.ones(2, 1)), means, torch.full((2,), 1250.0))
        >>> metric.compute().mutual_information
        tensor(0.6931, dtype=torch.float64)
    """

    full_state_update = False
    codes: list[Tensor]
    sums: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        self._posteriors: list[tuple[Distribution, int]] = []
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("sums", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, q: Distribution, z: Tensor, kl: Tensor) -> None:
        """Takes in a batch, while there is room.

        Args:
            q: The posteriors: batch (B,), event (D,).
            z: One draw of each, (B, D).
            kl: Their KL terms, (B,).
        """
        n = min(self.n - sum(map(len, self.codes)), len(z))
        if n or not self.codes:  # a rank that holds none still says how wide a code is
            q, z = _in_double(q, z.detach())
            self.codes.append(z[:n])
            self.sums = self.sums + torch.stack([q.log_prob(z)[:n].double().sum(), kl[:n].double().sum()]).detach()
            self._posteriors.append((q, n))

    def compute(self) -> Information:
        """Returns the two parts and the ceiling."""
        codes = dim_zero_cat(self.codes)  # (N, D)
        total = torch.stack([_log_sum(q, n, codes) for q, n in self._posteriors]).logsumexp(0)  # (N,)
        if self._is_synced:  # the codes are those of all ranks, and the posteriors not
            total = torch.stack(gather_all_tensors(total)).logsumexp(0)
        ceiling = total.new_tensor(math.log(len(codes)))
        log_q, kl = self.sums / len(codes)
        mutual_information = log_q - (total.mean() - ceiling)
        return Information(mutual_information, kl - mutual_information, ceiling)

    def reset(self) -> None:
        """Begins anew."""
        super().reset()
        self._posteriors = []

    def merge_state(self, incoming_state: "dict[str, Any] | Metric") -> None:
        """Takes in what another one holds.

        Raises:
            ZooError: It is a dictionary of states, in which no posteriors are.
        """
        if not isinstance(incoming_state, MutualInformation):
            raise ZooError("the mutual information needs the posteriors as well: merge a MutualInformation.")
        super().merge_state(incoming_state)
        self._posteriors = incoming_state._posteriors + self._posteriors


def _in_double(q: Distribution, z: Tensor) -> tuple[Distribution, Tensor]:
    """A diagonal Gaussian and its draw in float64, so that the information of far posteriors is log N to the digit."""
    if isinstance(factors(q), Normal):
        return diagonal_normal(q.mean.detach().double(), q.stddev.detach().double()), z.double()
    return q, z


def _log_sum(q: Distribution, n: int, z: Tensor) -> Tensor:
    r""":math:`\log \sum_j q(z_i|x_j)` over the first n of a batch of posteriors, (N,), at all codes (N, D)."""
    if not n:
        return z.new_full((len(z),), -math.inf, dtype=torch.float64)
    if isinstance(factors(q), Normal):  # as a matrix product
        mixture = GaussianMixture(q.mean.new_zeros(n), q.mean[:n], q.stddev[:n])
        return mixture.log_prob(z) + math.log(n)
    rows = draws_at_once(q.batch_shape.numel() * z.shape[-1])
    return torch.cat([q.log_prob(part[:, None])[:, :n].double().logsumexp(1) for part in z.split(rows)])
