"""Sets estimates of log p(x) side by side on one decoder trained as a VAE, as an IWAE and by prior sampling.

python benchmarks/log_likelihoods.py --data MNIST --epochs 30          # data in ZOO_DATA_DIR, or downloaded
python benchmarks/log_likelihoods.py --data MNIST --checkpoints runs/*-mnist/1/checkpoints/best.ckpt

It prints means over test images ± their standard errors, in nats, with the paired difference from L_k of the same
images by the model's own proposal, and what an image costs: passes through the decoder, and seconds, in which images
share the training of an encoder and a compilation. Annealed importance sampling takes the first of the images; its gap
is that of bidirectional Monte Carlo, on as many that the model has made.
"""

import argparse
import functools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import datamodules
import zoo
from zoo import AnnealedImportanceSampling
from zoo.denormals import flush_denormals
from zoo.estimators import bidirectional_monte_carlo, simulate
from zoo.memory import keep_freed
from zoo.noise import fingerprint

MODELS = (
    "--model BernoulliVAE",
    "--model IWAE --model.k=10",
    "--model PriorSampling --model.k=1000",
)
"""What is trained where no checkpoints are given."""


class Estimator(NamedTuple):
    """One column of the table."""

    name: str
    estimate: Callable[[zoo.LatentVariableModel, Any, Tensor], Tensor]
    """From a model, the data and x (B, *x_shape) to what is estimated of each example, (B,), in nats."""
    passes: int
    """How often an image is decoded, without what is trained once for all."""
    n_images: int
    """How many images it takes."""
    is_gap: bool = False
    """Whether it is the distance of two bounds, and no log-likelihood."""


def by_proposal(model: zoo.LatentVariableModel, data: Any, x: Tensor, k: int, proposal: zoo.Proposal | None) -> Tensor:
    """L_k of each example, (B,)."""
    if proposal is not None:
        proposal.fit(model, data)
    return torch.cat([model.log_likelihood(part, k, proposal=proposal) for part in x.split(20)])


def annealed(model: zoo.LatentVariableModel, data: Any, x: Tensor, ais: AnnealedImportanceSampling) -> Tensor:
    """The estimate of annealed importance sampling, (B,)."""
    return ais(model, x).log_likelihood


def bidirectional(model: zoo.LatentVariableModel, data: Any, x: Tensor, ais: AnnealedImportanceSampling) -> Tensor:
    """The gap of bidirectional Monte Carlo, of as many examples as x that the model has made, (B,)."""
    return bidirectional_monte_carlo(model, simulate(model, len(x)), ais).gap


def estimators(k: int, refit_epochs: int, n_images: int, ais_images: int, temperatures: int) -> list[Estimator]:
    """The columns: L_k by several proposals, annealed importance sampling from the prior, and its gap."""
    ais = AnnealedImportanceSampling(temperatures, n_chains=10)
    fits = zoo.Refitted()
    by_elbo = zoo.RefittedEncoder(zoo.RefitVAE, refit_epochs)
    by_iwae = zoo.RefittedEncoder(functools.partial(zoo.RefitIWAE, k=10), refit_epochs)
    columns = {
        f"L_{k}": (None, k),
        "encoder refitted by ELBO": (by_elbo, k),
        "encoder refitted by IWAE, k = 10": (by_iwae, k),
        "refitted to each image": (fits, k + 2 * fits.steps * fits.pairs),
    }
    weighed = [
        Estimator(name, functools.partial(by_proposal, k=k, proposal=proposal), passes, n_images)
        for name, (proposal, passes) in columns.items()
    ]
    return [
        *weighed,
        Estimator(f"AIS, T = {temperatures}", functools.partial(annealed, ais=ais), ais.passes, ais_images),
        Estimator("BDMC gap", functools.partial(bidirectional, ais=ais), 2 * ais.passes, ais_images, is_gap=True),
    ]


def trained(options: str, data: str, epochs: int, folder: Path) -> Path:
    """Trains a model and gives the path of its best checkpoint."""
    command = [sys.executable, "-m", "zoo", "fit", "--data", data, *options.split(), "--test_after_fit=false"]
    command += [f"--trainer.max_epochs={epochs}", f"--trainer.default_root_dir={folder}"]
    subprocess.run([*command, "--trainer.enable_progress_bar=false"], check=True, stdout=sys.stderr)
    return max(folder.glob("*/*/checkpoints/best.ckpt"), key=lambda path: path.stat().st_mtime)


def some_test_images(data: Any, n: int) -> Tensor:
    """The n test images of the smallest hashes."""
    x = torch.cat([data.on_after_batch_transfer(stored, 0).x for stored in data.test_dataloader()])
    return x[fingerprint(x).argsort()[:n]]


def cell(values: Tensor, own: Tensor, is_gap: bool) -> str:
    """The mean ± its standard error, and the paired difference from another estimate of the same images."""
    mean, paired = (
        f"{each.mean():.2f} ± {each.std() / len(each) ** 0.5:.2f}" for each in (values, values - own[: len(values)])
    )
    return mean if values is own or is_gap else f"{mean} ({paired} above)"


def row(path: Path, data: Any, x: Tensor, columns: list[Estimator]) -> str:
    """What the estimators find of a model, and how long each took for an image."""
    model, found, seconds = zoo.load(path), [], []
    for each in columns:
        start = time.perf_counter()
        found.append(each.estimate(model, data, x[: each.n_images]))
        seconds.append((time.perf_counter() - start) / each.n_images)
    cells = [cell(values, found[0], each.is_gap) for each, values in zip(columns, found, strict=True)]
    name = f"{type(model).__name__}, k = {model.k}" + (", L_k of draws of the prior" * (not model.has_encoder))
    return f"| {name} | {' | '.join(cells)} |\n| seconds an image | {' | '.join(f'{s:.2g}' for s in seconds)} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="MNIST5k")
    parser.add_argument("--epochs", type=int, default=30, help="of training the three models")
    parser.add_argument("--checkpoints", type=Path, nargs="+", help="take these models instead")
    parser.add_argument("--k", type=int, default=5000, help="draws of the log-likelihood")
    parser.add_argument("--refit_epochs", type=int, default=20, help="of training an encoder")
    parser.add_argument("--n_images", type=int, default=500)
    parser.add_argument("--ais_images", type=int, default=50, help="of annealed importance sampling")
    parser.add_argument("--temperatures", type=int, default=500, help="of annealed importance sampling")
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    given = parser.parse_args()
    keep_freed()  # as the command line does
    flush_denormals()
    paths = given.checkpoints or [trained(options, given.data, given.epochs, given.folder) for options in MODELS]
    data = getattr(datamodules, given.data)()
    data.prepare_data()
    data.setup("test")
    x = some_test_images(data, given.n_images)
    columns = estimators(given.k, given.refit_epochs, len(x), min(len(x), given.ais_images), given.temperatures)
    print(f"| {given.data} | " + " | ".join(f"{each.name}, {each.n_images} images" for each in columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for path in paths:
        print(row(path, data, x, columns), flush=True)
    print("| decoder passes an image | " + " | ".join(f"{each.passes:,}" for each in columns) + " |")


if __name__ == "__main__":
    main()
