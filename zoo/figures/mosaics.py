"""Images laid out in rows and columns."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from zoo.figures.style import bare

COLUMNS = 10
"""The images of a row, where nothing else says how many."""

CELL = 0.45
"""The width of an image in inches."""


def is_image(x: Tensor) -> bool:
    """Whether a batch holds images, (B, 1 or 3, H, W).

    Example:
        >>> is_image(torch.zeros(2, 1, 28, 28)), is_image(torch.zeros(2, 5))
        (True, False)
    """
    return x.ndim == 4 and x.shape[1] in (1, 3)


def height(images: Tensor) -> float:
    """What rows of images (rows, columns, C, H, W) take of a figure, in inches."""
    return len(images) * CELL * images.shape[-2] / images.shape[-1]


def in_rows(images: Tensor, columns: int = COLUMNS) -> Tensor:
    """Lays images (n, C, H, W) out in rows, (rows, columns, C, H, W), the last one filled up with white.

    Example:
        >>> in_rows(torch.zeros(25, 1, 28, 28)).shape
        torch.Size([3, 10, 1, 28, 28])
    """
    missing = -len(images) % columns
    images = torch.cat([images, images.new_ones(missing, *images.shape[1:])])
    return images.unflatten(0, (-1, columns))


def mosaic(images: Tensor, gap: int = 1) -> np.ndarray:
    """One array (H, W) or (H, W, 3) of images (rows, columns, C, H, W), clipped to [0, 1], with white gaps of pixels.

    Example:
        >>> mosaic(torch.zeros(2, 3, 1, 28, 28), gap=1).shape
        (57, 86)
    """
    images = images.detach().float().cpu().clamp(0, 1)
    framed = torch.nn.functional.pad(images.flatten(0, 1), (0, gap, 0, gap), value=1.0)
    c, h, w = framed.shape[1:]
    rows, columns = images.shape[:2]
    whole = framed.view(rows, columns, c, h, w).permute(0, 3, 1, 4, 2).reshape(rows * h, columns * w, c)
    return whole[: rows * h - gap, : columns * w - gap].squeeze(-1).numpy()


def show(
    axes: Axes, images: Tensor, title: str = "", rows: Sequence[str] = (), columns: Sequence[str] = (), gap: int = 1
) -> None:
    """Draws images (rows, columns, C, H, W), with words at the left of rows and below columns; some may be empty."""
    height, width = images.shape[-2] + gap, images.shape[-1] + gap
    axes.imshow(mosaic(images, gap), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title)
    axes.set_yticks([height * (row + 0.5) for row, words in enumerate(rows) if words], [w for w in rows if w])
    axes.set_xticks(
        [width * (column + 0.5) for column, words in enumerate(columns) if words], [w for w in columns if w]
    )
    bare(axes)


def signed(value: Tensor, form: str) -> str:
    """A number with its sign.

    Example:
        >>> signed(torch.tensor(-0.5), "g")
        '−0.5'
    """
    return format(value.item(), "+" + form).replace("-", "−")
