"""The k-sample log-likelihood, the number that models are compared by, and how far to trust it."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Monitor, Stage
from callbacks.protocols import NamesPixels, Weighs
from callbacks.samples import check_share
from zoo.checks import check_counts, is_counts
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.estimators import bits_per_dimension
from zoo.measures.importance import (
    FEWEST_DRAWS,
    effective_sample_size,
    jvi1,
    khat_threshold,
    pareto_khat,
    relative_error,
)
from zoo.metrics import BottomK, Examples
from zoo.noise import fingerprint
from zoo.objectives import logmeanexp
from zoo.proposals import Proposal, check_proposal

DIAGNOSTICS = ("ess", "khat")
"""What is known of the weights of an image, and logged as quantiles over images."""

QUANTILES = {"q05": 0.05, "median": 0.5, "q95": 0.95}
"""Those quantiles, by their names."""

DOUBTFUL = (
    "note: L_{k}{whose} is not to be trusted for {above} of {n} images, where Pareto k̂ is above {threshold:.2f}: a few "
    "rare draws may make most of it, so take more of them, or a proposal that covers the posterior better."
)


class LogLikelihood(Monitor):
    r"""L_k, the k-draw lower bound of log p(x), as a mean over the split, in nats, and how far to trust it.

    .. math:: \log \frac{1}{k} \sum_i \frac{p(x|z_i)\, p(z_i)}{q(z_i|x)}

    Every k is served by the first k of one set of draws. Those of the largest k give the standard error of the mean
    over images, the Monte-Carlo error of an image, the jackknife's estimate, and the effective sample size and the
    Pareto k̂ of the weights, as quantiles over images: see `zoo.measures.importance`. A test ends with a
    sentence where k̂ says that the estimate is not to be trusted.

    The same model gives the same numbers whatever the batch size and the number of ranks. Where z is not drawn from
    q(z|x), all names say from what: `log_likelihood_widened_proposal`, `ess_widened_proposal` and so on. So do those of
    a model without an encoder, which draws from its prior: `log_likelihood_prior_proposal` is far below log p(x) and
    must not be compared with the others. A proposal that is trained, as `RefittedEncoder`, is so before each split.

    Where they are defined, for a probability of pixels or a density of dequantised ones, it gives bits per dimension.

    Args:
        k: The number of draws, or several.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.
        val_k: In validation, the number of draws, or several; by default as many as in a test.
        n_images: In validation, how many images, those of the smallest hashes; by default all. A test takes all.
        proposal: What z is drawn from; by default q(z|x), or the prior where there is no encoder.

    Raises:
        ZooError: A k or n_images is below 1, no k is given, there are fewer images than ranks, or proposal is none.
    """

    units: ClassVar = {
        "log_likelihood": "nats",
        "jvi1": "nats",
        "ess": "draws",
        "khat": "1",
        "khat/above": "share",
        "bits_per_dimension": "bits",
    }

    def __init__(
        self,
        k: int | Sequence[int] = (1, 10, 100, 1000),
        stages: Sequence[Stage] = ("test",),
        every_n_epochs: int | None = 1,
        val_k: int | Sequence[int] | None = None,
        n_images: int | None = None,
        proposal: Proposal | None = None,
    ) -> None:
        super().__init__(stages, every_n_epochs)
        test_ks = _sorted("k", k)
        self.ks: dict[Stage, tuple[int, ...]] = {
            "val": test_ks if val_k is None else _sorted("val_k", val_k),
            "test": test_ks,
        }
        check_proposal(proposal)
        if n_images is not None:
            check_counts(n_images=n_images)
        self.n_images, self.proposal = n_images, proposal

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Refuses what would be refused at the first validation, after an epoch.

        Raises:
            ZooError: There are two monitors of the same names, or the proposal does not go with the model.
        """
        super().setup(trainer, pl_module, stage)
        if self.proposal is not None:
            self.proposal.check(pl_module)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins anew, perhaps with a sample of the images."""
        self._ks, self._sampling = self.ks["val"], self.n_images is not None
        super().on_validation_epoch_start(trainer, pl_module)
        self._fit_proposal(pl_module)
        if self._metrics:
            check_share(self.n_images, trainer)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins anew, with all images."""
        self._ks, self._sampling = self.ks["test"], False
        super().on_test_epoch_start(trainer, pl_module)
        self._fit_proposal(pl_module)

    def metrics(self, model: Weighs) -> list[Metric]:
        """What is known of each example of the split, and the sample."""
        self._examples, self._sample, self._batch = Examples(), BottomK(self.n_images or 1), 1
        return [self._examples, self._sample]

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Draws as often as the largest k for each example, or keeps it for the sample."""
        if self._sampling:
            self._sample.update(fingerprint(x), x)
            self._batch = max(self._batch, len(x))
        else:
            self._weigh(model, x)

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """Means, quantiles and the standard error over the split, and the mean as bits per dimension."""
        if self._sampling:  # each rank takes its share
            for x in self._sample.compute()[self._rank :: self._ranks].split(self._batch):
                self._weigh(model, x)
        k = self._ks[-1]
        each = {name: column.reshape(-1) for name, column in self._examples.compute().items()}  # (N,), also for one
        whose = self.names(model)
        log_p = each[f"log_likelihood/{k}"]
        error = (log_p.var(correction=0) / (len(log_p) - 1)).sqrt()  # nan for one image
        values = _over_examples(each) | {"log_likelihood/se": error}
        if "khat" in each:
            threshold = khat_threshold(k)
            above = ~(each["khat"] <= threshold)  # also where the weights are no numbers
            values["khat/above"] = above.double().mean()
            if above.any():
                of = f" of the {whose} proposal" if whose else ""
                self.note = DOUBTFUL.format(k=k, whose=of, above=int(above.sum()), n=len(above), threshold=threshold)
        levels = _levels(model, self.data)
        if levels is not None:
            values[f"bits_per_dimension/{k}"] = bits_per_dimension(log_p.mean(), math.prod(model.x_shape), levels)
        return {owned(name, whose): value for name, value in values.items()}

    def _weigh(self, model: Weighs, x: Tensor) -> None:
        self._examples.update(_of_each(model.log_weights(x, self._ks[-1], proposal=self.proposal), self._ks))

    def _fit_proposal(self, model: Weighs) -> None:
        if self._metrics and self.proposal is not None:
            self.proposal.fit(model, self.data)

    def names(self, model: Weighs) -> str:
        """What the draws are those of, in one word, which all names carry; none for q(z|x)."""
        own = "" if model.has_encoder else "prior"
        return own if self.proposal is None else self.proposal.name


def _sorted(name: str, k: int | Sequence[int]) -> tuple[int, ...]:
    """Numbers of draws, each once, the largest last."""
    ks = list(k) if isinstance(k, Sequence) else [k]
    if not is_counts(ks) or not ks:
        raise ZooError(f"{name} is {k!r}, where at least one draw was expected, as 100 or [1, 100].")
    return tuple(sorted(set(ks)))


def _of_each(log_w: Tensor, ks: Sequence[int]) -> dict[str, Tensor]:
    """What is known of each example by its log-weights (k, B): each (B,), and none that so few draws cannot give."""
    values = {f"log_likelihood/{k}": logmeanexp(log_w[:k].double()) for k in ks}
    values |= {"log_likelihood/mc_error": relative_error(log_w), "ess": effective_sample_size(log_w)}
    if len(log_w) > 1:
        values["jvi1"] = jvi1(log_w)
    if len(log_w) >= FEWEST_DRAWS:
        values["khat"] = pareto_khat(log_w)
    return values


def _over_examples(each: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean of each column (N,), or the quantiles where the mean says little."""
    values = {}
    for name, column in each.items():
        if name in DIAGNOSTICS:
            values |= {f"{name}/{word}": column.quantile(level) for word, level in QUANTILES.items()}
        else:
            values[name] = column.mean()
    return values


def owned(name: str, whose: str) -> str:
    """The name of a number, which says whose draws it is made of where they are not those of q(z|x).

    Example:
        >>> owned("ess/median", "widened"), owned("ess/median", "")
        ('ess_widened_proposal/median', 'ess/median')
    """
    family, slash, rest = name.partition("/")
    return family + (f"_{whose}_proposal" if whose else "") + slash + rest


def _levels(model: Weighs, data: Any) -> int | None:
    """The levels that p(x|z) is a density over: 1 where it is a probability, None where x is no image of 8 bits."""
    if not isinstance(data, NamesPixels) or data.pixels_binary:
        return None
    return data.pixels_levels if model.levels is None else 1
