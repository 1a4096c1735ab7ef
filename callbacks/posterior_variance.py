"""The variance of the posterior, and how many of its units say anything about x."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.utilities.combined_loader import CombinedLoader
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Details, Monitor, Stage, log_split
from callbacks.protocols import Weighs
from zoo.checks import check_counts, check_not_negative
from zoo.draw import Draw
from zoo.measures.units import cut_log_likelihood, factors
from zoo.metrics import Binned, Histogram, Moments
from zoo.steps import examples


class PosteriorVariance(Monitor):
    r"""The variance of the posterior over a split, and the number of active units.

    A unit u is active where :math:`\mathrm{Var}_x(E_{q(z|x)}[z_u])` is above a threshold: Burda, Grosse and
    Salakhutdinov 2015, https://arxiv.org/abs/1509.00519, with the means of the encoder and the variance over all
    of the split, divided by n. Posteriors that are not Gaussian are known by their `mean` and `variance`.

    `metrics.json` gets, for each dimension, the mean over x of the variance and its standard deviation, the variance of
    the means, and a histogram of log σ² over units and examples, of active and inactive units apart.

    Args:
        threshold: What the variance of an active unit's mean is above.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often.
        cut_k: The number of draws of the log-likelihood without the inactive units, at the end of a test, by a second
            pass over the split; 0 for none. It is given where posterior and prior factorise over the units.

    Raises:
        ZooError: cut_k is neither 0 nor a number of draws, or threshold is negative or no number.
    """

    units: ClassVar = {"active_units": "units", "posterior_variance": "1", "log_likelihood_cut": "nats"}

    def __init__(
        self,
        threshold: float = 0.01,
        stages: Sequence[Stage] = ("val", "test"),
        every_n_epochs: int = 1,
        cut_k: int = 0,
    ) -> None:
        super().__init__(stages, every_n_epochs)
        check_not_negative(threshold=threshold)
        if cut_k != 0:
            check_counts(cut_k=cut_k)
        self.threshold, self.cut_k = threshold, cut_k

    def metrics(self, model: Weighs) -> list[Metric]:
        """The moments of the posterior's means and variances; none for a model without an encoder."""
        self._means, self._variances = Moments(model.latent_dim), Moments(model.latent_dim)
        self._log_variances = Histogram(model.latent_dim, low=-16.0, high=4.0, bins=80)
        return [self._means, self._variances, self._log_variances] if model.has_encoder else []

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Takes the posterior of a batch from its draw."""
        variance = draw.q.variance
        self._means.update(draw.q.mean)
        self._variances.update(variance)
        self._log_variances.update(variance.log())
        self._factorises = factors(draw.q) is not None and factors(draw.p) is not None

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """The number of active units, and the posterior variance as a mean over units and over the active ones."""
        variance, active = self._variances.compute().by_dimension().mean, self.active
        values = {"active_units": active.sum().double(), "posterior_variance": variance.mean()}
        return values | ({"posterior_variance/active": variance[active].mean()} if active.any() else {})

    def details(self, model: Weighs) -> Details:
        """Each dimension, and the histogram."""
        variances, means = self._variances.compute().by_dimension(), self._means.compute().by_dimension()
        counts, active = self._log_variances.compute(), self.active
        edges = self._log_variances.edges.tolist()
        return {
            "posterior_variance_per_dimension": variances.mean.tolist(),
            "posterior_variance_spread": variances.variance.sqrt().tolist(),
            "variance_of_means": means.variance.tolist(),
            "log_posterior_variance_active": Binned(counts[active].sum(0).tolist(), edges),
            "log_posterior_variance_inactive": Binned(counts[~active].sum(0).tolist(), edges),
        }

    @property
    def active(self) -> Tensor:
        """Which units are active, (D,)."""
        return self._means.compute().by_dimension().variance > self.threshold

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Logs, and then the log-likelihood without the units that turned out to be inactive."""
        super().on_test_epoch_end(trainer, pl_module)
        if self._metrics and self.cut_k and self._factorises:
            cut = Moments(1).to(pl_module.device)
            for x in _test_again(trainer, pl_module):
                cut.update(cut_log_likelihood(pl_module, x, self.cut_k, self.active)[:, None])
            mean, _, error = cut.compute()
            log_split(pl_module, "test", {f"log_likelihood_cut/{self.cut_k}": mean, "log_likelihood_cut/se": error})


def _test_again(trainer: pl.Trainer, model: Any) -> Iterator[Tensor]:
    """The batches of this rank's test once more, made ready as Lightning does."""
    loader = CombinedLoader(trainer.test_dataloaders, "sequential")
    loader.limits = trainer.num_test_batches
    for batch, _, place in loader:
        ready = model._on_before_batch_transfer(trainer.precision_plugin.convert_input(batch), place)
        yield examples(trainer.strategy.batch_to_device(ready, model.device, place))
