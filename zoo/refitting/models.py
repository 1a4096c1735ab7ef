"""Models whose decoder and prior are those of a trained model, frozen, and whose encoder is new."""

import warnings
from collections.abc import Callable
from typing import Any, Self

from torch import Tensor
from torch.distributions import Distribution

from zoo.base import LatentVariableModel
from zoo.checkpoints import load, spec_of
from zoo.errors import ZooError
from zoo.models import IWAE, VAE
from zoo.networks import NetworkFactory, Shape
from zoo.posteriors import Posterior
from zoo.priors import Encode, Prior

Trained = Callable[[], LatentVariableModel] | str
"""What makes a trained model, or the path of its checkpoint."""


class Refit(LatentVariableModel):
    """A trained model with a new encoder: p(x|z) and p(z) stay as they are, to the bit, and q(z|x) is learned.

    It tells what a decoder is worth from what its own encoder makes of it: Cremer, Li and Duvenaud 2018,
    https://arxiv.org/abs/1801.03558. A model without an encoder gets its first. The trained model is kept whole as
    `trained`, in evaluation mode, and none of its parameters has a gradient, so that an optimiser and default DDP see
    those of the encoder alone.

    What it learns by is the other base of its class. One for an objective of your own is a line:
    ``class RefitMine(Refit, Mine): ...``.

    Args:
        trained: The path of a checkpoint; in Python also what makes the model, whose weights `load_state_dict` brings.
        x_shape: The shape of one example; the command line takes it from the data.
        encoder: Makes the network of q(z|x) of the shapes in and out; by default as that of the trained model.
        posterior: Makes q(z|x), of what the encoder emits, of the number of latent dimensions; by default the same.
        **kwargs: Arguments of the objective's class, but for those of decoder and prior.

    Raises:
        ZooError: There is no such checkpoint, or its examples have another shape.
    """

    def __init__(
        self,
        trained: Trained,
        x_shape: Shape,
        encoder: NetworkFactory | None = None,
        posterior: Callable[[int], Posterior] | None = None,
        **kwargs: Any,
    ) -> None:
        model: LatentVariableModel = load(trained) if isinstance(trained, str) else trained()
        if tuple(x_shape) != model.x_shape:
            raise ZooError(f"the trained model was made for examples of shape {model.x_shape}, not {tuple(x_shape)}.")
        super().__init__(
            x_shape=x_shape,
            latent_dim=model.latent_dim,
            likelihood=lambda _: model.likelihood,  # this and the decoder are not asked for: `decode` is replaced
            decoder=lambda *_: model.decoder,
            prior=lambda *_: FrozenPrior(model),
            encoder=encoder or model.make_encoder,
            posterior=posterior or model.make_posterior,
            **kwargs,
        )
        self.trained = model.requires_grad_(False).eval()
        self.hparams["trained"] = spec_of(model)  # a checkpoint of this model needs no other file
        self._own_decoder = model._own_decoder
        if not self._own_decoder:  # what checks and describes p(x|z), without standing twice in a checkpoint
            object.__setattr__(self, "likelihood", model.likelihood)
            object.__setattr__(self, "decoder", model.decoder)

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of the trained model."""
        return self.trained.decode(z)

    def train(self, mode: bool = True) -> Self:
        """Puts the encoder in this mode: what is frozen stays in evaluation mode."""
        super().train(mode)
        self.trained.eval()
        return self

    def setup(self, stage: str) -> None:
        """Begins nothing at the data: the decoder and the prior stay as they are."""
        frozen = len(list(self.trained.modules()))  # if the encoder is in evaluation mode too there are more
        warnings.filterwarnings("ignore", rf"Found {frozen} module\(s\) in eval mode")


class FrozenPrior(Prior):
    """p(z) of a trained model, also where that is made of its own encoder, as a VampPrior is.

    Args:
        model: The trained model.
    """

    reparameterised = False
    _model: LatentVariableModel

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__(model.latent_dim, model.x_shape)
        object.__setattr__(self, "_model", model)  # no submodule: it is one of the model that this is a part of
        self.width = model.prior.width

    def forward(self, encode: Encode | None = None) -> Distribution:
        """Returns p(z), whatever the new encoder says."""
        return self._model.prior(self._model.encode)


class RefitVAE(Refit, VAE):
    """A trained model with a new encoder that is learned by the ELBO: q(z|x) keeps within the posterior.

    Example:
        >>> from functools import partial
        >>> model = RefitVAE(partial(VAE, x_shape=(1, 5, 4), latent_dim=3), x_shape=(1, 5, 4))
        >>> [name for name, value in model.named_parameters() if value.requires_grad][0]
        'encoder.layers.0.weight'
    """


class RefitIWAE(Refit, IWAE):
    """A trained model with a new encoder that is learned by L_k: the larger k, the wider q(z|x).

    Example:
        >>> from functools import partial
        >>> RefitIWAE(partial(VAE, x_shape=(1, 5, 4), latent_dim=3), x_shape=(1, 5, 4), k=50).k
        50
    """
