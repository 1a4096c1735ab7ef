"""What the monitors cost: a fit with the callbacks of every `zoo fit` beside one with none, in turn, as ratios.

What is watched ten times a run is watched once in 20 epochs, as in a run of 200, which is the default.

python benchmarks/monitors.py --times 5
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl

import zoo
from callbacks import KLTerm, LogLikelihood, PosteriorVariance, ResourceCompetition
from datamodules import MNIST5k

EPOCHS = 20


def defaults() -> list[pl.Callback]:
    """The monitors of every `zoo fit`, as they watch validation; there are no loggers and no pictures."""
    val: Any = {"stages": ["val"], "every_n_epochs": EPOCHS}
    often = PosteriorVariance(stages=["val"])
    return [LogLikelihood(val_k=64, n_images=100, **val), KLTerm(**val), ResourceCompetition(**val), often]


def seconds(model: zoo.LatentVariableModel, monitors: Sequence[pl.Callback]) -> float:
    """How long a fit takes, validation included."""
    with tempfile.TemporaryDirectory() as folder:
        quiet: Any = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        trainer = pl.Trainer(
            max_epochs=EPOCHS, callbacks=list(monitors), logger=False, default_root_dir=folder, accelerator="cpu",
            num_sanity_val_steps=0, **quiet,
        )  # fmt: skip
        data = MNIST5k()
        data.setup("fit")
        began = time.perf_counter()
        trainer.fit(model, datamodule=data)
        return time.perf_counter() - began


def ratios(make: Callable[[], zoo.LatentVariableModel], times: int) -> list[float]:
    """Seconds with monitors over seconds without, of pairs that are run one after the other, in changing order."""
    found = []
    for turn in range(times + 1):
        kinds = [defaults(), []] if turn % 2 else [[], defaults()]
        took = {bool(monitors): seconds(make(), monitors) for monitors in kinds}
        if turn:  # the first warms up
            found.append(took[True] / took[False])
    return sorted(found)


def main() -> None:
    """Prints the median ratio of each model, and the least and the greatest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    shape = MNIST5k.x_shape
    for name, make in {
        "BernoulliVAE": lambda: zoo.BernoulliVAE(x_shape=shape, latent_dim=50),
        "IWAE, k = 5": lambda: zoo.IWAE(x_shape=shape, latent_dim=50, k=5),
        "PriorSampling, k = 100": lambda: zoo.PriorSampling(x_shape=shape, latent_dim=50, k=100),
    }.items():
        found = ratios(make, options.times)
        print(f"{name}: {statistics.median(found):.3f} ({found[0]:.3f} to {found[-1]:.3f})", flush=True)


if __name__ == "__main__":
    main()
