"""Callbacks: monitors of what a model does, pictures, reports, and a stop that loses nothing."""

from callbacks.ais import AIS
from callbacks.bdmc import BDMC
from callbacks.bundles import Bundles
from callbacks.code_quality import CodeQuality
from callbacks.gradient_noise import GradientNoise
from callbacks.keep_last import KeepLast, Stopped
from callbacks.kl_term import KLTerm
from callbacks.log_likelihood import LogLikelihood
from callbacks.monitor import Monitor
from callbacks.pictures import Pictures
from callbacks.posterior_variance import PosteriorVariance
from callbacks.predictions import Predictions
from callbacks.report import Report
from callbacks.resource_competition import ResourceCompetition
from callbacks.sandwich import Sandwich
from callbacks.wandb_run import WandbRun

__all__ = [
    "AIS",
    "BDMC",
    "Bundles",
    "CodeQuality",
    "GradientNoise",
    "KLTerm",
    "KeepLast",
    "LogLikelihood",
    "Monitor",
    "Pictures",
    "PosteriorVariance",
    "Predictions",
    "Report",
    "ResourceCompetition",
    "Sandwich",
    "Stopped",
    "WandbRun",
]
