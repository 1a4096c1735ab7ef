"""The VAE with a Gaussian decoder."""

from collections.abc import Callable
from functools import partial
from typing import Any

from zoo.likelihoods import Gaussian, LearnedVariance, Variance
from zoo.models.vae import VAE
from zoo.networks import Shape


class GaussianVAE(VAE):
    """The VAE whose decoder is N(x; μ(z), σ²), for grey pixels and real numbers.

    Args:
        variance: Makes the part that holds σ²: one that is fixed, learned (in all, a channel or a pixel), decoded from
            z, or the optimum of a batch.
        **kwargs: Arguments of `VAE`, but for the likelihood.

    Example:
        >>> from zoo import FixedVariance
        >>> model = GaussianVAE(x_shape=(1, 28, 28), variance=partial(FixedVariance, value=0.01))
    """

    def __init__(self, variance: Callable[[Shape], Variance] = LearnedVariance, **kwargs: Any) -> None:
        super().__init__(likelihood=partial(Gaussian, variance=variance), **kwargs)
