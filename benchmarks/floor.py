"""The matrix products of a step, and how many operations they take."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

N_PIXELS = 784


@dataclass(frozen=True)
class Layer:
    """The products of one affine map: forward, and where they are asked for the gradients of weights and of inputs.

    Args:
        rows: How many inputs go through it in a step.
        n_in: The size of an input.
        n_out: The size of an output.
        weight_gradient: Whether the gradient of the weights is computed.
        input_gradient: Whether that of the inputs is.

    Example:
        >>> Layer(100, 784, 200, input_gradient=False).flops == 2 * (2 * 100 * 784 * 200)
        True
    """

    rows: int
    n_in: int
    n_out: int
    weight_gradient: bool = True
    input_gradient: bool = True

    @property
    def flops(self) -> int:
        """The multiplications and additions of its products."""
        return 2 * self.rows * self.n_in * self.n_out * (1 + self.weight_gradient + self.input_gradient)


def perceptron(n_in: int, hidden: int, n_out: int) -> list[tuple[int, int]]:
    """The sizes in and out of the maps of a perceptron of two hidden layers.

    Example:
        >>> perceptron(50, 200, 784)
        [(50, 200), (200, 200), (200, 784)]
    """
    return list(pairwise([n_in, hidden, hidden, n_out]))


def products(objective: str, batch: int, k: int, networks: Sequence[tuple[int, int]]) -> list[Layer]:
    """The products of a step: in training three for each map, but no gradient of what is no function of a weight.

    Args:
        objective: That of a `Task`.
        batch: The images of a step.
        k: The draws of an image, or of the batch where it shares them.
        networks: The sizes in and out of each map, three of the encoder, where there is one, and three of the decoder.
    """
    if objective == "prior":
        first, *rest = networks
        pairs = Layer(k, N_PIXELS, batch, weight_gradient=False)  # log p(x|z) of all pairs, the images as weights
        return [Layer(k, *first, input_gradient=False), *(Layer(k, *sizes) for sizes in rest), pairs]
    if objective == "log_likelihood":  # once for all draws is x encoded: that counts nothing
        return [Layer(k * batch, *sizes, weight_gradient=False, input_gradient=False) for sizes in networks[3:]]
    first, *rest = networks[:3]
    encoder = [Layer(batch, *first, input_gradient=False), *(Layer(batch, *sizes) for sizes in rest)]
    return encoder + [Layer(k * batch, *sizes) for sizes in networks[3:]]
