"""The variance of the posterior, and how many of its units say anything about x."""

from collections.abc import Sequence

from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Monitor, Stage
from callbacks.protocols import Weighs
from zoo.draw import Draw
from zoo.metrics import Moments


class PosteriorVariance(Monitor):
    r"""The mean posterior variance and the number of active units over a split.

    A unit u is active where :math:`\mathrm{Var}_x(E_{q(z|x)}[z_u])` is above a threshold: Burda, Grosse and
    Salakhutdinov 2015, https://arxiv.org/abs/1509.00519, with the means of the encoder and the variance over all
    of the split, divided by n.

    Args:
        threshold: What the variance of an active unit's mean is above.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often.
    """

    def __init__(
        self, threshold: float = 0.01, stages: Sequence[Stage] = ("val", "test"), every_n_epochs: int = 1
    ) -> None:
        super().__init__(stages, every_n_epochs)
        self.threshold = threshold

    def metrics(self, model: Weighs) -> list[Metric]:
        """The moments of the posterior's means and variances; none for a model without an encoder."""
        self._means, self._variances = Moments(model.latent_dim), Moments(model.latent_dim)
        return [self._means, self._variances] if model.has_encoder else []

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Takes the posterior of a batch from its draw."""
        self._means.update(draw.q.mean)
        self._variances.update(draw.q.variance)

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """The number of active units and the posterior variance, a mean over units."""
        active = (self._means.compute().variance > self.threshold).sum()
        return {"active_units": active.double(), "posterior_variance": self._variances.compute().mean.mean()}
