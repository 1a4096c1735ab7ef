"""The noise of the gradient: how large its mean is beside its spread over draws, for each part of a model."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.base import LatentVariableModel
from zoo.checks import check_counts
from zoo.errors import ZooError
from zoo.estimators import in_mode
from zoo.keeping import buffers_kept, generators_kept
from zoo.metrics import Moments, Summary
from zoo.noise import seed_step


class Noise(NamedTuple):
    """The mean over parameters of their signal-to-noise ratios, and the sum of their variances: each ()."""

    snr: Tensor
    variance: Tensor


def gradient_noise(model: LatentVariableModel, x: Tensor, draws: int = 100, seed: int = 0) -> dict[str, Noise]:
    r"""The noise of the training gradient of a batch, for each part of a model: see `signal_to_noise`.

    .. math:: g_r = -\nabla \frac{1}{B} \sum_b \mathrm{objective}(x_b), \quad r = 1, \dots, R

    Each of the R gradients has its own draws of z, and x stays. The model is in training mode, so that it is the
    gradient that training would follow now. Neither its parameters, their `grad`, its buffers and mode nor the
    generators are changed. Memory grows with the number of parameters and not with R. Every rank that is given the same
    batch makes all R gradients, and finds the same.

    Args:
        model: The model.
        x: A batch, (B, *x_shape).
        draws: The number of gradients, R.
        seed: The seed of their noise.

    Returns:
        The noise by the part: `encoder`, what q(z|x) depends on, where there is an encoder, `decoder`, what p(x|z)
        depends on, and `prior`, what p(z) depends on; none for a part that has no parameters. What several depend on
        counts in the first of them.

    Raises:
        ZooError: There are fewer than two draws, or x is no data for the model.

    Example:
        >>> import zoo
        >>> model = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3, k=5)
        >>> noise = gradient_noise(model, torch.ones(7, 1, 5, 4), draws=10)
        >>> list(noise), noise["encoder"].snr.shape
        (['encoder', 'decoder'], torch.Size([]))
    """
    check_draws(draws)
    model.check(x)
    with _as_in_training(model):
        x = x.clone()  # a tensor of inference mode would have no gradient
        seed_step(seed)
        parts = _parts(model, x)
        if not parts:
            return {}
        sizes = {name: sum(map(torch.numel, part)) for name, part in parts.items()}
        moments = {name: Moments(size, sync_on_compute=False).to(x.device) for name, size in sizes.items()}
        for r in range(draws):
            seed_step(seed, r)
            loss = -model.objective(model.draw(x)).mean()
            for name, gradient in _by_part(loss, parts).items():
                moments[name].update(gradient[None])
    rounding = torch.finfo(next(iter(parts.values()))[0].dtype).eps
    return {name: signal_to_noise(each.compute(), draws, rounding) for name, each in moments.items()}


def signal_to_noise(gradient: Summary, draws: int, rounding: float = 0.0) -> Noise:
    r"""The signal-to-noise ratio of a gradient, a mean over parameters, and the sum of the variances of these.

    .. math:: \mathrm{SNR}_j = \frac{|\mathrm{mean}_r\, g_{rj}|}{\mathrm{sd}_r\, g_{rj}}

    Rainforth et al. 2018, https://arxiv.org/abs/1802.04537. The variance is divided by R - 1. A parameter whose
    gradient is the same in every draw, as the weight of a pixel that is always black, has no such ratio and is left out
    of the mean; where no gradient varies the mean is nan.

    Args:
        gradient: The moments of each parameter's gradient over the draws.
        draws: The number of draws, R.
        rounding: What a gradient may vary by, as a share of its mean, and still be the same in every draw.

    Example:
        >>> gradients = Moments(3)
        >>> gradients.update(torch.tensor([[1.0, 0.0, 5.0], [3.0, 0.0, 1.0]]))
        >>> signal_to_noise(gradients.compute(), draws=2)
        Noise(snr=tensor(1.2374, dtype=torch.float64), variance=tensor(10., dtype=torch.float64))
    """
    variance = gradient.standard_error.square() * draws
    varies = ~(variance <= (rounding * gradient.mean).square())  # so that nan is seen
    snr = gradient.mean.abs()[varies] / variance[varies].sqrt()
    return Noise(snr.mean(), variance.sum())


def noise_floor(draws: int) -> float:
    r"""What the signal-to-noise ratio of R gradients comes to where their mean is zero.

    .. math:: \sqrt{\frac{2}{\pi R}}

    It is that of normal gradients and large R; at R = 20 the exact value is 4 % higher, at 100 less than 1 %.

    Args:
        draws: The number of draws, R.

    Example:
        >>> round(noise_floor(10_000), 4)
        0.008
    """
    return math.sqrt(2 / (math.pi * draws))


def check_draws(draws: int) -> None:
    """Refuses a number of draws that has no variance.

    Raises:
        ZooError: It is below 2.
    """
    check_counts(draws=draws)
    if draws < 2:
        raise ZooError(f"draws is {draws}, where at least 2 gradients were expected: one alone does not vary.")


def _by_part(loss: Tensor, parts: dict[str, list[nn.Parameter]]) -> dict[str, Tensor]:
    """The gradient of each part in one row; zero where the loss does not depend on a parameter."""
    every = [parameter for part in parts.values() for parameter in part]
    gradients = iter(torch.autograd.grad(loss, every, materialize_grads=True))
    return {name: torch.cat([next(gradients).flatten() for _ in part]) for name, part in parts.items()}


def _parts(model: LatentVariableModel, x: Tensor) -> dict[str, list[nn.Parameter]]:
    """The parameters by the density that depends on them, whatever they are called in a user's own model."""
    draw = model.draw(x, 1)
    z = draw.z.detach()
    densities = {"encoder": draw.q.log_prob(z)} if model.has_encoder else {}
    densities |= {"decoder": model.decode(z).log_prob(x), "prior": draw.p.log_prob(z)}
    left = [parameter for parameter in model.parameters() if parameter.requires_grad]
    parts: dict[str, list[nn.Parameter]] = {}
    for name, density in densities.items():
        reached = _reached(density, left)
        if any(reached):
            parts[name] = [parameter for parameter, is_reached in zip(left, reached, strict=True) if is_reached]
        left = [parameter for parameter, is_reached in zip(left, reached, strict=True) if not is_reached]
    return parts


def _reached(density: Tensor, parameters: list[nn.Parameter]) -> list[bool]:
    """Which parameters a density depends on."""
    if not (density.requires_grad and parameters):
        return [False] * len(parameters)
    gradients = torch.autograd.grad(density.sum(), parameters, allow_unused=True)
    return [gradient is not None for gradient in gradients]


@contextmanager
def _as_in_training(model: nn.Module) -> Iterator[None]:
    """Within it a model is differentiated in training mode; after it modes, buffers and generators are as before."""
    with buffers_kept(model), generators_kept(), in_mode(model, training=True):
        with torch.inference_mode(False), torch.enable_grad():
            yield
