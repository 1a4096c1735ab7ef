"""A fresh encoder for a decoder that stays as it is."""

from zoo.refitting.models import Refit, RefitIWAE, RefitVAE, Trained
from zoo.refitting.proposal import RefittedEncoder
from zoo.refitting.training import refit_encoder

__all__ = ["Refit", "RefitIWAE", "RefitVAE", "RefittedEncoder", "Trained", "refit_encoder"]
