"""Ours: the ordinary `zoo fit`, with logging, monitors and progress at their defaults."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.peers.watch import Watch
from benchmarks.task import Task
from zoo.cli import main

MODELS = {"vae": "BernoulliVAE", "iwae": "IWAE", "prior": "PriorSampling"}


class WatchZoo(Watch):
    """The watch of a model of the zoo."""

    def loss(self, model: Any, x: Tensor) -> Tensor:
        """Minus the objective, in nats an image."""
        return -model.objective(model.draw(x.view(-1, *model.x_shape))).mean()


def options(task: Task) -> list[str]:
    """What is typed after `zoo fit`."""
    folder = Path(task.folder)
    anew = "BENCHMARK_ANEW" in os.environ
    path, n_val = folder / f"zoo-{task.n}-{anew}.npy", task.n // 10
    np.save(path, np.load(folder / ("grey.npy" if anew else "images.npy"), mmap_mode="r")[: task.n + 2 * n_val])
    data = {"path": path, "val": n_val, "test": n_val}
    model = {"k": task.k, "latent_dim": task.latent_dim, "decoder.hidden": f"[{task.hidden},{task.hidden}]"}
    if task.objective != "prior":
        model["encoder.hidden"] = model["decoder.hidden"]
    trainer = {"default_root_dir": folder / "runs", "accelerator": "cpu" if task.device == "cpu" else "cuda"}
    return [
        f"--model={MODELS[task.objective]}", *(f"--model.{name}={value}" for name, value in model.items()),
        "--data=ArrayImages", f"--data.batch_size={task.batch}", f"--data.pixels={'Dynamic' if anew else 'Binary'}",
        *(f"--data.{name}={value}" for name, value in data.items()),
        *(f"--trainer.{name}={value}" for name, value in trainer.items()), "--trainer.devices=1",
        "--trainer.callbacks+=benchmarks.peers.zoo_fit.WatchZoo", "--test_after_fit=false",
    ]  # fmt: skip


if __name__ == "__main__":
    main(["fit", *options(Task.given())])
