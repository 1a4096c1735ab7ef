"""Priors p(z): modules that return a distribution."""

from zoo.priors.base import Encode, Prior
from zoo.priors.mixture_of_gaussians import MixtureOfGaussians
from zoo.priors.standard_normal import StandardNormal
from zoo.priors.vamp_prior import VampPrior

__all__ = ["Encode", "MixtureOfGaussians", "Prior", "StandardNormal", "VampPrior"]
