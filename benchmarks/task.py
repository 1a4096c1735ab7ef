"""One piece of work that every contender does: Burda's one-layer net on the same images from the same weights."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.floor import N_PIXELS, Layer, perceptron, products

Array = np.ndarray
Pair = tuple[Array, Array]


@dataclass(frozen=True)
class Task:
    """A net, an objective and the sizes of a step. A stretch, which is what is timed, is one epoch.

    Args:
        objective: `vae` with the KL term in closed form; `iwae`; `prior`, of draws of p(z) that a batch shares; or
            `log_likelihood`, which is estimated and not trained on.
        batch: The images of a step.
        k: The draws of an image, or of the batch where it shares them.
        n: The images of an epoch.
        folder: Where the images and the weights lie.
        latent_dim: The number of latent dimensions.
        hidden: The width of the two hidden layers of each network.
        gain: What Glorot's weights are multiplied by: small weights make an estimate of log p(x) exact.
        device: Where it runs: `cpu` or `cuda`.
    """

    objective: Literal["vae", "iwae", "prior", "log_likelihood"]
    batch: int
    k: int
    n: int
    folder: str
    latent_dim: int = 50
    hidden: int = 200
    gain: float = 1.0
    device: str = "cpu"

    @staticmethod
    def given() -> "Task":
        """The task of this process, which is a contender's."""
        return Task(**json.loads(os.environ["BENCHMARK_TASK"]))

    def dump(self) -> str:
        """The task, to be `given` to a process."""
        return json.dumps(asdict(self))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of the noise of a step: (k, B, D), or (k, D) where the batch shares it."""
        return (self.k, self.latent_dim) if self.objective == "prior" else (self.k, self.batch, self.latent_dim)

    @property
    def decoder(self) -> list[tuple[int, int]]:
        """The sizes in and out of each layer of the decoder."""
        return perceptron(self.latent_dim, self.hidden, N_PIXELS)

    @property
    def networks(self) -> list[tuple[int, int]]:
        """The sizes in and out of each layer, those of the encoder first."""
        encoder = [] if self.objective == "prior" else perceptron(N_PIXELS, self.hidden, 2 * self.latent_dim)
        return encoder + self.decoder

    def layers(self) -> list[Layer]:
        """The matrix products of a step."""
        return products(self.objective, self.batch, self.k, self.networks)

    def images(self) -> Array:
        """The training images, 0 or 1, (n, 784) in float32."""
        return np.load(Path(self.folder) / "images.npy")[: self.n].reshape(self.n, -1).astype(np.float32)

    def weights(self) -> list[Pair]:
        """The weights (out, in) and biases that all begin with, Glorot's and drawn by a fixed seed, layer by layer."""
        generator = np.random.default_rng(0)
        pairs = []
        for n_in, n_out in self.networks:
            limit = self.gain * np.sqrt(6 / (n_in + n_out))
            weight = generator.uniform(-limit, limit, (n_out, n_in))
            pairs.append((weight.astype(np.float32), generator.uniform(-0.1, 0.1, n_out).astype(np.float32)))
        return pairs
