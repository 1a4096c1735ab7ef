"""What is bounded from below and above on data that the model has made."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
from torch import Tensor
from torchmetrics import Metric

from callbacks.log_likelihood import owned
from callbacks.monitor import Monitor, Stage
from callbacks.samples import check_share
from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.estimators import Bounds, Simulated, simulate
from zoo.metrics import Examples
from zoo.proposals import Proposal, check_proposal

LARGEST_GAP = 0.5
"""The gap in nats above which a test ends with a sentence."""


class OnSimulated(Monitor):
    """Bounds log p(x) of examples that the model itself makes, which the split has no part in.

    A leaf makes the `bounds`, and says in `family` how their names begin and in `DOUBTFUL` what a large gap means.

    Args:
        n_images: How many examples are made.
        proposal: What z is drawn from, or where chains start.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.
    """

    DOUBTFUL: ClassVar[str]

    def __init__(
        self, n_images: int, proposal: Proposal | None, stages: Sequence[Stage], every_n_epochs: int | None
    ) -> None:
        super().__init__(stages, every_n_epochs)
        check_counts(n_images=n_images)
        check_proposal(proposal)
        self.n_images, self.proposal = n_images, proposal

    @abstractmethod
    def bounds(self, model: Any, simulated: Simulated) -> Bounds:
        """The bounds of examples that the model has made."""

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Refuses a sample that leaves a rank without an example."""
        super().setup(trainer, pl_module, stage)
        check_share(self.n_images, trainer)
        if self.proposal is not None:
            self.proposal.check(pl_module)

    def metrics(self, model: Any) -> list[Metric]:
        """What is known of each example."""
        self._examples = Examples()
        return [self._examples]

    def update(self, model: Any, draw: Draw, x: Tensor) -> None:
        """Takes in nothing of the split."""

    def compute(self, model: Any) -> dict[str, Tensor]:
        """Bounds this rank's share of the examples, and joins what all ranks found."""
        if self.proposal is not None:
            self.proposal.fit(model, self.data)
        share = (each[self._rank :: self._ranks] for each in simulate(model, self.n_images))
        bounds = self.bounds(model, Simulated(*share))
        self._examples.update({"lower": bounds.lower, "upper": bounds.upper})
        each = self._examples.compute()
        summary = Bounds(each["lower"].reshape(-1), each["upper"].reshape(-1)).summary()  # (N,), also for one
        whose = self.names(model)
        if not summary["gap"] <= LARGEST_GAP:
            of = f" of the {whose} proposal" if whose else ""
            self.note = self.DOUBTFUL.format(gap=summary["gap"], whose=of)
        return {owned(f"{self.family}/{name}", whose): value for name, value in summary.items()}
