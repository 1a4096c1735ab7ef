"""L_k by pythae: `get_nll`, which goes from image to image."""

import torch

from benchmarks.peers.pythae_net import model
from benchmarks.task import Task
from benchmarks.turns import take_turns


def main() -> None:
    """Takes turns."""
    task = Task.given()
    net, x = model(task), torch.from_numpy(task.images())

    @torch.no_grad()
    def estimate(n: int) -> float:
        return float(net.get_nll(x[:n], n_samples=task.k))  # which is log p(x) in spite of its name

    take_turns(lambda: estimate(task.n), lambda: [-estimate(task.batch) for _ in range(2)])


if __name__ == "__main__":
    main()
