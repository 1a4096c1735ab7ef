"""The k-sample log-likelihood, the number that models are compared by."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Monitor, Stage
from callbacks.protocols import NamesPixels, Weighs
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.estimators import bits_per_dimension
from zoo.metrics import Moments


class LogLikelihood(Monitor):
    r"""L_k, the k-draw lower bound of log p(x), as a mean over the split with its standard error, in nats.

    .. math:: \log \frac{1}{k} \sum_i \frac{p(x|z_i)\, p(z_i)}{q(z_i|x)}

    The same weights give the same number whatever the batch size and the number of ranks. A model without an
    encoder draws from its prior; its number is named `log_likelihood_prior_proposal`, since it is far below
    log p(x) and must not be compared with the others.

    Where they are defined, for a probability of pixels or a density of dequantised ones, it gives bits per dimension.

    Args:
        k: The number of draws.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often.

    Raises:
        ZooError: k is below 1.
    """

    def __init__(self, k: int = 1000, stages: Sequence[Stage] = ("test",), every_n_epochs: int = 1) -> None:
        super().__init__(stages, every_n_epochs)
        if k < 1:
            raise ZooError(f"k is {k}, where at least one draw was expected.")
        self.k = k

    def metrics(self, model: Weighs) -> list[Metric]:
        """The moments of the estimate over the split."""
        self._moments = Moments(1)
        return [self._moments]

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Draws k times for each example."""
        self._moments.update(model.log_likelihood(x, self.k)[:, None])

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """The mean and its standard error, and the mean as bits per dimension."""
        name = "log_likelihood" if model.has_encoder else "log_likelihood_prior_proposal"
        summary = self._moments.compute()
        values = {f"{name}/{self.k}": summary.mean, f"{name}/se": summary.standard_error}
        levels = _levels(model, self.data)
        if levels is not None:
            bits = bits_per_dimension(summary.mean, math.prod(model.x_shape), levels)
            values[name.replace("log_likelihood", "bits_per_dimension") + f"/{self.k}"] = bits
        return values


def _levels(model: Weighs, data: Any) -> int | None:
    """The levels that p(x|z) is a density over: 1 where it is a probability, None where x is no image of 8 bits."""
    if not isinstance(data, NamesPixels) or data.pixels_binary:
        return None
    return data.pixels_levels if model.levels is None else 1
