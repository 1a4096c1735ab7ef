"""What must hold of loaded data before anything is trained on them."""

import torch

from datamodules.errors import DataError
from datamodules.pixels import Pixels
from datamodules.records import Images, Splits


def check_count(name: str, value: int, least: int = 1) -> None:
    """Refuses a number that is not an integer of at least `least`."""
    if not isinstance(value, int) or value < least:
        raise DataError(f"{name} is {value!r}; give an integer of at least {least}.")


def check_splits(splits: Splits, x_shape: tuple[int, ...], pixels: Pixels) -> None:
    """Refuses splits that cannot be used.

    Args:
        splits: What a data module loaded.
        x_shape: The shape of one example that the model was built for.
        pixels: What the pixels are to become.

    Raises:
        DataError: With one sentence on the first thing that is wrong.
    """
    for name, part in splits._asdict().items():
        _check_shape(name, part, x_shape)
        _check_values(name, part, pixels)
        _check_labels(name, part)
    for name, part in (("train", splits.train), ("test", splits.test)):
        if part.size == 0:
            raise DataError(f"the {name} split is empty; it needs at least one example, so change the split sizes.")


def _check_shape(name: str, part: Images, x_shape: tuple[int, ...]) -> None:
    if tuple(part.stored.shape[1:]) != tuple(x_shape):
        raise DataError(
            f"the {name} split has shape {(part.size, *part.stored.shape[1:])}; expected"
            f" (N, {', '.join(map(str, x_shape))}), as x_shape of the data module says."
        )


def _check_values(name: str, part: Images, pixels: Pixels) -> None:
    dtype = part.stored.dtype
    if dtype not in (torch.uint8, torch.bool) and not dtype.is_floating_point:
        raise DataError(f"the {name} split has dtype {dtype}; expected uint8 (0..255), bool or floats: convert it.")
    if dtype.is_floating_point and not all(piece.isfinite().all() for piece in part.as_they_lie().pieces()):
        raise DataError(
            f"the {name} split holds NaN or infinite values; every value must be finite: clean or"
            " leave out those examples."
        )
    refusal = pixels.refusal(part)
    if refusal is not None:
        raise DataError(f"the {name} split {refusal}")


def _check_labels(name: str, part: Images) -> None:
    labels = part.labels
    if labels is not None and (labels.dtype != torch.int64 or labels.shape != (part.size,)):
        raise DataError(
            f"the labels of the {name} split are {labels.dtype} of shape {tuple(labels.shape)}; expected one"
            f" int64 for each of its {part.size} examples."
        )
