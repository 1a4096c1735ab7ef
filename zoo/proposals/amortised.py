"""The encoder's own posterior."""

from torch import Tensor
from torch.distributions import Distribution

from zoo.proposals.base import Proposal, Proposing


class Amortised(Proposal):
    r"""The model's own :math:`q(z|x)`, to be named where the default is another, as where annealing starts.

    Raises:
        ZooError: There is no encoder.

    Example:
        >>> import torch, zoo
        >>> model, x = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> torch.equal(Amortised()(model, x).mean, model.encode(x).mean)
        True
    """

    changes_posterior = True

    def __call__(self, model: Proposing, x: Tensor) -> Distribution:
        """Gives q(z|x)."""
        self.check(model)
        return model.own_proposal(x)
