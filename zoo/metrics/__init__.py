"""Metrics: sums, counts and rows in float64, so that every example counts once on any number of ranks."""

from zoo.metrics.bottom_k import BottomK
from zoo.metrics.examples import ExampleMeans, Examples
from zoo.metrics.histogram import Binned, Histogram
from zoo.metrics.moments import Moments, Summary

__all__ = ["Binned", "BottomK", "ExampleMeans", "Examples", "Histogram", "Moments", "Summary"]
