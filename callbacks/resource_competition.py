"""How the draws that a batch shares compete for its images."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Details, Monitor, Stage
from callbacks.protocols import Weighs
from zoo.draw import Draw
from zoo.measures.competition import Contest, compete
from zoo.metrics import Binned, ExampleMeans, Histogram

CLEAR = 1.0
"""By how many nats a winner is ahead of the second that wins clearly."""

AT_ONCE = 2**20
"""How many log-likelihoods are taken in together: between two steps of a model each batch would take thrice as long."""

MOST = 20
"""Of how many draws `metrics.json` has the wins, those with the most."""


class ResourceCompetition(Monitor):
    r"""The competition of draws that a batch shares for its images, over a split.

    .. math:: r_{ib} = \frac{p(x_b|z_i)}{\sum_j p(x_b|z_j)}, \qquad
        \log k - H_b = \log k + \sum_i r_{ib} \log r_{ib} \le \log k

    Means over images are the entropy H of the responsibilities, the information log k - H beside its ceiling log k, the
    greatest responsibility (`top_share`), and the share of images whose winner is more than a nat ahead of the second
    (`clear_winner`). Means over batches, and so others with other batches or ranks, are `winners`, the number of draws
    that win an image over min(k, B), and `top_draw`, the greatest mean responsibility of a draw: see
    `zoo.measures.competition`.

    Evaluation noise gives all batches of a split the same k draws, on any rank, so the split can be taken as one batch:
    `split_winners` is the number of draws that win one of its N images over min(k, N). `metrics.json` gets how many
    images each of the most successful draws wins, and a histogram of the margins of the winners. A model whose examples
    do not share their draws has nothing of this.

    Args:
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.
    """

    units: ClassVar = {
        "competition/entropy": "nats",
        "competition/information": "nats",
        "competition/top_share": "share",
        "competition/clear_winner": "share",
        "competition/winners": "share",
        "competition/top_draw": "share",
        "competition/split_winners": "share",
    }

    def __init__(self, stages: Sequence[Stage] = ("val", "test"), every_n_epochs: int | None = 1) -> None:
        super().__init__(stages, every_n_epochs)

    def metrics(self, model: Weighs) -> list[Metric]:
        """The means over images and over batches, the wins of each draw, and the margins."""
        self._waiting: list[Tensor] = []
        self._images, self._batches = ExampleMeans(), ExampleMeans()
        self._wins = Histogram(1, low=0.0, high=float(model.k), bins=model.k)
        self._margins = Histogram(1, low=0.0, high=40.0, bins=40)
        return [self._images, self._batches, self._wins, self._margins] if model.shared_draws else []

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Takes log p(x|z) of a batch from its draw."""
        self._waiting.append(draw.log_px)
        if len(self._waiting) * draw.log_px.numel() >= AT_ONCE:
            self._take_in()

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """The means, the information and its ceiling, and the winners of the split."""
        self._take_in()
        values = self._images.compute() | self._batches.compute()
        ceiling = torch.full_like(values["entropy"], math.log(model.k))
        values |= {"information": ceiling - values["entropy"], "information/ceiling": ceiling}
        wins = self._wins.compute()
        values["split_winners"] = (wins > 0).sum() / wins.sum().clamp(max=model.k).double()
        return {f"competition/{name}": value for name, value in values.items()}

    def details(self, model: Weighs) -> Details:
        """The wins of the draws that win most, and the histogram of margins."""
        return {
            "competition_wins": self._wins.compute().flatten().sort(descending=True).values[:MOST].tolist(),
            "competition_margins": Binned(self._margins.compute().flatten().tolist(), self._margins.edges.tolist()),
        }

    def _take_in(self) -> None:
        if self._waiting:
            of = Contest(*map(torch.cat, zip(*map(compete, self._waiting), strict=True)))
            self._images.update({"entropy": of.entropy, "top_share": of.top_share, "clear_winner": of.margin > CLEAR})
            self._batches.update({"winners": of.winners, "top_draw": of.top_draw})
            self._wins.update(of.winner[:, None])
            self._margins.update(of.margin[:, None])
            self._waiting = []
