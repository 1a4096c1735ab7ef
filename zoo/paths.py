"""Where in the latent space to look: lines between codes, one unit moved, a grid over a plane."""

import torch
from torch import Size, Tensor
from torch.distributions import Distribution


def interpolate(start: Tensor, end: Tensor, steps: int) -> Tensor:
    r"""Points on the straight lines between codes, (n, steps, D), the codes themselves at the ends.

    .. math:: z_t = (1 - t)\, z_{\mathrm{start}} + t\, z_{\mathrm{end}}, \quad t = 0, \dots, 1

    Args:
        start: Where the lines begin, (n, D).
        end: Where they end, (n, D).
        steps: The number of points of a line.

    Example:
        >>> interpolate(torch.tensor([[0.0, 1.0]]), torch.tensor([[4.0, 1.0]]), steps=3)[0]
        tensor([[0., 1.],
                [2., 1.],
                [4., 1.]])
    """
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)
    return torch.lerp(start[:, None], end[:, None], t[:, None])


def traverse(z: Tensor, units: Tensor, values: Tensor) -> Tensor:
    """A code with one unit moved at a time, (n, v, D).

    Args:
        z: The code, (D,).
        units: Which units, (n,).
        values: Where each is moved to, (n, v).

    Example:
        >>> traverse(torch.zeros(3), torch.tensor([2]), torch.tensor([[-1.0, 1.0]]))
        tensor([[[ 0.,  0., -1.],
                 [ 0.,  0.,  1.]]])
    """
    moved = z.expand(*values.shape, -1).clone()
    return moved.scatter_(-1, units[:, None, None].expand(*values.shape, 1), values[..., None])


def most_active(variance: Tensor, threshold: float) -> Tensor:
    """The units whose codes vary by more than a threshold, the most active first, (n,).

    Args:
        variance: The variance of the code of each unit over a split, (D,).
        threshold: What that of an active unit is above.

    Example:
        >>> most_active(torch.tensor([0.5, 0.001, 0.9]), threshold=0.01)
        tensor([2, 0])
    """
    order = variance.argsort(descending=True)
    return order[variance[order] > threshold]


def normal_quantiles(n: int) -> Tensor:
    r"""The standard normal at n levels in the middle of equal shares, (n,), float64.

    .. math:: \Phi^{-1} \left( \frac{i + 1/2}{n} \right), \quad i = 0, \dots, n - 1

    A grid of them covers the prior evenly: Kingma and Welling 2013, https://arxiv.org/abs/1312.6114, figure 4.

    Example:
        >>> normal_quantiles(3)
        tensor([-0.9674,  0.0000,  0.9674], dtype=torch.float64)
    """
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


def plane_grid(across: Tensor, up: Tensor) -> Tensor:
    """All pairs of two axes as the rows and columns of a picture, (rows, columns, 2): the greatest ``up`` comes first.

    Example:
        >>> plane_grid(torch.tensor([1.0, 2.0]), torch.tensor([8.0, 9.0]))[0]
        tensor([[1., 9.],
                [2., 9.]])
    """
    return torch.stack(torch.meshgrid(across, up.flip(0), indexing="xy"), -1)


def mean_and_spread(p: Distribution, n: int = 10_000) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of p(z), each (D,); of n draws, where the distribution knows none in closed form.

    Example:
        >>> from zoo.distributions import diagonal_normal
        >>> mean_and_spread(diagonal_normal(torch.zeros(2), torch.ones(2)))
        (tensor([0., 0.]), tensor([1., 1.]))
    """
    try:
        return p.mean, p.stddev
    except NotImplementedError:
        z = p.sample(Size([n]))
        return z.mean(0), z.std(0)
