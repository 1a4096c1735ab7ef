"""What a run leaves with its loggers: the same numbers with each, and histograms, tables and pictures beside them."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import zoo
from tests.wandb_file import read, records
from zoo.cli import main

SMALL = [
    "--data=MNIST5k",
    "--data.batch_size=1000",
    "--model=BernoulliVAE",
    "--model.latent_dim=3",
    "--model.encoder.hidden=[4]",
    "--model.decoder.hidden=[4]",
    "--log_likelihood.k=5",
    "--pictures.stages=[test]",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
    "--trainer.max_epochs=2",
]
RUN = Path("runs/bernoullivae-mnist5k/1")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ended() -> None:
    wandb.finish()
    wandb.teardown()  # waits until the file is whole


def rows() -> list[dict[str, str]]:
    with (RUN / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_wandb_run_holds_all_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    more = ["--trainer.max_epochs=3", "--log_likelihood.every_n_epochs=2"]  # so that the best epoch may be without it
    logger = ["--trainer.logger=WandbLogger", "--trainer.logger.group=seeds", "--trainer.logger.tags=[a]"]
    main(["fit", *SMALL, *more, *logger])
    ended()
    config, history, summary = read(Path("wandb"))

    assert config["latent_dim"] == 3  # of the model, as Lightning logs it
    assert config["versions"]["vae-zoo"] == zoo.__version__
    assert config["zoo"]["seed_everything"] == 0 and config["zoo"]["data"]["init_args"]["batch_size"] == 1000

    known = [{name: float(value) for name, value in row.items() if "/" in name and value} for row in rows()]
    logged = [{name: value for name, value in row.items() if name in {key for row in known for key in row}}
              for row in history]  # fmt: skip
    for stage in ("val", "test"):
        ours = [row for row in known if any(name.startswith(f"{stage}/") for name in row)]
        theirs = [row for row in logged if any(name.startswith(f"{stage}/") for name in row)]
        assert theirs == [pytest.approx(row, rel=1e-6) for row in ours]

    best = max((row for row in known if "val/objective" in row), key=lambda row: row["val/objective"])
    assert {name: summary[f"best/{name}"] for name in best} == pytest.approx(best, rel=1e-6)
    assert {name for name in summary if name.startswith("best/")} == {f"best/{name}" for name in best} | {"best/epoch"}
    assert summary["test/elbo"] == pytest.approx(json.loads((RUN / "metrics.json").read_text())["test"]["elbo"])

    histograms = [row for row in history if row.get("val/log_posterior_variance_active._type") == "histogram"]
    assert len(histograms) == 3  # one of each validation
    assert summary["test/kl_per_dimension._type"] == "table-file"
    assert summary["test/kl_per_dimension.nrows"] == 3
    assert summary["test/samples._type"] == "images/separated" and summary["test/monitors.count"] == 1


def test_wandb_keeps_checkpoints_where_asked_and_goes_on_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = {"id": "r1", "group": "seeds", "tags": "[a,b]", "log_model": "true"}
    logger = ["--trainer.logger=WandbLogger", *(f"--trainer.logger.{key}={options[key]}" for key in options)]
    last = ["--ckpt_path=last"]
    for epochs, more in {1: [], 2: last}.items():
        main(["fit", *SMALL, f"--trainer.max_epochs={epochs}", *more, *logger, "--test_after_fit=false"])
        ended()
    first, second = sorted(Path("wandb").glob("offline-run-*/*.wandb"))
    for path in (first, second):
        (run,) = [each.run for each in records(path) if each.WhichOneof("record_type") == "run"]
        assert (run.run_id, run.run_group, sorted(run.tags)) == ("r1", "seeds", ["a", "b"])
    artifacts = [each.artifact for path in (first, second) for each in records(path) if each.HasField("artifact")]
    kept = [each for each in artifacts if each.type == "model"]
    assert {each.name for each in kept} == {"model-r1"}
    assert "best" in next(iter(kept)).aliases


def test_tensorboard_shows_histograms_tables_and_numbers() -> None:
    main(["fit", *SMALL])
    events = EventAccumulator(str(RUN)).Reload()
    tags: Any = events.Tags()
    assert {"val/log_posterior_variance_active", "test/log_posterior_variance_inactive"} <= set(tags["histograms"])
    active = events.Histograms("test/log_posterior_variance_active")[-1].histogram_value
    inactive = events.Histograms("test/log_posterior_variance_inactive")[-1].histogram_value
    assert active.num + inactive.num == 3 * 500  # units and images
    assert "test/kl_per_dimension/text_summary" in tags["tensors"]
    assert {"test/samples", "test/monitors"} <= set(tags["images"])
    assert events.Histograms("val/log_posterior_variance_active")[-1].step == events.Scalars("val/elbo")[-1].step
    found = json.loads((RUN / "metrics.json").read_text())["test"]
    assert events.Scalars("test/elbo")[-1].value == pytest.approx(found["elbo"], rel=1e-6)


def test_the_report_says_units_seeds_versions_and_hardware() -> None:
    widened = ["--trainer.callbacks+=LogLikelihood", "--trainer.callbacks.k=30", "--trainer.callbacks.proposal=Widened"]
    main(["fit", *SMALL, "--seed_everything=7", *widened])
    found = json.loads((RUN / "metrics.json").read_text())
    assert found["units"].keys() == found["test"].keys()
    assert found["units"]["kl/one_draw_variance"] == "nats^2" and found["units"]["ess/median"] == "draws"
    assert found["units"]["khat_widened_proposal/above"] == "share"
    assert found["seeds"] == {"run": 7, "pixels": 777}
    assert {"torch", "pytorch-lightning", "vae-zoo"} < found["versions"].keys()
    assert found["hardware"]["ranks"] == 1 and found["hardware"]["precision"] == "32-true"


@pytest.mark.parametrize("monitor", ["val/active_units", "val/log_likelihood/7"])
def test_checkpoints_and_early_stopping_follow_any_monitor(monitor: str) -> None:
    options = {"monitor": monitor, "mode": "max", "min_delta": 1000, "patience": 2}
    stop = ["--trainer.callbacks+=EarlyStopping", *(f"--trainer.callbacks.{key}={options[key]}" for key in options)]
    every = ["--log_likelihood.val_k=7", "--log_likelihood.every_n_epochs=1", "--trainer.max_epochs=9"]
    main(["fit", *SMALL, *every, f"--checkpoint.monitor={monitor}", *stop])
    values = [float(row[monitor]) for row in rows() if row.get(monitor)]
    assert len(values) == 3  # the first, and two that are not better by a thousand
    assert all(map(math.isfinite, values)) and (RUN / "checkpoints/best.ckpt").is_file()


@pytest.mark.parametrize("follows", ["--checkpoint", "--trainer.callbacks+=EarlyStopping --trainer.callbacks"])
def test_a_number_that_is_not_there_is_named_in_a_sentence(follows: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", *SMALL, *f"{follows}.monitor=val/foo".split()])
    assert "zoo: error: val/foo was not logged in this validation" in capsys.readouterr().err
