"""Estimates of log p(x)."""

from zoo.estimators.streaming import bits_per_dimension, draws_at_once, evaluating, in_mode, streamed_logmeanexp

__all__ = ["bits_per_dimension", "draws_at_once", "evaluating", "in_mode", "streamed_logmeanexp"]
