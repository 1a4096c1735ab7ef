"""Whether a bar shows how far a long computation within a run is."""

import pytorch_lightning as pl


def shows_progress(trainer: pl.Trainer | None) -> bool:
    """Whether a run shows bars on this rank, which none does outside of one.

    Example:
        >>> shows_progress(None)
        False
    """
    return trainer is not None and trainer.is_global_zero and trainer.progress_bar_callback is not None
