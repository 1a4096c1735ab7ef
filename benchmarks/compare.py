"""Trains what stands in one table, at equal epochs, and prints the test results in Markdown.

python benchmarks/compare.py models --data MNIST5k --epochs 100
python benchmarks/compare.py variances --data FreyFaces --epochs 400     # data in ZOO_DATA_DIR, or downloaded
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

GAUSSIAN = "{data} --data.pixels Dequantised --model GaussianVAE"
GREY = "{data} --data.pixels Grey --model VAE"
BERNOULLI = "{data} --data.pixels Dynamic --model BernoulliVAE"
ONE_DRAW_KL = f"{BERNOULLI} --model.closed_form_kl=false"
TABLES = {
    "models": {
        "BernoulliVAE, k = 1": "--config bernoulli_vae {data}",
        "GaussianVAE, k = 1": "--config gaussian_vae {data}",
        "IWAE, k = 5": "--config iwae {data}",
        "PriorSampling, k = 100": "--config prior_sampling {data}",
    },
    "variances": {
        "fixed, 1": f"{GAUSSIAN} --model.variance FixedVariance --model.variance.value=1",
        "fixed, 0.1": f"{GAUSSIAN} --model.variance FixedVariance --model.variance.value=0.1",
        "fixed, 0.01": f"{GAUSSIAN} --model.variance FixedVariance --model.variance.value=0.01",
        "learned": f"{GAUSSIAN} --model.variance LearnedVariance",
        "optimal": f"{GAUSSIAN} --model.variance OptimalVariance",
        "learned, a pixel": f"{GAUSSIAN} --model.variance PixelVariance",
        "decoded, σ²(z)": f"{GAUSSIAN} --model.variance DecodedVariance",
    },
    "likelihoods": {
        "Gaussian": GAUSSIAN,
        "Student-t": "{data} --data.pixels Dequantised --model VAE --model.likelihood StudentT",
        "discretised logistic": f"{GREY} --model.likelihood DiscretisedLogistic",
        "categorical": f"{GREY} --model.likelihood Categorical",
        "continuous Bernoulli": f"{GREY} --model.likelihood ContinuousBernoulli",
    },
    "networks": {
        "MLP": BERNOULLI,
        "GatedMLP": f"{BERNOULLI} --model.encoder GatedMLP --model.decoder GatedMLP",
        "convolutions": f"{BERNOULLI} --model.encoder ConvEncoder --model.decoder ConvDecoder",
    },
    "priors": {
        "StandardNormal": ONE_DRAW_KL,
        "MixtureOfGaussians, 10": f"{ONE_DRAW_KL} --model.prior MixtureOfGaussians",
        "VampPrior, 500": f"{ONE_DRAW_KL} --model.prior VampPrior",
    },
    "posteriors": {
        "DiagonalGaussian": ONE_DRAW_KL,
        "FullGaussian": f"{ONE_DRAW_KL} --model.posterior FullGaussian",
        "CouplingFlow": f"{ONE_DRAW_KL} --model.posterior CouplingFlow",
    },
}


def train(options: str, data: str, epochs: int, k: int, folder: Path) -> dict[str, Any]:
    """Runs one line of a table and reads its `metrics.json`."""
    command = [sys.executable, "-m", "zoo", "fit", *options.format(data=f"--data {data}").split()]
    command += [f"--trainer.max_epochs={epochs}", f"--log_likelihood.k={k}", f"--trainer.default_root_dir={folder}"]
    command += ["--trainer.enable_progress_bar=false"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    newest = max(folder.glob("*/*/metrics.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())


def row(results: dict[str, Any], k: int) -> dict[str, str]:
    """One line of the table: what there is of it."""
    test, prior = results["test"], results["proposal"] != "encoder"
    own = "_prior_proposal" if prior else ""
    label = " (prior proposal)" if prior else ""
    name = f"log_likelihood{own}"
    numbers = {
        "objective": ("objective", ".2f", ""),
        "elbo": ("ELBO", ".2f", label),
        "elbo_mc": ("ELBO", ".2f", label),
        "kl": ("KL", ".2f", ""),
        "kl_mc": ("KL", ".2f", ""),
        f"{name}/{k}": (f"log-likelihood, k = {k}", ".2f", f" ± {test[f'{name}/se']:.2f}{label}"),
        "active_units": ("active units", ".0f", ""),
        "variance": ("σ²", ".4g", ""),
        "variance_at_floor": ("at its floor", ".0%", ""),
        f"bits_per_dimension{own}/{k}": ("bits/dim", ".3f", label),
    }
    cells = {head: format(test[key], form) + of for key, (head, form, of) in numbers.items() if key in test}
    return {"pixels": results["pixels"]} | cells


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--data", default="MNIST5k")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--k", type=int, default=1000, help="draws of the log-likelihood")
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    given = parser.parse_args()
    rows = {
        label: row(train(options, given.data, given.epochs, given.k, given.folder), given.k)
        for label, options in TABLES[given.table].items()
    }
    heads = list(dict.fromkeys(head for cells in rows.values() for head in cells))
    print(f"| {given.table} | " + " | ".join(heads) + " |")
    print("|---" * (1 + len(heads)) + "|")
    for label, cells in rows.items():
        print(f"| {label} | " + " | ".join(cells.get(head, "n/a") for head in heads) + " |", flush=True)


if __name__ == "__main__":
    main()
