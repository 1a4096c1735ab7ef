"""Burda's net as pythae takes it: an encoder and a decoder of one's own in its VAE or its IWAE."""

from typing import Any

import torch
from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import Tensor, nn

from benchmarks.peers.lightning_trainer import mlp
from benchmarks.peers.net import tensors
from benchmarks.task import Task


class Encoder(BaseEncoder):
    """The mean and log σ², from the mean and log σ."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        """Maps (B, 784)."""
        mean, log_std = self.net(x).chunk(2, -1)
        return ModelOutput(embedding=mean, log_covariance=2 * log_std)


class Decoder(BaseDecoder):
    """Probabilities."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Any:
        """Maps (n, D)."""
        return ModelOutput(reconstruction=self.net(z).sigmoid())


def model(task: Task) -> Any:
    """The model of a task, at its weights."""
    encoder = Encoder(mlp(784, task.hidden, 2 * task.latent_dim))
    decoder = Decoder(mlp(task.latent_dim, task.hidden, 784))
    with torch.no_grad():
        for own, weight in zip([*encoder.parameters(), *decoder.parameters()], tensors(task), strict=True):
            own.copy_(weight)
    sizes: Any = {"input_dim": (784,), "latent_dim": task.latent_dim, "reconstruction_loss": "bce"}
    if task.objective == "iwae":
        return IWAE(IWAEConfig(**sizes, number_samples=task.k), encoder, decoder)
    return VAE(VAEConfig(**sizes), encoder, decoder)
