"""How far annealed importance sampling may be off, by bidirectional Monte Carlo."""

from collections.abc import Sequence
from typing import Any, ClassVar

from callbacks.ais import check_file, options
from callbacks.monitor import Stage
from callbacks.simulated import OnSimulated
from zoo.estimators import AnnealedImportanceSampling, Bounds, Simulated, bidirectional_monte_carlo
from zoo.proposals import Proposal


class BDMC(OnSimulated):
    """Bounds of log p(x) by annealing there and back, on examples that the model has made, in nats.

    The gap between them bounds the error of `AIS` with the same settings, in expectation and on such examples: see
    `zoo.estimators.bidirectional_monte_carlo`. It costs somewhat under twice as much as `AIS` for each example. A test
    ends with a sentence where the gap is above half a nat.

    Args:
        n_temperatures: The number of steps between the start and the posterior.
        n_chains: The number of chains each way, for each example.
        n_leapfrog: The number of leapfrog steps at a temperature.
        proposal: What the chains start from, as `Amortised`; by default the prior.
        n_images: How many examples are made.
        file: Where finished examples are kept: a run that was stopped goes on from there. On several ranks each keeps
            its own, its number behind the name.
        batch_size: How many examples are taken at once; by default what their sizes suggest.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.

    Raises:
        ZooError: A count is below 1, there are fewer examples than ranks, or the file is that of another run.
    """

    units: ClassVar = {"bdmc": "nats"}
    family = "bdmc"
    DOUBTFUL = (
        "note: BDMC{whose} leaves a gap of {gap:.2f} nats on data that the model has made: AIS with these settings may "
        "be as far from log p(x). Take more temperatures, or more chains."
    )

    def __init__(
        self,
        n_temperatures: int = 1000,
        n_chains: int = 16,
        n_leapfrog: int = 10,
        proposal: Proposal | None = None,
        n_images: int = 100,
        file: str | None = None,
        batch_size: int | None = None,
        stages: Sequence[Stage] = ("test",),
        every_n_epochs: int | None = 1,
    ) -> None:
        super().__init__(n_images, proposal, stages, every_n_epochs)
        self.estimator = AnnealedImportanceSampling(n_temperatures, n_chains, n_leapfrog, proposal)
        check_file(file, self.stages)
        self.file, self.batch_size = file, batch_size

    def bounds(self, model: Any, simulated: Simulated) -> Bounds:
        """Anneals there and back."""
        how = options(model.trainer, self.file, self.batch_size)
        return bidirectional_monte_carlo(model, simulated, self.estimator, **how)

    def names(self, model: Any) -> str:
        """What the chains start from, in one word, which all names carry; none for the prior."""
        return "" if self.proposal is None else self.proposal.name
