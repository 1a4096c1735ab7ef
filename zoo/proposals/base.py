"""What a proposal is: what z is drawn from to estimate log p(x)."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

from torch import Tensor
from torch.distributions import Distribution

from zoo.errors import ZooError
from zoo.priors import Prior


class Proposing(Protocol):
    """A model, as a proposal sees it."""

    prior: Prior
    has_encoder: bool

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x)."""
        ...

    def own_proposal(self, x: Tensor) -> Distribution:
        """q(z|x): batch (B,), event (D,), also where the examples share their draws."""
        ...

    def log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) of z (k, B, D), (k, B), in bounded memory."""
        ...


def check_proposal(proposal: object) -> None:
    """Refuses what is neither a proposal nor None, as the class of one.

    Raises:
        ZooError: It is neither.
    """
    if proposal is not None and not isinstance(proposal, Proposal):
        raise ZooError(f"proposal is {proposal!r}, where a proposal was expected, as Refitted() with its brackets.")


def proposed(model: "Proposing", x: Tensor, proposal: "Proposal | None") -> Distribution:
    """r(z|x) of a proposal, which anyone may have written; q(z|x) where there is none.

    Raises:
        ZooError: The proposal does not go with the model, or returned no distribution.
    """
    if proposal is None:
        return model.own_proposal(x)
    r = proposal(model, x)
    if not isinstance(r, Distribution):
        raise ZooError(
            f"{type(proposal).__name__} returned a {type(r).__name__}, where a distribution of z was expected, as "
            "torch.distributions has them."
        )
    return r


class Proposal(ABC):
    r"""From a model and examples to r(z|x), which z is drawn from in place of q(z|x).

    .. math:: L_k = \log \frac{1}{k} \sum_i \frac{p(x|z_i)\, p(z_i)}{r(z_i|x)}, \qquad z_i \sim r(z|x)

    Whatever r is, :math:`L_k` is in expectation a lower bound of log p(x), as long as the noise that makes r is not
    that of its draws. A proposal that covers the posterior better gives a tighter one, and weights to be trusted.

    Example:
        >>> import torch, zoo
        >>> model = zoo.BernoulliVAE(x_shape=(1, 5, 4), latent_dim=3)
        >>> model.log_likelihood(torch.ones(7, 1, 5, 4), k=10, proposal=zoo.Widened(2.0)).shape
        torch.Size([7])
    """

    @property
    def name(self) -> str:
        """One word for it, which the names of its numbers carry."""
        return type(self).__name__.lower()

    def fit(self, model: Any, data: Any) -> None:  # noqa: B027  # most have nothing to learn
        """Makes ready for a model and its data, where there is something to be learned from training examples.

        A monitor asks for it before each split that it watches.
        """

    changes_posterior: ClassVar[bool] = False
    """Whether it is made of q(z|x), which a model without an encoder has none of."""

    def check(self, model: Proposing) -> None:
        """Refuses a model that it does not go with, before anything is drawn.

        Raises:
            ZooError: There is no encoder whose q(z|x) it could change.
        """
        if self.changes_posterior and not model.has_encoder:
            raise ZooError(f"{type(model).__name__} has no encoder whose q(z|x) could be changed: take Refitted.")

    @abstractmethod
    def __call__(self, model: Proposing, x: Tensor) -> Distribution:
        """Makes r(z|x) of examples (B, *x_shape): batch (B,), event (D,), drawn from by ``rsample``."""
