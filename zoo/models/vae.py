"""The VAE, with any likelihood."""

from typing import Any

from torch import Tensor

from zoo.base import LatentVariableModel
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.objectives import elbo, elbo_mc


class VAE(LatentVariableModel):
    r"""The variational autoencoder, trained on the ELBO.

    .. math:: E_{q(z|x)}[\log p(x|z)] - \beta\, \mathrm{KL}(q(z|x) \,\|\, p(z))

    Kingma and Welling 2013, https://arxiv.org/abs/1312.6114.

    Args:
        closed_form_kl: Whether the KL term is the closed form, the article's (4), or comes from the draws, its (5).
        kl_weight: β; only at 1 is the objective a bound, and logged as one.
        kl_warmup_steps: Over so many steps the training's β rises from 0; evaluation always takes the whole β.
        **kwargs: Arguments of `LatentVariableModel`.

    Raises:
        ZooError: A weight or a number of steps is negative.

    Example:
        >>> model = VAE(x_shape=(1, 28, 28), latent_dim=10, closed_form_kl=False, k=5)
    """

    averages_log_px = True

    def __init__(
        self, closed_form_kl: bool = True, kl_weight: float = 1.0, kl_warmup_steps: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if kl_weight < 0 or kl_warmup_steps < 0:
            raise ZooError(
                f"kl_weight is {kl_weight} and kl_warmup_steps is {kl_warmup_steps}: neither may be negative."
            )
        self._elbo = elbo if closed_form_kl else elbo_mc
        self._kl_weight, self._kl_warmup_steps = kl_weight, kl_warmup_steps

    def objective(self, draw: Draw) -> Tensor:
        """The ELBO, (B,)."""
        return self._elbo(draw, self.kl_weight)

    @property
    def kl_weight(self) -> float:
        """The β that holds now."""
        if not self.training or not self._kl_warmup_steps:
            return self._kl_weight
        return self._kl_weight * min(1.0, self.steps_trained / self._kl_warmup_steps)

    @property
    def is_bound(self) -> bool:
        """Whether β is 1 now."""
        return self.kl_weight == 1
