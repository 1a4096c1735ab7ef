"""pythae: its VAE or its IWAE, trained by its own trainer."""

from pathlib import Path
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback

from benchmarks.peers.net import REPEATS, loss
from benchmarks.peers.pythae_net import model
from benchmarks.task import Task
from benchmarks.turns import Turns


class Watch(TrainingCallback):
    """Takes turns by the epoch."""

    def __init__(self, task: Task, model: Any) -> None:
        self.turns, self.task, self.model = Turns(), task, model
        self.x = torch.from_numpy(task.images()[: task.batch]).to(task.device)

    def on_epoch_begin(self, training_config: Any, **kwargs: Any) -> None:
        """Ends a stretch and begins the next."""
        self.turns.wait(lambda: [self.loss(seed) for seed in range(REPEATS)])

    def on_eval_step_begin(self, training_config: Any, **kwargs: Any) -> None:
        """The steps are done."""
        self.turns.trained()

    def loss(self, seed: int) -> float:
        """The loss of one draw of the noise, after a look whether pythae's has the same gradients.

        The value of its IWAE's loss is no bound; its gradients are those of one.
        """
        task = self.task
        weights = [*self.model.encoder.parameters(), *self.model.decoder.parameters()]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            theirs = self.model({"data": self.x}).loss
            torch.manual_seed(seed)
            noise = torch.randn(task.batch, task.k, task.latent_dim, device=task.device).transpose(0, 1)
        own = loss(task.objective, weights, self.x, noise)
        for one, other in zip(torch.autograd.grad(theirs, weights), torch.autograd.grad(own, weights), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2 * other.abs().max().item())
        return own.item()


def main() -> None:
    """Trains for as good as ever."""
    task = Task.given()
    net, x = model(task), torch.from_numpy(task.images())
    train, val = (BaseDataset(part, torch.zeros(len(part))) for part in (x, x[: task.n // 10]))
    config = BaseTrainerConfig(
        output_dir=str(Path(task.folder) / "pythae"), num_epochs=10**6, learning_rate=1e-3, optimizer_cls="Adam",
        per_device_train_batch_size=task.batch, per_device_eval_batch_size=task.batch, no_cuda=task.device == "cpu",
    )  # fmt: skip
    BaseTrainer(net, train, val, config, [Watch(task, net)]).train()


if __name__ == "__main__":
    main()
