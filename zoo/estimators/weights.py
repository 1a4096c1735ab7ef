"""What annealed importance sampling finds."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.measures.importance import effective_sample_size, relative_error
from zoo.objectives import logmeanexp


@dataclass(frozen=True)
class AnnealedWeights:
    """What annealed importance sampling finds of a batch.

    Args:
        log_w: The log-weight of each of C chains, (C, B), in float64.
        acceptance: The share of trajectories that were taken, (B,): 1 where there was none.
    """

    log_w: Tensor
    acceptance: Tensor

    @property
    def log_likelihood(self) -> Tensor:
        """The estimate of log p(x), in expectation a lower bound: (B,), in nats."""
        return logmeanexp(self.log_w)

    @property
    def error(self) -> Tensor:
        """Its standard error by the spread of the chains, (B,), in nats: see `relative_error`. One alone says none."""
        error = relative_error(self.log_w)
        return error if len(self.log_w) > 1 else error * torch.nan

    @property
    def ess(self) -> Tensor:
        """How many equal chains would have this spread, (B,)."""
        return effective_sample_size(self.log_w)
