"""Likelihoods: what the decoder's numbers mean as p(x|z), a normalised density with its constants kept."""

from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.bernoulli import Bernoulli, BernoulliPixels
from zoo.likelihoods.gaussian import Gaussian, GaussianPixels
from zoo.likelihoods.variances import FixedVariance, LearnedVariance, Variance

__all__ = [
    "Bernoulli",
    "BernoulliPixels",
    "FixedVariance",
    "Gaussian",
    "GaussianPixels",
    "LearnedVariance",
    "Likelihood",
    "Variance",
]
