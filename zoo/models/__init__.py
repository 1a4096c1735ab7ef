"""The zoo's models."""

from zoo.models.bernoulli_vae import BernoulliVAE
from zoo.models.gaussian_vae import GaussianVAE
from zoo.models.iwae import IWAE
from zoo.models.prior_sampling import PriorSampling
from zoo.models.vae import VAE

__all__ = ["IWAE", "VAE", "BernoulliVAE", "GaussianVAE", "PriorSampling"]
