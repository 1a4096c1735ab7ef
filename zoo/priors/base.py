"""What a prior is: a module that returns p(z)."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.networks import Shape

Encode = Callable[[Tensor], Distribution]


class Prior(nn.Module, ABC):
    """p(z), a distribution with batch () and event (latent_dim,).

    Args:
        latent_dim: The number of latent dimensions.
        x_shape: The shape of one example.
    """

    reparameterised: bool = True
    """Whether a draw has a gradient, as a model needs that draws from its prior in training."""

    n_examples: int = 0
    """How many training examples it wants to begin at."""

    width: int = 1
    """How many numbers it holds to weigh one z: how many may be weighed at once depends on it."""

    def __init__(self, latent_dim: int, x_shape: Shape = ()) -> None:
        super().__init__()
        self.latent_dim, self.x_shape = latent_dim, tuple(x_shape)

    @abstractmethod
    def forward(self, encode: Encode | None = None) -> Distribution:
        """Returns p(z); a prior that is made of the encoder asks it for q(z|x)."""

    def start_at(self, x: Tensor) -> None:
        """Begins an untrained prior at training examples, (n_examples, *x_shape)."""
