"""Binary pixels."""

import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Independent

from zoo.distances import shared
from zoo.errors import ZooError
from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.logits import log_prob


class Bernoulli(Likelihood):
    """p(x|z) = Π π^x (1 - π)^(1 - x), from the logits of π, on binary data.

    Args:
        x_shape: The shape of one example.
    """

    levels = 2

    def forward(self, h: Tensor) -> "BernoulliPixels":
        """Turns logits into p(x|z)."""
        return BernoulliPixels(self.squeeze(h), len(self.x_shape))

    def start_at(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """The logit of the mean, clipped as in Burda et al. 2015 (https://arxiv.org/abs/1509.00519)."""
        return mean.clamp(0.001, 0.999).logit().unsqueeze(0)

    def check(self, x: Tensor) -> None:
        """Refuses data that are not 0 or 1: a density of grey pixels this is not.

        Raises:
            ZooError: x holds other values than 0 and 1.
        """
        super().check(x)
        if ((x != 0) & (x != 1)).any():
            raise ZooError(
                "a Bernoulli likelihood takes pixels that are 0 or 1 and these are grey: make them binary with "
                "--data.pixels Dynamic, Static or Threshold, or take a likelihood for grey pixels, as GaussianVAE does."
            )


class BernoulliPixels(Independent):
    """Independent Bernoulli pixels. Draws shared by a batch cost a matrix product, not a tensor (k, B, pixels)."""

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        super().__init__(TorchBernoulli(logits=logits, validate_args=False), event_dims, validate_args=False)
        self.logits = logits

    def log_prob(self, value: Tensor) -> Tensor:
        r""":math:`x \cdot l - \sum \log(1 + e^l)` with logits l."""
        n = self.reinterpreted_batch_ndims
        x, logits = value.flatten(-n), self.logits.flatten(-n)
        if shared(logits, x):
            with torch.autocast(x.device.type, enabled=False):
                return logits.squeeze(-2) @ x.mT.to(logits.dtype) + log_prob(logits, logits.new_zeros(()))
        return log_prob(logits, x)
