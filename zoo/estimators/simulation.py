"""Data that a model makes, of which a draw of the posterior is known, and bounds of their log p(x)."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from zoo.checks import check_counts
from zoo.estimators.streaming import evaluating
from zoo.keeping import generators_kept
from zoo.networks import full_precision
from zoo.noise import mix, seed_step
from zoo.proposals import Proposing

SIMULATION = 5
"""The seed of what is simulated; see `zoo.estimators.ais` for those of other noise."""


class Simulating(Proposing, Protocol):
    """A model, as what simulates its data sees it."""

    @property
    def dtype(self) -> Any:
        """That of its weights, and of its data."""
        ...

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z)."""
        ...


class Simulated(NamedTuple):
    """Examples x (n, *x_shape) that a model has made, and the codes z (n, D) that it has made them of."""

    x: Tensor
    z: Tensor


def simulate(model: Simulating, n: int, seed: int = 0) -> Simulated:
    """Draws (x, z) of p(x, z): each z is then a draw of the posterior p(z|x), which is had in no other way.

    The generators are left as they were.

    Args:
        model: The model.
        n: The number of examples.
        seed: The seed of the draws.

    Raises:
        ZooError: n is below 1.

    Example:
        >>> import zoo
        >>> x, z = simulate(zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3), 7)
        >>> x.shape, z.shape
        (torch.Size([7, 1, 5, 4]), torch.Size([7, 3]))
    """
    check_counts(n=n)
    with torch.inference_mode(False), evaluating(cast(nn.Module, model)), generators_kept():
        seed_step(mix(SIMULATION, seed))
        z = model.prior(model.encode).sample(Size([n]))
        return Simulated(model.decode(z).sample().to(model.dtype), full_precision(z))


@dataclass(frozen=True)
class Bounds:
    """Two estimates of log p(x), in expectation a lower and an upper bound.

    Args:
        lower: (B,), in nats.
        upper: (B,), in nats.
    """

    lower: Tensor
    upper: Tensor

    @property
    def gap(self) -> Tensor:
        """How far they are apart, (B,), in nats: in expectation at least as far as either is from log p(x)."""
        return self.upper - self.lower

    def summary(self) -> dict[str, Tensor]:
        """Their means over the examples, and the standard errors of these."""
        each = {"lower": self.lower, "upper": self.upper, "gap": self.gap}
        means = {name: values.mean() for name, values in each.items()}
        return means | {f"{name}/se": standard_error(values) for name, values in each.items()}


def standard_error(values: Tensor) -> Tensor:
    """That of the mean of independent values (n,): nan for one.

    Example:
        >>> standard_error(torch.tensor([1.0, 3.0]))
        tensor(1.)
    """
    return (values.var(correction=0) / (len(values) - 1)).sqrt()
