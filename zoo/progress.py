"""Whether a bar shows how far a long computation within a run is."""

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerStatus


def shows_progress(trainer: pl.Trainer | None) -> bool:
    """Whether a run is under way that shows bars on this rank.

    Args:
        trainer: The trainer of the run, or of one that has ended; None where there was none.

    Example:
        >>> shows_progress(None)
        False
    """
    if trainer is None or trainer.state.status != TrainerStatus.RUNNING:
        return False
    return trainer.is_global_zero and trainer.progress_bar_callback is not None
