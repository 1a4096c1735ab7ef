"""The VAE with a Bernoulli decoder."""

from typing import Any

from zoo.likelihoods import Bernoulli
from zoo.models.vae import VAE


class BernoulliVAE(VAE):
    """The VAE whose decoder is Bernoulli, for binary pixels.

    Args:
        **kwargs: Arguments of `VAE`, but for the likelihood.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(likelihood=Bernoulli, **kwargs)
