"""All names of the zoo: `zoo` takes them from here at the first that is asked for, since torch takes seconds."""

from zoo.base import LatentVariableModel
from zoo.checkpoints import load
from zoo.draw import Draw
from zoo.estimators import AnnealedImportanceSampling, bits_per_dimension
from zoo.likelihoods import (
    Bernoulli,
    Categorical,
    ChannelVariance,
    ContinuousBernoulli,
    DecodedVariance,
    DiscretisedLogistic,
    FixedVariance,
    Gaussian,
    LearnedVariance,
    Likelihood,
    OptimalVariance,
    PixelVariance,
    StudentT,
    Variance,
)
from zoo.models import IWAE, VAE, BernoulliVAE, GaussianVAE, PriorSampling
from zoo.networks import MLP, ConvDecoder, ConvEncoder, GatedMLP, Network
from zoo.objectives import elbo, elbo_mc, iwae, logmeanexp
from zoo.optimizers import BurdaSchedule, FusedAdam
from zoo.posteriors import CouplingFlow, DiagonalGaussian, FullGaussian, Posterior
from zoo.priors import MixtureOfGaussians, Prior, StandardNormal, VampPrior
from zoo.proposals import Amortised, Defensive, Proposal, Refitted, Widened
from zoo.refitting import Refit, RefitIWAE, RefittedEncoder, RefitVAE, refit_encoder

__all__ = [
    "IWAE",
    "MLP",
    "VAE",
    "Amortised",
    "AnnealedImportanceSampling",
    "Bernoulli",
    "BernoulliVAE",
    "BurdaSchedule",
    "Categorical",
    "ChannelVariance",
    "ContinuousBernoulli",
    "ConvDecoder",
    "ConvEncoder",
    "CouplingFlow",
    "DecodedVariance",
    "Defensive",
    "DiagonalGaussian",
    "DiscretisedLogistic",
    "Draw",
    "FixedVariance",
    "FullGaussian",
    "FusedAdam",
    "GatedMLP",
    "Gaussian",
    "GaussianVAE",
    "LatentVariableModel",
    "LearnedVariance",
    "Likelihood",
    "MixtureOfGaussians",
    "Network",
    "OptimalVariance",
    "PixelVariance",
    "Posterior",
    "Prior",
    "PriorSampling",
    "Proposal",
    "Refit",
    "RefitIWAE",
    "RefitVAE",
    "Refitted",
    "RefittedEncoder",
    "StandardNormal",
    "StudentT",
    "VampPrior",
    "Variance",
    "Widened",
    "bits_per_dimension",
    "elbo",
    "elbo_mc",
    "iwae",
    "load",
    "logmeanexp",
    "refit_encoder",
]
