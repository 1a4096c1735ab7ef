"""The monitor of gradients: what it logs, on any number of ranks, beside a training that it does not touch."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks import GradientNoise
from datamodules import Grey, Pixels
from tests.known_gradients import Forgetful
from tests.ranks import ON_RANKS, trainer_of
from tests.small import SmallImages, small_model
from zoo import OptimalVariance
from zoo.cli import main
from zoo.errors import ZooError
from zoo.measures.gradients import gradient_noise, noise_floor
from zoo.noise import fingerprint

pytestmark = ON_RANKS

TRAINED: dict[str, tuple[str, dict[str, Any], Pixels | None]] = {
    "bernoulli": ("bernoulli", {"kl_warmup_steps": 9}, None),
    "optimal variance": ("gaussian", {"variance": OptimalVariance}, Grey()),
    "batch norm": ("bernoulli", {"encoder": Forgetful}, None),
    "iwae": ("iwae", {}, None),
    "prior": ("prior", {}, None),
}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", TRAINED)
def test_it_changes_no_training(tmp_path: Path, name: str, ranks: int) -> None:
    kind, arguments, pixels = TRAINED[name]
    weights = []
    for monitors in ([], [GradientNoise(draws=3)]):
        model = small_model(kind, **arguments)
        trainer = trainer_of(ranks, tmp_path, *monitors, max_epochs=2)
        trainer.fit(model, datamodule=SmallImages(pixels=pixels))
        assert ("val/gradient_snr/decoder" in trainer.callback_metrics) == bool(monitors)
        weights.append({**model.state_dict(), "noise": torch.get_rng_state()})
    assert any("running" in each for each in weights[0]) == (name in ("optimal variance", "batch norm"))
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key])


# --- what is logged


def numbers_of(monitor: GradientNoise, folder: Path, stage: str, ranks: int = 1, batch: int = 4) -> dict[str, float]:
    """What the monitor logs of a split, its names without the stage."""
    model = small_model("gaussian", variance=OptimalVariance)
    trainer = trainer_of(ranks, folder, monitor)
    run = trainer.test if stage == "test" else trainer.validate
    run(model, datamodule=SmallImages(eval_batch_size=batch), verbose=False)
    found = {name.removeprefix(f"{stage}/"): float(value) for name, value in trainer.callback_metrics.items()}
    return {name: value for name, value in found.items() if name.startswith("gradient")}


@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize(("n", "batch"), [(1, 4), (5, 1), (5, 4), (500, 4), (500, 100)])
def test_it_is_the_noise_on_the_images_of_the_smallest_hashes(tmp_path: Path, n: int, batch: int, stage: str) -> None:
    images = getattr(SmallImages().splits, stage).images
    x = images / 255.0
    probe = x[fingerprint(x).argsort()[:n]]
    noise = gradient_noise(small_model("gaussian", variance=OptimalVariance), probe, 3)
    expected = {"gradient_snr/floor": math.sqrt(2 / (3 * math.pi))}
    for part in ("encoder", "decoder"):
        expected[f"gradient_snr/{part}"] = float(noise[part].snr)
        expected[f"gradient_variance/{part}"] = float(noise[part].variance)
    found = numbers_of(GradientNoise(n, 3), tmp_path, stage, batch=batch)
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("n", [1, 5, 500])
def test_ranks_change_nothing(tmp_path: Path, ranks: int, n: int, stage: str) -> None:
    """Nor does a variance that is fitted over all ranks; of one image two ranks of three have none."""
    one, many = (numbers_of(GradientNoise(n, 3), tmp_path, stage, r, batch=2) for r in (1, ranks))
    assert many == pytest.approx(one, rel=1e-10) and len(one) == 5


# --- as a user meets it


def test_what_has_no_noise_is_refused() -> None:
    with pytest.raises(ZooError, match="draws is 1, where at least 2"):
        GradientNoise(draws=1)
    with pytest.raises(ZooError, match="n_images is 0"):
        GradientNoise(n_images=0)


def test_the_command_line_adds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_place: None) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--data=LinearGaussian", "--data.n_test=7", "--model=GaussianVAE", "--model.latent_dim=2"]
    options += [
        "--trainer.fast_dev_run=true",
        "--trainer.accelerator=cpu",
        "--log_likelihood.k=2",
        "--pictures.stages=[]",
    ]
    main(["fit", *options, "--trainer.callbacks+=GradientNoise", "--trainer.callbacks.draws=8"])
    (path,) = Path("runs").glob("*/1/metrics.json")
    found = json.loads(path.read_text())["test"]
    assert found["gradient_snr/floor"] == pytest.approx(noise_floor(8))
    assert {"gradient_snr/encoder", "gradient_variance/decoder"} < found.keys()
