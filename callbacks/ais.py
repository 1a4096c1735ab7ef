"""log p(x) by annealed importance sampling, which needs no encoder."""

import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
from torch import Tensor
from torchmetrics import Metric

from callbacks.log_likelihood import QUANTILES, owned
from callbacks.monitor import Monitor, Stage
from callbacks.samples import check_share
from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.estimators import AnnealedImportanceSampling, standard_error
from zoo.metrics import BottomK, Examples
from zoo.noise import fingerprint
from zoo.progress import shows_progress
from zoo.proposals import Proposal

LARGEST_ERROR, LEAST_ACCEPTANCE = 0.5, 0.4
"""What an image is in doubt beyond: the error that its chains leave in nats, the share of trajectories taken."""

COLUMNS = ("log_likelihood", "error", "ess", "acceptance")
"""What is gathered of each image."""

DOUBTFUL = (
    "note: AIS{whose} is not to be trusted for {doubtful} of {n} images: their chains leave errors above {error} nat, "
    "or one chain alone says none, or fewer than {acceptance:.0%} of the trajectories were taken. Take more "
    "temperatures, or more chains."
)


class AIS(Monitor):
    """log p(x) by annealed importance sampling, as a mean over a sample of the split, in nats, and its error.

    What it estimates is the decoder and the prior alone, however far q(z|x) is from the posterior: see
    `zoo.estimators.AnnealedImportanceSampling`. It costs n_temperatures × n_chains × n_leapfrog passes through the
    decoder and back for each image, and a tenth more to tune the steps (as much again up to 100 temperatures), so it is
    not among the callbacks of every run.

    Where the chains start at a proposal, all names say so, as `ais_log_likelihood_amortised_proposal`. A test ends with
    a sentence where the spread of the chains, or how seldom they moved, says that the estimate is not to be trusted.

    Args:
        n_temperatures: The number of steps from the start to the posterior.
        n_chains: The number of chains of each image.
        n_leapfrog: The number of leapfrog steps at a temperature.
        proposal: What the chains start from, as `Amortised`; by default the prior.
        n_images: How many images, those of the smallest hashes; None for all.
        file: Where finished images are kept: a run that was stopped goes on from there. On several ranks each keeps its
            own, its number behind the name.
        batch_size: How many images are taken at once; by default what their sizes suggest.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.

    Raises:
        ZooError: A count is below 1, there are fewer images than ranks, or the file is that of another run.
    """

    units: ClassVar = {"ais_log_likelihood": "nats", "ais_ess": "chains", "ais_acceptance": "share"}

    def __init__(
        self,
        n_temperatures: int = 1000,
        n_chains: int = 16,
        n_leapfrog: int = 10,
        proposal: Proposal | None = None,
        n_images: int | None = 100,
        file: str | None = None,
        batch_size: int | None = None,
        stages: Sequence[Stage] = ("test",),
        every_n_epochs: int | None = 1,
    ) -> None:
        super().__init__(stages, every_n_epochs)
        check_file(file, self.stages)
        counts = {"n_images": n_images, "batch_size": batch_size}
        check_counts(**{name: count for name, count in counts.items() if count is not None})
        self.estimator = AnnealedImportanceSampling(n_temperatures, n_chains, n_leapfrog, proposal)
        self.n_images, self.file, self.batch_size = n_images, file, batch_size

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Refuses a sample that leaves a rank without an image."""
        super().setup(trainer, pl_module, stage)
        check_share(self.n_images, trainer)
        if self.estimator.proposal is not None:
            self.estimator.proposal.check(pl_module)

    def metrics(self, model: Any) -> list[Metric]:
        """The images, and what is known of each."""
        self._sample, self._examples = BottomK(self.n_images or sys.maxsize), Examples()
        return [self._sample, self._examples]

    def update(self, model: Any, draw: Draw, x: Tensor) -> None:
        """Keeps the images of the smallest hashes."""
        self._sample.update(fingerprint(x), x)

    def compute(self, model: Any) -> dict[str, Tensor]:
        """Anneals this rank's share of the images, and joins what all ranks found."""
        if self.estimator.proposal is not None:
            self.estimator.proposal.fit(model, self.data)
        x = self._sample.compute()
        check_share(len(x), model.trainer)  # the same on all ranks
        x = x[self._rank :: self._ranks]
        found = self.estimator(model, x, **options(model.trainer, self.file, self.batch_size))
        self._examples.update({name: getattr(found, name) for name in COLUMNS})
        each = {name: column.reshape(-1) for name, column in self._examples.compute().items()}  # (N,), also for one
        whose = self.names(model)
        self.note = _doubts(each, whose)
        values = {
            "ais_log_likelihood": each["log_likelihood"].mean(),
            "ais_log_likelihood/se": standard_error(each["log_likelihood"]),
            "ais_log_likelihood/mc_error": each["error"].mean(),
            "ais_acceptance": each["acceptance"].mean(),
        }
        values |= {f"ais_ess/{word}": each["ess"].quantile(level) for word, level in QUANTILES.items()}
        return {owned(name, whose): value for name, value in values.items()}

    def names(self, model: Any) -> str:
        """What the chains start from, in one word, which all names carry; none for the prior."""
        return "" if self.estimator.proposal is None else self.estimator.proposal.name


def check_file(file: str | None, stages: Sequence[Stage]) -> None:
    """Refuses a file that two splits, or two epochs, would want for numbers of their own.

    Raises:
        ZooError: There is a file, and it is not a test alone that is watched.
    """
    if file is not None and tuple(stages) != ("test",):
        raise ZooError("a file keeps the numbers of one test: leave it out, or give stages=['test'].")


def options(trainer: Any, file: str | None, batch_size: int | None) -> dict[str, Any]:
    """How a long estimate is run on this rank: with a file of its own, and a bar on the first where bars are shown."""
    if file is not None and trainer.world_size > 1:
        file = f"{file}.{trainer.global_rank}"
    return {"file": file, "batch_size": batch_size, "progress": shows_progress(trainer)}


def _doubts(each: dict[str, Tensor], whose: str) -> str:
    """What is to be said of the images, from the columns of them (N,); nothing where all is well."""
    doubtful = ~(each["error"] <= LARGEST_ERROR) | ~(each["acceptance"] >= LEAST_ACCEPTANCE)
    if not doubtful.any():
        return ""
    return DOUBTFUL.format(
        whose=f" of the {whose} proposal" if whose else "",
        doubtful=int(doubtful.sum()),
        n=len(doubtful),
        error=LARGEST_ERROR,
        acceptance=LEAST_ACCEPTANCE,
    )
