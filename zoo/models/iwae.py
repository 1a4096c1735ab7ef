"""The importance-weighted autoencoder."""

from torch import Tensor

from zoo.base import LatentVariableModel
from zoo.draw import Draw
from zoo.objectives import iwae


class IWAE(LatentVariableModel):
    r"""The importance-weighted autoencoder, with any likelihood; the article's (9).

    .. math:: \log \frac{1}{k} \sum_i \frac{p(x|z_i)\, p(z_i)}{q(z_i|x)}, \quad z_i \sim q(z|x)

    Burda, Grosse and Salakhutdinov 2015, https://arxiv.org/abs/1509.00519.

    At k = 1 this is the VAE with the one-draw KL term. The arguments are those of `LatentVariableModel`.

    Example:
        >>> model = IWAE(x_shape=(1, 28, 28), latent_dim=50, k=5)
    """

    default_k = 5
    is_bound = True

    def objective(self, draw: Draw) -> Tensor:
        """The importance-weighted bound L_k, (B,)."""
        return iwae(draw)
