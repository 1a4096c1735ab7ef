"""The command line, as a user types it: runs, folders, checkpoints."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml

import zoo
import zoo.cli.lightning_cli
from zoo.cli import main
from zoo.cli.parsing import shipped
from zoo.cli.runs import new_run

SMALL = [
    "--data=LinearGaussian",
    "--data.n_train=50",
    "--data.n_val=11",
    "--data.n_test=13",
    "--data.batch_size=20",
    "--model=GaussianVAE",
    "--model.latent_dim=2",
    "--model.encoder.hidden=[4]",
    "--model.decoder.hidden=[4]",
    "--pictures.stages=[]",  # they would be most of what these runs cost
    "--log_likelihood.k=5",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
]
RUN = Path("runs/gaussianvae-lineargaussian")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(*options: str) -> None:
    main(["fit", *SMALL, *options])


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


SHIPPED = sorted({path.stem for path in shipped("iwae").parent.glob("*.yaml")} - {"defaults"})
OF_PUBLISHED_DATA = {"frey_faces", "vampprior"}
DRAWN = {"gaussian_vae", "prior_sampling"}  # pictures would be most of what these runs cost


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_trains_and_is_tested(name: str) -> None:
    if name in OF_PUBLISHED_DATA and "ZOO_DATA_DIR" not in os.environ:
        pytest.skip("the published files are not here")
    cheap = ["--trainer.accelerator=cpu", "--log_likelihood.k=3"]
    cheap += ["--pictures.stages=[]"] * (name not in DRAWN)
    main(["fit", "--config", name, "--trainer.fast_dev_run=true", *cheap])
    (metrics,) = Path("runs").glob("*/1/metrics.json")
    assert math.isfinite(json.loads(metrics.read_text())["test"]["objective"])


def test_a_fit_leaves_a_folder_with_all_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    fit("--trainer.max_epochs=2", "--pictures.stages=[test]")
    names = {str(path.relative_to(RUN / "1")) for path in (RUN / "1").rglob("*") if path.is_file()}
    expected = {"config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv", "metrics.json"}
    assert expected | {"pictures/curves.png"} <= names
    assert any("tfevents" in name for name in names)
    results = json.loads((RUN / "1/metrics.json").read_text())
    assert results["epochs"] == 2 and results["test"]["log_likelihood/se"] > 0
    assert "log-likelihood, k = 5" in capsys.readouterr().out
    fit("--trainer.max_epochs=1", "--test_after_fit=false")
    assert (RUN / "2/checkpoints/last.ckpt").is_file() and not (RUN / "2/metrics.json").exists()


def test_the_tested_weights_are_the_best_ones() -> None:
    fit("--trainer.max_epochs=3")
    before = json.loads((RUN / "1/metrics.json").read_text())["test"]
    main(["test", "--ckpt_path", str(RUN / "1/checkpoints/best.ckpt")])  # data and options come from the run
    after = json.loads((RUN / "2/metrics.json").read_text())["test"]
    assert after == pytest.approx(before, rel=1e-12)


def test_last_goes_on_in_its_own_folder_as_if_it_had_never_stopped() -> None:
    fit("--trainer.max_epochs=3")
    fit("--trainer.max_epochs=1")
    fit("--trainer.max_epochs=3", "--ckpt_path=last")
    assert not (RUN / "3").exists()
    whole, resumed = (weights(RUN / n / "checkpoints/last.ckpt") for n in "12")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    rows = [(RUN / n / "metrics.csv").read_text().splitlines() for n in "12"]
    assert rows[0] == rows[1]


def test_ctrl_c_saves_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    class Impatient(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 4:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sys.modules[__name__], "Impatient", Impatient, raising=False)
    real = zoo.cli.lightning_cli.Report
    monkeypatch.setattr(zoo.cli.lightning_cli, "Report", Impatient)
    with pytest.raises(SystemExit) as stop:
        fit("--trainer.max_epochs=3")
    assert stop.value.code == 130
    assert "--ckpt_path runs/gaussianvae-lineargaussian/1/checkpoints/last.ckpt" in capsys.readouterr().out
    monkeypatch.setattr(zoo.cli.lightning_cli, "Report", real)
    fit("--trainer.max_epochs=3", "--ckpt_path=last")
    fit("--trainer.max_epochs=3")
    whole, resumed = (weights(RUN / n / "checkpoints/last.ckpt") for n in "21")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_options_of_a_checkpoint_hold_and_a_conflict_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    fit("--trainer.max_epochs=1", "--test_after_fit=false")
    best = str(RUN / "1/checkpoints/best.ckpt")
    main(["validate", "--ckpt_path", best, "--model.latent_dim=2"])  # the same is no conflict
    for option in ("--model.latent_dim=3", "--model.encoder.hidden=[5]", "--model=VAE"):
        with pytest.raises(SystemExit) as stop:
            main(["test", "--ckpt_path", best, option])
        assert stop.value.code == 1 and "a checkpoint keeps its own model" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["test", "--ckpt_path", best, "--data.x_dim=6"])
    assert "was made for examples of shape" in capsys.readouterr().err


def test_predict_writes_one_file_in_the_order_of_the_data() -> None:
    fit("--trainer.max_epochs=1", "--test_after_fit=false")
    main(["predict", "--ckpt_path", str(RUN / "1/checkpoints/best.ckpt"), "--predictions.k=4"])
    with np.load(RUN / "2/predictions.npz") as file:
        assert {name: file[name].shape for name in file} == {
            "codes": (13, 2),
            "reconstructions": (13, 5),
            "log_likelihood": (13,),
            "k": (),
        }


def test_a_fit_without_a_validation_set_is_tested_all_the_same() -> None:
    np.save("mine.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 6), dtype=np.uint8))
    options = ["--data=ArrayImages", "--data.path=mine.npy", "--data.val=0", "--model=IWAE", "--model.k=2"]
    main(["fit", *SMALL[-4:], *options, "--data.pixels=Dynamic", "--trainer.max_epochs=1"])
    assert json.loads(Path("runs/iwae-arrayimages/1/metrics.json").read_text())["test"]["log_likelihood/5"] < 0
    assert Path("runs/iwae-arrayimages/1/pictures/samples.png").is_file()


def test_a_class_of_ones_own_is_trained_by_its_dotted_path() -> None:
    Path("mine_own.py").write_text(
        "import zoo\n\n\nclass Mine(zoo.IWAE):\n"
        "    def __init__(self, m: int = 2, **kwargs):\n        super().__init__(**kwargs)\n        self.m = m\n"
    )
    main(["fit", "--model=mine_own.Mine", "--model.m=4", *SMALL[:5], *SMALL[9:], "--trainer.max_epochs=1",
          "--model.likelihood=Gaussian", "--model.latent_dim=2"])  # fmt: skip
    model = zoo.load("runs/mine-lineargaussian/1/checkpoints/best.ckpt")
    assert type(model).__name__ == "Mine" and model.m == 4


@pytest.mark.parametrize("kind", ["class_path", "stranger.LinearGaussian", "stranger.yaml"])
def test_what_stands_beside_a_checkpoint_is_not_imported_unless_it_is_named(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit("--trainer.max_epochs=1", "--test_after_fit=false")
    best, config = str(RUN / "1/checkpoints/best.ckpt"), RUN / "1/config.yaml"
    was_here = tmp_path / "was_here"
    (tmp_path / "stranger.py").write_text(f"open({str(was_here)!r}, 'w')\nfrom datamodules import LinearGaussian\n")
    (config.parent / "stranger.yaml").write_text("class_path: stranger.LinearGaussian\n")
    data = kind if kind.startswith("stranger") else {"class_path": "stranger.LinearGaussian"}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"data": data}))
    with pytest.raises(SystemExit) as stop:
        main(["test", "--ckpt_path", best])
    assert stop.value.code in (1, 2) and "say so with --config" in capsys.readouterr().err
    assert not was_here.exists()


@pytest.mark.parametrize("name", ["last", "best"])
def test_last_and_best_bring_the_options_of_their_run(name: str) -> None:
    fit("--trainer.max_epochs=1", "--data.data_seed=7", "--trainer.gradient_clip_val=0.01")
    before = json.loads((RUN / "1/metrics.json").read_text())["test"]
    main(["test", "--model=GaussianVAE", "--data=LinearGaussian", "--ckpt_path", name])
    assert json.loads((RUN / "2/metrics.json").read_text())["test"] == pytest.approx(before, rel=1e-12)


def test_a_checkpoint_outside_a_run_says_what_its_model_is() -> None:
    fit("--trainer.max_epochs=1", "--test_after_fit=false")
    Path("moved.ckpt").write_bytes((RUN / "1/checkpoints/best.ckpt").read_bytes())
    main(["test", "--data=LinearGaussian", "--ckpt_path=moved.ckpt", "--log_likelihood.k=2"])
    assert list(Path("runs").glob("*/*/metrics.json"))


def test_a_configuration_of_another_model_is_refused_beside_the_path_of_a_checkpoint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fit("--trainer.max_epochs=1", "--test_after_fit=false")
    with pytest.raises(SystemExit):
        main(["test", "--config=iwae", "--ckpt_path", str(RUN / "1/checkpoints/best.ckpt")])
    assert "a checkpoint keeps its own model" in capsys.readouterr().err


def test_two_runs_that_begin_together_get_two_folders(tmp_path: Path) -> None:
    assert [new_run(tmp_path / "a").name for _ in range(3)] == ["1", "2", "3"]


def test_print_config_prints_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", "iwae", "--model.k=7", "--print_config"])
    assert stop.value.code == 0 and "k: 7" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "epochs"), [
    ([], 200),
    (["--trainer.max_steps=-1"], 200),
    (["--trainer.max_steps=90"], -1),
    (["--config=steps.yaml"], -1),
    (["--trainer.max_steps", "90", "--trainer.max_epochs=3"], 3),
    (["--config=both.yaml", "--trainer.max_steps=90"], 7),
])  # fmt: skip
def test_steps_that_are_asked_for_are_not_cut_by_the_default_of_epochs(
    options: list[str], epochs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("steps.yaml").write_text("trainer:\n  max_steps: 90\n")
    Path("both.yaml").write_text("trainer:\n  max_epochs: 7\n")
    with pytest.raises(SystemExit):
        main(["fit", *options, "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["max_epochs"] == epochs


@pytest.mark.slow
def test_python_m_zoo_runs_from_an_empty_folder() -> None:
    command = [sys.executable, "-m", "zoo", "fit", *SMALL, "--trainer.max_epochs=1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("options", "k"), [([], 1), (["--model=IWAE"], 5), (["--config=mine.yaml"], 100),
                                            (["--config=bernoulli_vae", "--model=IWAE"], 5)])  # fmt: skip
def test_a_model_that_is_named_has_its_own_default_of_k(options: list[str], k: int) -> None:
    Path("mine.yaml").write_text("model:\n  class_path: PriorSampling\n")
    main(["fit", *options, *SMALL[:5], "--model.likelihood=Gaussian" if k > 1 else "--model=GaussianVAE",
          "--trainer.accelerator=cpu", "--log_likelihood.k=3", "--trainer.fast_dev_run=true"])  # fmt: skip
    (metrics,) = Path("runs").glob("*/1/metrics.json")
    assert json.loads(metrics.read_text())["k"] == k


def test_a_configuration_behind_a_checkpoint_does_not_take_it_away() -> None:
    fit("--trainer.max_epochs=1", "--test_after_fit=false")
    last, config = str(RUN / "1/checkpoints/last.ckpt"), str(RUN / "1/config.yaml")
    main(["fit", "--ckpt_path", last, "--config", config, "--trainer.max_epochs=2", "--test_after_fit=false"])
    assert not (RUN / "2").exists() and torch.load(last, weights_only=True)["global_step"] == 6


def test_a_refusal_to_go_on_leaves_the_run_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    fit("--trainer.max_epochs=2")
    kept = {name: (RUN / "1" / name).read_text() for name in ("config.yaml", "metrics.csv")}
    with pytest.raises(SystemExit) as stop:
        fit("--trainer.max_epochs=3", "--data.batch_size=10", "--ckpt_path", "last")
    assert stop.value.code == 1 and "resume with the same data" in capsys.readouterr().err
    assert {name: (RUN / "1" / name).read_text() for name in kept} == kept
    fit("--trainer.max_epochs=3", "--ckpt_path", "last")
