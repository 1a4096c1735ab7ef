"""Posteriors q(z|x): what the encoder's numbers mean."""

from zoo.posteriors.base import Posterior
from zoo.posteriors.flow import CouplingFlow
from zoo.posteriors.gaussian import DiagonalGaussian, FullGaussian

__all__ = ["CouplingFlow", "DiagonalGaussian", "FullGaussian", "Posterior"]
