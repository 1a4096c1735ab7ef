"""Variances, posteriors and priors by their short names: on the command line, in YAML and out of a checkpoint."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from zoo.cli import main

SMALL = [
    "--data=LinearGaussian",
    "--data.n_train=50",
    "--data.n_val=11",
    "--data.n_test=13",
    "--data.batch_size=25",
    "--model.latent_dim=2",
    "--model.encoder.hidden=[4]",
    "--model.decoder.hidden=[4]",
    "--log_likelihood.k=2",
    "--pictures.stages=[test]",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
]
RUNS = {
    "an IWAE with a full posterior, a VampPrior and a decoded variance": (
        [
            "--model=IWAE",
            "--model.posterior=FullGaussian",
            "--model.prior=VampPrior",
            "--model.prior.components=3",
            "--model.prior.clip=false",
            "--model.likelihood=Gaussian",
            "--model.likelihood.variance=DecodedVariance",
            "--model.likelihood.variance.floor=0.001",
        ],
        {
            "posterior": {"class_path": "FullGaussian"},
            "prior": {"class_path": "VampPrior", "init_args": {"components": 3, "clip": False}},
        },
        {"prior.pseudo_inputs": (3, 5)},
    ),
    "a GaussianVAE with a flow, a mixture and the optimal variance": (
        [
            "--model=GaussianVAE",
            "--model.closed_form_kl=false",
            "--model.posterior=CouplingFlow",
            "--model.posterior.hidden=[5]",
            "--model.posterior.context=3",
            "--model.prior=MixtureOfGaussians",
            "--model.prior.components=4",
            "--model.variance=OptimalVariance",
            "--model.variance.momentum=0.5",
        ],
        {
            "posterior": {"class_path": "CouplingFlow", "init_args": {"transforms": 2, "context": 3, "hidden": [5]}},
            "prior": {"class_path": "MixtureOfGaussians", "init_args": {"components": 4}},
            "variance": {"class_path": "OptimalVariance", "init_args": {"momentum": 0.5, "floor": 1e-4}},
        },
        {"prior.mean": (4, 2), "likelihood.variance.running": (), "likelihood.variance.steps": ()},
    ),
}


def bare(config: dict) -> dict:
    """A part's entry with the name of its class alone."""
    return config | {"class_path": config["class_path"].rpartition(".")[2]}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.usefixtures("own_place")
def test_a_run_with_named_parts_is_tested_again_out_of_its_checkpoint(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, parts, state = RUNS[run]
    monkeypatch.chdir(tmp_path)
    torch.set_default_dtype(torch.float32)
    main(["fit", *options, *SMALL])
    (folder,) = Path("runs").glob("*/1")
    arguments = yaml.safe_load((folder / "config.yaml").read_text())["model"]["init_args"]
    for name, expected in parts.items():
        found = bare(arguments[name])
        assert expected.items() <= found.items(), name
    weights = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    for name, shape in state.items():
        assert weights[name].shape == shape
    first = json.loads((folder / "metrics.json").read_text())["test"]
    assert {"variance", "variance_at_floor"} <= first.keys()
    main(["test", "--ckpt_path", str(folder / "checkpoints/best.ckpt")])
    second = json.loads((folder.parent / "2" / "metrics.json").read_text())["test"]
    assert second == pytest.approx(first, rel=1e-5)
