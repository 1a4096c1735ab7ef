"""The optimum of a linear VAE on given data, which is probabilistic PCA, written down instead of trained."""

from typing import NamedTuple

import torch
from torch import Tensor

from tests import linear
from zoo import GaussianVAE


class Optimum(NamedTuple):
    """A model at its optimum, its data (N, 5) and what is known of its 4 units, in the order of the eigenvalues."""

    model: GaussianVAE
    x: Tensor
    variance: Tensor

    @property
    def kl(self) -> Tensor:
        """Half the logarithm of eigenvalue over noise, nothing where a unit has collapsed."""
        return -0.5 * self.variance.log()


def optimum(active: int) -> Optimum:
    """With noise between the eigenvalues, so that `active` of them are above it."""
    data = linear.linear_data(latent_dim=4, x_dim=5)
    x = data.splits.train.images
    eigenvalues, axes = torch.linalg.eigh(x.T.cov(correction=0))
    eigenvalues, axes = eigenvalues.flip(0), axes.flip(1)  # descending
    edges = torch.cat([2 * eigenvalues[:1], eigenvalues])
    data.noise_variance = float(edges[active : active + 2].log().mean().exp())
    kept = eigenvalues[:4].clamp(min=data.noise_variance)
    data.W, data.mu = axes[:, :4] * (kept - data.noise_variance).sqrt(), x.mean(0)
    return Optimum(linear.exact_model(GaussianVAE, data), x, data.noise_variance / kept)
