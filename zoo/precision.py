"""Numbers that 16 bits cannot hold."""

import torch

from zoo.errors import ZooError


def refuse_16_bits(part: object, dtype: torch.dtype) -> None:
    """Refuses a part that a whole model in 16 bits has taken along, and whose numbers it would spoil.

    Raises:
        ZooError: The part is in 16 bits.
    """
    if dtype in (torch.float16, torch.bfloat16):
        raise ZooError(
            f"{type(part).__name__} needs 32 bits and the whole model is in 16: take --trainer.precision=bf16-mixed, "
            "which keeps the weights in 32."
        )
