"""Estimates of log p(x), and how they are bounded on data that a model has made."""

from zoo.estimators.ais import AnnealedImportanceSampling
from zoo.estimators.annealing import sigmoidal_schedule
from zoo.estimators.bidirectional import bidirectional_monte_carlo
from zoo.estimators.simulation import Bounds, Simulated, simulate, standard_error
from zoo.estimators.streaming import bits_per_dimension, draws_at_once, evaluating, in_mode, streamed_logmeanexp
from zoo.estimators.upper_bound import simulated_bounds
from zoo.estimators.weights import AnnealedWeights

__all__ = [
    "AnnealedImportanceSampling",
    "AnnealedWeights",
    "Bounds",
    "Simulated",
    "bidirectional_monte_carlo",
    "bits_per_dimension",
    "draws_at_once",
    "evaluating",
    "in_mode",
    "sigmoidal_schedule",
    "simulate",
    "simulated_bounds",
    "standard_error",
    "streamed_logmeanexp",
]
