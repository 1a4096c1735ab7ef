"""A proposal with an encoder that is trained for the decoder as it is."""

from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from zoo.base import LatentVariableModel
from zoo.checks import check_counts
from zoo.errors import ZooError
from zoo.progress import shows_progress
from zoo.proposals import Proposal, Proposing
from zoo.refitting.models import Refit, RefitVAE
from zoo.refitting.training import RefitFactory, refit_encoder


class RefittedEncoder(Proposal):
    r"""The q(z|x) of a fresh encoder, trained for the decoder as it is: see `refit_encoder`.

    It shows what L_k loses because the encoder was trained by another objective, or beside a decoder that still moved,
    and gives a `PriorSampling` an encoder to be compared by. It sees training images alone, and serves all images with
    one network, where `Refitted` fits a Gaussian to each.

    A `LogLikelihood` trains it before every split that it watches, on the training split of the data module. Every rank
    trains the same encoder.

    Args:
        refit: What is trained, with its options: `RefitVAE` for the ELBO, `RefitIWAE` for L_k.
        epochs: The number of epochs.
        seed: The seed of the weights, the noise and the order.

    Raises:
        ZooError: epochs is below 1.

    Example:
        >>> import torch, zoo
        >>> model, x = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> proposal = RefittedEncoder(epochs=2)
        >>> proposal.fit(model, [x])
        >>> model.log_likelihood(x, k=10, proposal=proposal).shape
        torch.Size([7])
    """

    def __init__(self, refit: RefitFactory = RefitVAE, epochs: int = 20, seed: int = 0) -> None:
        check_counts(epochs=epochs)
        self.refit, self.epochs, self.seed = refit, epochs, seed
        self._fitted: Refit | None = None

    def fit(self, model: LatentVariableModel, data: Any) -> None:
        """Trains the encoder."""
        progress = shows_progress(model._trainer)
        self._fitted = refit_encoder(model, data, self.refit, self.epochs, self.seed, progress)

    def __call__(self, model: Proposing, x: Tensor) -> Distribution:
        """q(z|x) of the new encoder."""
        if self._fitted is None:
            raise ZooError("the encoder of RefittedEncoder has not been trained: call its fit(model, data) first.")
        return self._fitted.encode(x)
