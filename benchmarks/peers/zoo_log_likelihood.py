"""Ours: `model.log_likelihood(x, k)`, in a process that keeps its memory and flushes denormals as `zoo test` does."""

import torch

import zoo
from benchmarks.peers.net import tensors
from benchmarks.task import Task
from benchmarks.turns import take_turns
from zoo.memory import keep_freed


def trained(task: Task) -> zoo.LatentVariableModel:
    """The model at the weights of the task."""
    model = zoo.IWAE(x_shape=(1, 28, 28), latent_dim=task.latent_dim, k=task.k).to(task.device)
    with torch.no_grad():
        for own, weight in zip(model.parameters(), tensors(task), strict=True):
            own.copy_(weight)
    return model


def main() -> None:
    """Takes turns."""
    keep_freed()
    torch.set_flush_denormal(True)
    task = Task.given()
    model = trained(task)
    x = torch.from_numpy(task.images()).to(task.device).view(-1, *model.x_shape)

    def stretch() -> None:
        for batch in x.split(task.batch):
            model.log_likelihood(batch, task.k).sum().item()

    # Its noise is a function of the images: another try would give the same.
    take_turns(stretch, lambda: [-model.log_likelihood(x[: task.batch], task.k).mean().item()] * 2)


if __name__ == "__main__":
    main()
