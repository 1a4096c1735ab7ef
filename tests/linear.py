"""Linear Gaussian models made of the zoo's own parts, for which every number of a VAE is known."""

import math
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from datamodules import LinearGaussian
from zoo import MLP, Draw, FixedVariance, Gaussian, GaussianVAE, LatentVariableModel

Model = TypeVar("Model", bound=LatentVariableModel)


def linear_data(latent_dim: int = 3, x_dim: int = 5, variance: float = 0.3, n: int = 7) -> LinearGaussian:
    """Loadings whose columns are correlated, so that no independent posterior is exact."""
    return LinearGaussian(latent_dim, x_dim, variance, n_train=101, n_val=0, n_test=n, data_seed=2)


def orthogonal_data(latent_dim: int = 3, x_dim: int = 5, variance: float = 0.3, n: int = 7) -> LinearGaussian:
    """Loadings with orthogonal columns: W'W is diagonal, and so is the covariance of the posterior."""
    data = linear_data(latent_dim, x_dim, variance, n)
    data.W = torch.linalg.qr(data.W).Q * torch.linspace(0.7, 1.9, latent_dim)
    return data


def examples_of(data: LinearGaussian) -> Tensor:
    """The test examples, (B, x_dim)."""
    return data.splits.test.images


def linear_model(cls: type[Model], data: LinearGaussian, k: int = 4, **arguments: object) -> Model:
    """An untrained model of the data's shapes and variance, whose networks are affine."""
    variance = partial(FixedVariance, value=data.noise_variance)
    if issubclass(cls, GaussianVAE):
        arguments = {"variance": variance} | arguments
    else:
        arguments = {"likelihood": partial(Gaussian, variance=variance)} | arguments
    affine = partial(MLP, hidden=[])
    if cls.has_encoder:
        arguments = {"encoder": affine} | arguments
    return cls(x_shape=data.x_shape, latent_dim=data.W.shape[1], decoder=affine, k=k, **arguments)


def exact_model(cls: type[Model], data: LinearGaussian, k: int = 4, **arguments: object) -> Model:
    """The model that made the data, with the best independent posterior for its encoder."""
    model = linear_model(cls, data, k, **arguments)
    set_affine(model.decoder, data.W, data.mu)
    if cls.has_encoder:
        m = precision(data)
        mean = torch.linalg.solve(m, data.W.T)  # M^-1 W', (d, D)
        log_std = 0.5 * (data.noise_variance / m.diagonal()).log()
        set_affine(
            model.encoder,
            torch.cat([mean, torch.zeros_like(mean)]),  # the encoder emits (2, d): means, then log std
            torch.cat([-mean @ data.mu, log_std]),
        )
    return model


@torch.no_grad()
def set_affine(network: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Makes an MLP without hidden layers the map h -> weight h + bias."""
    layer = network.layers[0]
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


def precision(data: LinearGaussian) -> Tensor:
    """M = W'W + s2 I, (d, d): the posterior has covariance s2 M^-1."""
    return data.W.T @ data.W + data.noise_variance * torch.eye(data.W.shape[1])


def gap(data: LinearGaussian) -> Tensor:
    """How far the ELBO of the best independent posterior lies below log p(x), for every x."""
    m = precision(data)
    return 0.5 * (m.diagonal().log().sum() - m.logdet())


def exact_elbo(data: LinearGaussian, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The ELBO of q(z|x) = N(mean, diag std^2), in closed form, (B,)."""
    d, s2, r = data.W.shape[1], data.noise_variance, x - data.mu - mean @ data.W.T
    spread = (std.square() * data.W.square().sum(0)).sum(-1)  # tr(W S W')
    log_px = -0.5 * (len(data.mu) * math.log(2 * math.pi * s2) + (r.square().sum(-1) + spread) / s2)
    kl = 0.5 * (std.square() + mean.square() - 2 * std.log()).sum(-1) - d / 2
    return log_px - kl


def sigma_points(model: LatentVariableModel, x: Tensor) -> Draw:
    """2d equally weighted points mean ± sqrt(d) std e_i: they integrate every quadratic over q exactly.

    All that an affine Gaussian model averages over q is quadratic in z, so the mean over this Draw is the
    expectation itself, and its gradient the gradient of the expectation: nothing is left to chance.
    """
    q = model.encode(x)
    d = model.latent_dim
    steps = math.sqrt(d) * torch.cat([torch.eye(d), -torch.eye(d)])[:, None]  # (2d, 1, d)
    z = q.mean + q.stddev * steps
    return Draw(q, model.prior(), z, model.decode(z).log_prob(x))


def standard_error(values: Tensor) -> Tensor:
    """Of the mean over the first axis."""
    return values.std(0) / math.sqrt(len(values))


def same(a: Tensor, b: Tensor | float, tolerance: float = 1e-10) -> None:
    """Asserts that they differ by no more than the tolerance, anywhere."""
    torch.testing.assert_close(a, torch.as_tensor(b).expand_as(a), rtol=0, atol=tolerance)
