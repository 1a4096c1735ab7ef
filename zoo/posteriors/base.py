"""What a posterior is: what the encoder's numbers mean as q(z|x)."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.networks import Shape


class Posterior(nn.Module, ABC):
    """From what the encoder emits to q(z|x), a distribution that is drawn from by ``rsample``.

    Args:
        latent_dim: The number of latent dimensions.
    """

    h_shape: Shape
    """The shape of what the encoder emits for one example."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Turns the encoder's output (B, *h_shape) into q(z|x): batch (B,), event (latent_dim,)."""
