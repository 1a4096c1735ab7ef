"""Several steps of training at a time: recorded once, compiled where that pays, and unwatched where nobody looks."""

from zoo.bundles.recorder import Recorder, say
from zoo.bundles.watchers import Patient, watchers

__all__ = ["Patient", "Recorder", "say", "watchers"]
