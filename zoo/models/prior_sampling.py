"""The prior-sampling baseline."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.base import LatentVariableModel
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.estimators import evaluating
from zoo.networks import MLP
from zoo.objectives import iwae
from zoo.posteriors import DiagonalGaussian


class PriorSampling(LatentVariableModel):
    r"""Maximum likelihood from draws of the prior, without an encoder; the article's (7).

    .. math:: \log \frac{1}{k} \sum_i p(x|z_i), \quad z_i \sim p(z)

    With draws shared by the batch, log p(x|z) for all pairs is a matrix product, so that k may be 100,000.

    Args:
        share_draws: Whether the examples of a batch share their draws, as in the article, or each has its own.
        **kwargs: Arguments of `LatentVariableModel`, but for the encoder.

    Example:
        >>> model = PriorSampling(x_shape=(1, 28, 28), k=1000)
        >>> model.draw(torch.ones(7, 1, 28, 28)).z.shape
        torch.Size([1000, 1, 50])
    """

    default_k = 100
    is_bound = True
    has_encoder = False

    def __init__(self, share_draws: bool = True, **kwargs: Any) -> None:
        # Named here to be no options: there is no encoder.
        super().__init__(encoder=MLP, posterior=DiagonalGaussian, **kwargs)
        if not self.prior.reparameterised:
            raise ZooError(
                f"draws of {type(self.prior).__name__} have no gradient, and PriorSampling trains on draws of its "
                "prior: take StandardNormal."
            )
        self.shared_draws = share_draws

    def objective(self, draw: Draw) -> Tensor:
        """The k-draw estimate of log p(x), (B,)."""
        return iwae(draw)

    def encode(self, x: Tensor) -> Distribution:
        """The prior, whatever x is: batch (1,) where the draws are shared, (B,) where not."""
        return self.prior(self.encode).expand(torch.Size([1 if self.shared_draws else len(x)]))

    def codes(self, x: Tensor) -> Tensor:
        """For each example the one of k draws that explains it best, (B, latent_dim)."""
        with evaluating(self):
            draw = self.evaluation_draw(x)
        z = draw.z.expand(-1, len(x), -1)  # (k, B, D)
        return z[draw.log_px.argmax(0), torch.arange(len(x), device=x.device)]
