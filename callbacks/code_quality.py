"""What the codes of a model say about labels that it has never seen."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitor import Monitor, Stage
from callbacks.protocols import GivesTraining, Weighs
from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.measures.classifiers import linear_probe, nearest_neighbours
from zoo.metrics import Moments

FEW_LABELS = (
    "note: there is no quality of codes. It takes training images with labels of at least 2 classes, no fewer of them "
    "than neighbours (n_neighbours is {neighbours}), and there are {n} of {classes} classes."
)

UNLABELLED = "note: there is no quality of codes, since no image of this split has a label."

UNFINISHED = (
    "note: the linear probe has not converged, so its accuracy is that of a fit that was broken off: the codes may "
    "have very different scales, or tell the classes apart with certainty."
)


class CodeQuality(Monitor):
    """What the codes of a model say about labels: the accuracy of a linear probe and of nearest neighbours.

    Both are fitted to the codes of training images and tried on those of the split: see `zoo.measures.classifiers`. A
    code is what the model's `codes` gives, which is the mean of q(z|x) unless the model says otherwise.
    `linear_probe_train` is the accuracy of the probe on the images it was fitted to, and `chance` that of giving all
    images the label that is commonest among these.

    All ranks fit the same classifiers to the same codes, and each tries them on its share of the split. Examples
    without a label, which is -1, are left out; where that leaves none, a sentence at the end of a test says so.

    Args:
        n_train: How many training images the classifiers are fitted to, at most.
        n_neighbours: How many nearest neighbours have a vote.
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often.

    Raises:
        ZooError: n_train or n_neighbours is below 1, there are more neighbours than images, or the data give no
            training images.
    """

    units: ClassVar = {"code_quality": "share"}

    def __init__(
        self, n_train: int = 5000, n_neighbours: int = 10, stages: Sequence[Stage] = ("test",), every_n_epochs: int = 1
    ) -> None:
        super().__init__(stages, every_n_epochs)
        check_counts(n_train=n_train, n_neighbours=n_neighbours)
        if n_neighbours > n_train:
            raise ZooError(
                f"n_neighbours is {n_neighbours} of n_train = {n_train} images: take no more than there are."
            )
        self.n_train, self.n_neighbours = n_train, n_neighbours

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Refuses data that give no training images, before a run begins."""
        super().setup(trainer, pl_module, stage)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if stage != "predict" and not isinstance(data, GivesTraining):
            raise ZooError(
                f"CodeQuality fits classifiers to training images, and {type(data).__name__} has no training_batches: "
                "pass a data module that derives from ImageDataModule, or give yours that method."
            )

    def metrics(self, model: Weighs) -> list[Metric]:
        """Which images are classified rightly, by classifiers that are fitted here; none without labels to fit to."""
        codes, labels = self._training_codes(model)
        classes = len(labels.unique())
        if classes < 2 or len(labels) < self.n_neighbours:
            self.note = FEW_LABELS.format(neighbours=self.n_neighbours, n=len(labels), classes=classes)
            return []
        self._probe = linear_probe(codes, labels)
        self._neighbours = nearest_neighbours(codes, labels, self.n_neighbours)
        self._commonest = labels.mode().values
        self._right_in_training = (self._probe(codes) == labels).double().mean()
        self._right = Moments(3)
        return [self._right]

    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Classifies the codes of a batch."""
        known = self.labels >= 0
        codes, labels = model.codes(x)[known], self.labels[known]
        right = [self._probe(codes) == labels, self._neighbours(codes) == labels, self._commonest == labels]
        self._right.update(torch.stack(right, 1))

    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """The accuracies with their standard errors over images."""
        share, variance, error = self._right.compute()
        if variance.isnan().any():
            self.note = UNLABELLED
            return {}
        if not self._probe.converged:
            self.note = UNFINISHED
        values = {
            "linear_probe": share[0],
            "linear_probe/se": error[0],
            "linear_probe_train": self._right_in_training,
            "nearest_neighbours": share[1],
            "nearest_neighbours/se": error[1],
            "chance": share[2],
        }
        return {f"code_quality/{name}": value for name, value in values.items()}

    def _training_codes(self, model: Any) -> tuple[Tensor, Tensor]:
        """The codes (N, D) of training images that have labels, and these (N,)."""
        parts = [
            (model.codes(x.to(model.device)), y.to(model.device)) for x, y in self.data.training_batches(self.n_train)
        ]
        codes, labels = map(torch.cat, zip(*parts, strict=True))
        return codes[labels >= 0], labels[labels >= 0]
