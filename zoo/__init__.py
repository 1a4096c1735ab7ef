"""A modular zoo of variational autoencoders: models, and the mathematics they are made of."""

from zoo.base import LatentVariableModel
from zoo.checkpoints import load
from zoo.draw import Draw
from zoo.likelihoods import Bernoulli, FixedVariance, Gaussian, LearnedVariance, Likelihood, Variance
from zoo.models import IWAE, VAE, BernoulliVAE, GaussianVAE, PriorSampling
from zoo.networks import MLP, Network
from zoo.objectives import elbo, elbo_mc, iwae, logmeanexp
from zoo.optimizers import BurdaSchedule, FusedAdam
from zoo.priors import Prior, StandardNormal

__version__ = "0.1.0"

__all__ = [
    "IWAE",
    "MLP",
    "VAE",
    "Bernoulli",
    "BernoulliVAE",
    "BurdaSchedule",
    "Draw",
    "FixedVariance",
    "FusedAdam",
    "Gaussian",
    "GaussianVAE",
    "LatentVariableModel",
    "LearnedVariance",
    "Likelihood",
    "Network",
    "Prior",
    "PriorSampling",
    "StandardNormal",
    "Variance",
    "elbo",
    "elbo_mc",
    "iwae",
    "load",
    "logmeanexp",
]
