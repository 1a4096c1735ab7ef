"""The VampPrior."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

from zoo.checks import check_counts
from zoo.distributions import Choice, GaussianMixture
from zoo.errors import ZooError
from zoo.networks import Shape, full_precision
from zoo.priors.base import Encode, Prior


class VampPrior(Prior):
    r"""The mean of the posteriors of C learned pseudo-inputs (variational mixture of posteriors).

    .. math:: p(z) = \frac{1}{C} \sum_c q(z|u_c)

    Tomczak and Welling 2018, https://arxiv.org/abs/1705.07120. Its KL term has no closed form: a VAE takes it with
    ``closed_form_kl=False``. The pseudo-inputs begin at training examples where the data know them, else at uniform
    noise.

    Args:
        latent_dim: The number of latent dimensions.
        x_shape: The shape of one example.
        components: The number of pseudo-inputs, C.
        clip: Whether the encoder sees them clipped to [0, 1], as pixels are.

    Raises:
        ZooError: There is no pseudo-input, or no encoder to see them, or data to begin at lie outside [0, 1] and would
            be clipped.
    """

    reparameterised = False

    def __init__(self, latent_dim: int, x_shape: Shape, components: int = 500, clip: bool = True) -> None:
        super().__init__(latent_dim, x_shape)
        check_counts(components=components)
        self.n_examples, self._clip, self.width = components, clip, components * latent_dim
        self.pseudo_inputs = nn.Parameter(self._noise().to(torch.get_default_dtype()))

    def forward(self, encode: Encode | None = None) -> Distribution:
        """Returns p(z)."""
        if encode is None:
            raise ZooError("a VampPrior is made of the posteriors of an encoder: pass the encode of a model.")
        q = encode(self.pseudo_inputs.clamp(0, 1) if self._clip else self.pseudo_inputs)
        logits = full_precision(self.pseudo_inputs.new_zeros(self.n_examples))
        if isinstance(q, Independent) and isinstance(q.base_dist, Normal):
            return GaussianMixture(logits, q.mean, q.stddev)
        return MixtureSameFamily(Choice(logits), q, validate_args=False)

    @torch.no_grad()
    def start_at(self, x: Tensor) -> None:
        """Begins at training examples, where training has not moved the pseudo-inputs from their noise."""
        if not torch.equal(self.pseudo_inputs, self._noise().to(self.pseudo_inputs)):
            return
        if self._clip and (x.min() < 0 or x.max() > 1):
            raise ZooError(
                "the data lie outside [0, 1], to which the pseudo-inputs of this VampPrior are clipped: set clip=False."
            )
        self.pseudo_inputs.copy_(x)

    def _noise(self) -> Tensor:
        """Uniform noise, always the same, so that pseudo-inputs which were never trained are known by it."""
        generator = torch.Generator().manual_seed(0)
        return torch.rand(self.n_examples, *self.x_shape, generator=generator, dtype=torch.float32)
