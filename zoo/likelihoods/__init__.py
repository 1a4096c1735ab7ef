"""Likelihoods: what the decoder's numbers mean as p(x|z), a normalised density with its constants kept."""

from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.bernoulli import Bernoulli, BernoulliPixels
from zoo.likelihoods.categorical import Categorical
from zoo.likelihoods.continuous_bernoulli import ContinuousBernoulli
from zoo.likelihoods.discretised_logistic import DiscretisedLogistic
from zoo.likelihoods.gaussian import Gaussian
from zoo.likelihoods.gaussian_pixels import GaussianPixels
from zoo.likelihoods.learned_variances import ChannelVariance, DecodedVariance, LearnedVariance, PixelVariance
from zoo.likelihoods.optimal_variance import OptimalVariance
from zoo.likelihoods.student_t import StudentT
from zoo.likelihoods.variances import FixedVariance, FreeVariance, Variance

__all__ = [
    "Bernoulli",
    "BernoulliPixels",
    "Categorical",
    "ChannelVariance",
    "ContinuousBernoulli",
    "DecodedVariance",
    "DiscretisedLogistic",
    "FixedVariance",
    "FreeVariance",
    "Gaussian",
    "GaussianPixels",
    "LearnedVariance",
    "Likelihood",
    "OptimalVariance",
    "PixelVariance",
    "StudentT",
    "Variance",
]
