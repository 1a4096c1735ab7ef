"""Trains the four models at equal epochs and prints their test results as a table in Markdown.

python benchmarks/four_models.py --data MNIST5k --epochs 100
python benchmarks/four_models.py --data MNIST --epochs 20     # MNIST in ZOO_DATA_DIR, or downloaded
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

CONFIGS = ("bernoulli_vae", "gaussian_vae", "iwae", "prior_sampling")
COLUMNS = ("model", "pixels", "objective", "ELBO", "KL", "log-likelihood", "active units")


def train(config: str, data: str, epochs: int, k: int, folder: Path) -> dict[str, str]:
    """Runs one model and reads its `metrics.json`."""
    command = [sys.executable, "-m", "zoo", "fit", "--config", config, f"--data={data}"]
    command += [f"--trainer.max_epochs={epochs}", f"--log_likelihood.k={k}", f"--trainer.default_root_dir={folder}"]
    command += ["--trainer.enable_progress_bar=false"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    model = config.replace("_", "")
    newest = max(folder.glob(f"{model}-{data.lower()}/*/metrics.json"), key=lambda path: path.stat().st_mtime)
    return row(json.loads(newest.read_text()), k)


def row(results: dict, k: int) -> dict[str, str]:
    """One line of the table."""
    test = results["test"]
    own = "" if results["proposal"] == "encoder" else "_prior_proposal"
    name = f"log_likelihood{own}"
    likelihood = f"{test[f'{name}/{k}']:.2f} ± {test[f'{name}/se']:.2f}" + (" (prior proposal)" if own else "")
    return {
        "model": f"{results['model']}, k = {results['k']}",
        "pixels": results["pixels"],
        "objective": f"{test['objective']:.2f}",
        "ELBO": f"{test['elbo']:.2f}" + (" (prior proposal)" if own else ""),
        "KL": f"{test['kl']:.2f}" if "kl" in test else "n/a",
        "log-likelihood": likelihood,
        "active units": f"{test['active_units']:.0f}" if "active_units" in test else "n/a",
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="MNIST5k")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--k", type=int, default=1000, help="draws of the log-likelihood")
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    options = parser.parse_args()
    rows = [train(config, options.data, options.epochs, options.k, options.folder) for config in CONFIGS]
    heads = [f"{column}, k = {options.k}" if column == "log-likelihood" else column for column in COLUMNS]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(COLUMNS))
    for each in rows:
        print("| " + " | ".join(each[column] for column in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    main()
