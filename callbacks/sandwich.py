"""How far L_k may be off, by its upper counterpart."""

from collections.abc import Sequence
from typing import Any, ClassVar

from callbacks.monitor import Stage
from callbacks.simulated import OnSimulated
from zoo.checks import check_counts
from zoo.estimators import Bounds, Simulated, simulated_bounds
from zoo.proposals import Proposal


class Sandwich(OnSimulated):
    """L_k and its upper counterpart U_k on examples that the model has made, in nats.

    log p(x) lies between them in expectation, so their gap bounds what L_k loses on such examples: see
    `zoo.estimators.simulated_bounds`. It costs as much as L_k. A test ends with a sentence where the gap is above half
    a nat.

    Args:
        k: The number of weights.
        proposal: What z is drawn from; by default q(z|x), or the prior where there is no encoder.
        n_images: How many examples are made.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.

    Raises:
        ZooError: A count is below 1, or there are fewer examples than ranks.
    """

    units: ClassVar = {"sandwich": "nats"}
    DOUBTFUL = (
        "note: L_k and U_k{whose} leave a gap of {gap:.2f} nats on data that the model has made: L_k may be as far "
        "below log p(x). Take more draws, or a proposal that covers the posterior better."
    )

    def __init__(
        self,
        k: int = 1000,
        proposal: Proposal | None = None,
        n_images: int = 100,
        stages: Sequence[Stage] = ("test",),
        every_n_epochs: int | None = 1,
    ) -> None:
        super().__init__(n_images, proposal, stages, every_n_epochs)
        check_counts(k=k)
        self.k, self.family = k, f"sandwich/{k}"

    def bounds(self, model: Any, simulated: Simulated) -> Bounds:
        """Weighs draws, and the codes that the examples were made of."""
        return simulated_bounds(model, simulated, self.k, self.proposal)

    def names(self, model: Any) -> str:
        """What the draws are those of, in one word, which all names carry; none for q(z|x)."""
        own = "" if model.has_encoder else "prior"
        return own if self.proposal is None else self.proposal.name
