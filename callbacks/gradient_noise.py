"""The noise of the gradients that train encoder and decoder."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Monitor, Stage
from callbacks.protocols import Weighs
from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.measures.gradients import check_draws, gradient_noise, noise_floor
from zoo.metrics import BottomK
from zoo.noise import fingerprint


class GradientNoise(Monitor):
    r"""The signal-to-noise ratio of the gradients of encoder, decoder and prior on a fixed batch.

    .. math:: \frac{|\mathrm{mean}_r\, g_{rj}|}{\mathrm{sd}_r\, g_{rj}} \quad \text{in the mean over parameters } j

    Rainforth et al. 2018, https://arxiv.org/abs/1802.04537: with more draws of z the ratio of an IWAE's encoder falls
    as :math:`k^{-1/2}`, while that of its decoder rises as :math:`k^{1/2}`. Beside it stand the noise floor, what R
    gradients of mean zero would show, and the sum over parameters of the variance: see `zoo.measures.gradients`.

    The batch is a sample of the split, the images of the smallest hashes: the same on every rank and at every epoch.
    It costs as much as R steps of training on a batch of that size, so it is not among the callbacks of every run.

    Args:
        n_images: How many images the batch has.
        draws: The number of gradients, R.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often.

    Raises:
        ZooError: n_images is below 1, or draws below 2.
    """

    units: ClassVar = {"gradient_snr": "1", "gradient_variance": "nats^2"}

    def __init__(
        self,
        n_images: int = 100,
        draws: int = 100,
        stages: Sequence[Stage] = ("val", "test"),
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(stages, every_n_epochs)
        check_counts(n_images=n_images)
        check_draws(draws)
        self.n_images, self.draws = n_images, draws

    def metrics(self, model: Weighs) -> list[Metric]:
        """The images."""
        self._probe = BottomK(self.n_images)
        return [self._probe]

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Keeps the images of the smallest hashes."""
        self._probe.update(fingerprint(x), x)

    def compute(self, model: Any) -> dict[str, Tensor]:
        """The ratio and the variance of each part, and the floor."""
        values = {"gradient_snr/floor": torch.tensor(noise_floor(self.draws), dtype=torch.float64)}
        with model.trainer.precision_plugin.train_step_context():  # of 16 bits, where those of training are
            noises = gradient_noise(model, self._probe.compute(), self.draws)
        for part, noise in noises.items():
            values |= {f"gradient_snr/{part}": noise.snr, f"gradient_variance/{part}": noise.variance}
        return values
