"""The KL term: its error, its dimensions, and where it goes."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Details, Monitor, Stage
from callbacks.protocols import Weighs
from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.errors import NoClosedForm
from zoo.measures.information import MutualInformation
from zoo.measures.units import kl_per_dimension
from zoo.metrics import Moments

NEAR_CEILING = 0.1
"""How many nats below its ceiling the mutual information says no more than the ceiling does."""

SATURATED = (
    "note: the mutual information stands at its ceiling, log {n} for its {n} examples: z tells them all apart, and "
    "more than that they cannot show. With more (--kl_term.n_reference) it may rise, and the aggregate KL fall."
)


class KLTerm(Monitor):
    r"""The KL term over a split: its standard error, its one-draw estimate, and its split in two, in nats.

    .. math:: \mathrm{KL}(q(z|x) \,\|\, p(z)) = I(x; z) + \mathrm{KL}(q(z) \,\|\, p(z)) \quad \text{in the mean over } x

    The model itself logs the mean, `kl` (or `kl_mc`). Where it has a closed form, the estimate of single draws of z,
    :math:`\log q(z|x) - \log p(z)`, stands beside it with its variance over draws at a given x. `metrics.json` gets the
    KL term of each dimension, where posterior and prior factorise, in the order of the dimensions and sorted.

    Mutual information and aggregate KL are those of the first examples of the split: see
    `zoo.measures.information.MutualInformation`. The first cannot exceed the logarithm of their number, logged as
    `mutual_information/ceiling`. A model without an encoder has none of this.

    Args:
        n_reference: How many examples the mutual information is about, the first of the split.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.

    Raises:
        ZooError: n_reference is below 1.
    """

    units: ClassVar = {
        "kl": "nats",
        "kl/one_draw_variance": "nats^2",
        "mutual_information": "nats",
        "aggregate_kl": "nats",
    }

    def __init__(
        self, n_reference: int = 500, stages: Sequence[Stage] = ("val", "test"), every_n_epochs: int | None = 1
    ) -> None:
        super().__init__(stages, every_n_epochs)
        check_counts(n_reference=n_reference)
        self.n_reference = n_reference

    def metrics(self, model: Weighs) -> list[Metric]:
        """The moments of the KL term, of its estimate and of its dimensions, and the information."""
        self._term, self._dimensions = Moments(3), Moments(model.latent_dim)
        self._information = MutualInformation(self.own_share(self.n_reference))
        return [self._term, self._dimensions, self._information] if model.has_encoder else []

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Takes the KL term of a batch from its draw."""
        one_draw = -draw.log_ratio  # (k, B)
        try:
            kl, self._closed = draw.kl, True
        except NoClosedForm:
            kl, self._closed = one_draw.mean(0), False
        self._term.update(torch.stack([kl, one_draw.mean(0), (one_draw - kl).square().mean(0)], 1))
        parts = kl_per_dimension(draw.q, draw.p)
        self._factorises = parts is not None
        if parts is not None:
            self._dimensions.update(parts)
        self._information.update(draw.q, draw.z[0], kl)

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """The error of the KL term, its one-draw estimate, and its two parts."""
        term, information = self._term.compute(), self._information.compute()
        if information.mutual_information > information.ceiling - NEAR_CEILING:
            self.note = SATURATED.format(n=round(information.ceiling.exp().item()))
        values = {
            "mutual_information": information.mutual_information,
            "mutual_information/ceiling": information.ceiling,
            "aggregate_kl": information.aggregate_kl,
        }
        if not self._closed:
            return {"kl_mc/se": term.standard_error[0]} | values
        one_draw = {"kl/one_draw": term.mean[1], "kl/one_draw_variance": term.mean[2]}
        return {"kl/se": term.standard_error[0]} | one_draw | values

    def details(self, model: Weighs) -> Details:
        """The KL term of each dimension, and these from the greatest to the smallest."""
        if not self._factorises:
            return {}
        kl = self._dimensions.compute().by_dimension().mean
        return {"kl_per_dimension": kl.tolist(), "kl_spectrum": kl.sort(descending=True).values.tolist()}
