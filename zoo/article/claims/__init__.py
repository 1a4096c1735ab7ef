"""The claims of the article, one a module."""

from zoo.article.claims.importance_weighting import ImportanceWeighting
from zoo.article.claims.mean_as_sample import MeanAsSample
from zoo.article.claims.one_draw import OneDraw
from zoo.article.claims.one_draw_kl import OneDrawKL
from zoo.article.claims.posterior_variance import PosteriorVariance
from zoo.article.claims.prior_sampling import PriorSamplingFails
from zoo.article.claims.reparameterisation import Reparameterisation

CLAIMS = (
    OneDrawKL,
    PriorSamplingFails,
    PosteriorVariance,
    OneDraw,
    ImportanceWeighting,
    Reparameterisation,
    MeanAsSample,
)
"""In the order of the article."""
