"""A Lightning Trainer as people write it: a stock DataLoader, three terms logged a step, torch.distributions."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.watch import Watch
from benchmarks.task import Task


def mlp(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """A perceptron of two hidden layers."""
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, n_out)
    )


class VAE(pl.LightningModule):
    """A VAE or an IWAE in one class.

    Args:
        task: Which, and its sizes.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.encoder = mlp(784, task.hidden, 2 * task.latent_dim)
        self.decoder = mlp(task.latent_dim, task.hidden, 784)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The loss, the reconstruction and the KL term."""
        mean, log_std = self.encoder(x).chunk(2, dim=-1)
        q, p = Normal(mean, log_std.exp()), Normal(torch.zeros_like(mean), torch.ones_like(mean))
        z = q.rsample(torch.Size([self.task.k]))
        log_px = Bernoulli(logits=self.decoder(z)).log_prob(x).sum(-1)
        kl = kl_divergence(q, p).sum(-1)
        if self.task.objective == "vae":
            loss = (kl - log_px.mean(0)).mean()
        else:
            log_w = log_px + (p.log_prob(z) - q.log_prob(z)).sum(-1)
            loss = (torch.tensor(self.task.k).log() - log_w.logsumexp(0)).mean()
        return {"loss": loss, "reconstruction": -log_px.mean(), "kl": kl.mean()}

    def loss(self, x: Tensor) -> Tensor:
        """The loss alone."""
        return self.terms(x)["loss"]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Logs three terms."""
        terms = self.terms(batch[0])
        for name, value in terms.items():
            self.log(f"train_{name}", value, prog_bar=True)
        return terms["loss"]

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Logs them of validation."""
        for name, value in self.terms(batch[0]).items():
            self.log(f"val_{name}", value, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main() -> None:
    """Trains for ever."""
    task = Task.given()
    x = torch.from_numpy(task.images())
    train = DataLoader(TensorDataset(x), batch_size=task.batch, shuffle=True)
    val = DataLoader(TensorDataset(x[: task.n // 10]), batch_size=task.batch)
    trainer = pl.Trainer(
        max_epochs=-1, accelerator=task.device, devices=1, callbacks=[Watch()],
        default_root_dir=Path(task.folder) / "lightning",
    )  # fmt: skip
    trainer.fit(VAE(task), train, val)


if __name__ == "__main__":
    main()
