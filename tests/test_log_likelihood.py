"""The log-likelihood of a split for several k at once, what is said of its weights, and on any number of ranks."""

import csv
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from callbacks import LogLikelihood, Report
from datamodules import Dequantised, Pixels
from tests import linear
from tests.linear import same
from tests.ranks import ON_RANKS, trainer_of
from tests.small import MODELS, SIZES, SmallImages, quiet_trainer, small_model
from zoo import IWAE, LatentVariableModel, logmeanexp
from zoo.cli import main
from zoo.cli.runs import KeptCSV
from zoo.errors import ZooError
from zoo.measures.importance import effective_sample_size, jvi1, khat_threshold, pareto_khat, relative_error
from zoo.metrics import Examples
from zoo.noise import fingerprint

KS = (1, 7, 30)
N = SIZES[2]
pytestmark = ON_RANKS


def evaluate(
    folder: Path,
    model: LatentVariableModel,
    monitor: LogLikelihood,
    batch: int = 4,
    stage: str = "test",
    ranks: int = 1,
    pixels: Pixels | None = None,
) -> dict[str, float]:
    """What the monitor adds to what is logged of a split, its names without the stage."""
    trainer = trainer_of(ranks, folder, monitor)
    run = trainer.test if stage == "test" else trainer.validate
    run(model, datamodule=SmallImages(eval_batch_size=batch, pixels=pixels), verbose=False)
    found = {name.removeprefix(f"{stage}/"): float(value) for name, value in trainer.callback_metrics.items()}
    own = ("log_likelihood", "bits_per_dimension", "jvi1", "ess", "khat")
    return {name: value for name, value in found.items() if name.startswith(own)}


def weights_of(model: LatentVariableModel, stage: str, k: int, n: int | None = None) -> Tensor:
    """The log-weights of the n examples of a split with the smallest hashes, (k, n)."""
    x = getattr(SmallImages().splits, stage).images / 255.0
    return model.log_weights(x[fingerprint(x).argsort()[:n]], k)


def quantiles(name: str, values: Tensor) -> dict[str, float]:
    levels = zip(("q05", "median", "q95"), np.quantile(values.numpy(), [0.05, 0.5, 0.95]), strict=True)
    return {f"{name}/{word}": float(value) for word, value in levels}


def by_hand(log_w: Tensor, ks: Sequence[int]) -> dict[str, float]:
    """All that a model with an encoder is to give of log-weights (k, n) of pixels that have no bits."""
    each = {k: logmeanexp(log_w[:k]) for k in ks}
    khat = pareto_khat(log_w)
    return {
        **{f"log_likelihood/{k}": float(values.mean()) for k, values in each.items()},
        "log_likelihood/se": float(each[ks[-1]].std() / math.sqrt(log_w.shape[1])),
        "log_likelihood/mc_error": float(relative_error(log_w).mean()),
        "jvi1": float(jvi1(log_w).mean()),
        **quantiles("ess", effective_sample_size(log_w)),
        **quantiles("khat", khat),
        "khat/above": float((khat > khat_threshold(len(log_w))).double().mean()),
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stage", ["val", "test"])
def test_every_k_is_served_by_one_set_of_weights(tmp_path: Path, name: str, stage: str) -> None:
    model = small_model(name)
    expected = by_hand(weights_of(model, stage, KS[-1]), KS)
    if name == "prior":  # all say that the draws are the prior's
        renamed = [re.sub("^[a-z0-9_]+", r"\g<0>_prior_proposal", key) for key in expected]
        expected = dict(zip(renamed, expected.values(), strict=True))
    for batch in (1, 4, N):
        found = evaluate(tmp_path, model, LogLikelihood(KS, [stage]), batch, stage)
        assert found == pytest.approx(expected, rel=0, abs=1e-10)


def test_a_k_of_its_own_is_that_of_a_list_whatever_its_order(tmp_path: Path) -> None:
    model = small_model("iwae")
    several = evaluate(tmp_path, model, LogLikelihood([30, 1, 7, 7]))
    one = evaluate(tmp_path, model, LogLikelihood(30))
    assert several.keys() - one.keys() == {"log_likelihood/1", "log_likelihood/7"}
    assert one == pytest.approx({name: several[name] for name in one}, rel=0, abs=1e-12)
    assert evaluate(tmp_path, model, LogLikelihood(7))["log_likelihood/7"] == pytest.approx(several["log_likelihood/7"])


def test_bits_per_dimension_are_those_of_the_largest_k(tmp_path: Path) -> None:
    found = evaluate(tmp_path, small_model("gaussian"), LogLikelihood(KS), pixels=Dequantised())
    bits = {name: value for name, value in found.items() if name.startswith("bits")}
    nats = 20 * math.log(256) - found["log_likelihood/30"]
    assert bits == pytest.approx({"bits_per_dimension/30": nats / (20 * math.log(2))}, rel=0, abs=1e-10)


@pytest.mark.parametrize(("k", "left_out"), [(1, {"jvi1", "khat"}), (2, {"khat"}), (24, {"khat"}), (25, set())])
def test_what_so_few_draws_cannot_say_is_left_out(tmp_path: Path, k: int, left_out: set[str]) -> None:
    families = {name.split("/")[0] for name in evaluate(tmp_path, small_model("iwae"), LogLikelihood(k))}
    assert families == {"log_likelihood", "ess", "jvi1", "khat"} - left_out


@pytest.mark.parametrize("batch", [1, 3, 13])
@pytest.mark.parametrize("n", [1, 5, 99])
def test_a_validation_takes_a_sample_of_images_and_a_test_takes_all(tmp_path: Path, n: int, batch: int) -> None:
    model = small_model("bernoulli")
    log_w = {"val": weights_of(model, "val", 30, n), "test": weights_of(model, "test", 30)}
    for stage, expected in log_w.items():
        found = evaluate(tmp_path, model, LogLikelihood(30, ("val", "test"), n_images=n), batch, stage)
        assert found["log_likelihood/30"] == pytest.approx(float(logmeanexp(expected).mean()), abs=1e-10)
        assert found["khat/q95"] == pytest.approx(quantiles("", pareto_khat(expected))["/q95"], abs=1e-10)


EVERY_THIRD, EACH = [2, 5, 8, 11, 14, 17, 20], [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("length", "at"),
    [
        ({"max_epochs": 23}, EVERY_THIRD),
        ({"max_epochs": 4}, EACH),
        ({"max_epochs": -1, "max_steps": 23}, EVERY_THIRD),
        ({"max_epochs": 4, "max_steps": 99}, EACH),
    ],
)
def test_a_run_watches_ten_times_at_most_with_draws_of_their_own(
    tmp_path: Path, length: dict[str, int], at: list[int]
) -> None:
    monitor = LogLikelihood(5, ("val", "test"), every_n_epochs=None, val_k=3, n_images=2)
    trainer = quiet_trainer(tmp_path, monitor, logger=KeptCSV(tmp_path), log_every_n_steps=1, **length)
    trainer.fit(small_model("iwae"), datamodule=SmallImages(sizes=(5, 11, 13)))
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file) if row.get("val/log_likelihood/3")] == at
    (tested,) = trainer.test(small_model("iwae"), datamodule=SmallImages(), verbose=False)
    assert "test/log_likelihood/5" in tested and "test/log_likelihood/3" not in tested


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("n", [None, 3, 7])
def test_the_numbers_do_not_depend_on_ranks(tmp_path: Path, ranks: int, n: int | None) -> None:
    """11 examples and 7 of them are divided by no number of ranks; 3 are fewer than a batch of all."""
    model = small_model("iwae")
    one = evaluate(tmp_path, model, LogLikelihood(KS, ("val",), n_images=n), 11, "val")
    many = evaluate(tmp_path, model, LogLikelihood(KS, ("val",), n_images=n), 2, "val", ranks)
    assert one == pytest.approx(by_hand(weights_of(model, "val", 30, n), KS), rel=0, abs=1e-10)
    assert many == pytest.approx(one, rel=0, abs=1e-10)


def test_fewer_images_than_ranks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="n_images is 2 for 3 ranks"):  # as the launcher hands it on from a rank
        evaluate(tmp_path, small_model("iwae"), LogLikelihood(7, ("val",), n_images=2), stage="val", ranks=3)


@pytest.mark.parametrize("sizes", [[11], [1] * 11, [4, 7], [2, 8, 1]])
def test_rows_of_examples_are_joined_whatever_the_parts(sizes: list[int]) -> None:
    values = {"ess": torch.rand(11).float(), "khat": torch.randn(11)}
    parts = zip(*(value.split(sizes) for value in values.values()), strict=True)
    whole, ranks = Examples(), [Examples(), Examples()]
    for i, part in enumerate(parts):
        for target in (whole, ranks[i % 2]):
            target.update(dict(zip(values, part, strict=True)))
    if len(sizes) > 1:
        ranks[0].merge_state(ranks[1])
    for name, value in values.items():
        same(whole.compute()[name], value.double())
        same(ranks[0].compute()[name].sort().values, value.double().sort().values)


# --- of weights that are known


def linear_numbers(folder: Path, narrower: float, ranks: int = 1) -> tuple[dict[str, float], float]:
    """What is logged of 7 examples under the exact posterior, narrowed by a factor, and their mean log p(x)."""
    data = linear.orthogonal_data()
    model = linear.exact_model(IWAE, data)
    with torch.no_grad():
        model.encoder.layers[0].bias[model.latent_dim :] -= math.log(narrower)
    trainer = trainer_of(ranks, folder, LogLikelihood((1, 1000)))
    trainer.test(model, datamodule=data, verbose=False)
    found = {name.removeprefix("test/"): float(value) for name, value in trainer.callback_metrics.items()}
    return found, float(data.log_prob(linear.examples_of(data)).mean())


def test_with_the_posterior_for_a_proposal_nothing_is_in_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, log_px = linear_numbers(tmp_path, narrower=1)
    for name in ("log_likelihood/1", "log_likelihood/1000", "jvi1"):
        assert found[name] == pytest.approx(log_px, abs=1e-10)
    for name in ("ess/q05", "ess/median", "ess/q95"):
        assert found[name] == pytest.approx(1000, abs=1e-8)
    assert found["log_likelihood/mc_error"] < 1e-7 and found["khat/above"] == 0 and found["khat/q95"] < 0.2
    assert "note" not in capsys.readouterr().out


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_proposal_far_too_narrow_is_not_trusted_and_one_sentence_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], ranks: int
) -> None:
    """Its variance is a sixteenth of the posterior's, so k̂ tends to 15/16."""
    found, log_px = linear_numbers(tmp_path, narrower=4, ranks=ranks)
    assert found["khat/above"] == 1 and found["khat/median"] > khat_threshold(1000)
    assert found["log_likelihood/1000"] < log_px
    assert found["ess/median"] < 100
    printed = capfd.readouterr().out
    assert printed.count("L_1000 is not to be trusted for 7 of 7 images, where Pareto k̂ is above 0.67") == 1


def test_a_doubt_of_a_validation_is_not_said_of_a_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = linear.linear_data()
    monitor = LogLikelihood(1000, ("val",))
    monitor.note = "a doubt"
    quiet_trainer(tmp_path, monitor).test(linear.exact_model(IWAE, data), datamodule=data, verbose=False)
    assert "a doubt" not in capsys.readouterr().out


# --- as a user meets it


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"k": 0}, "k is 0, where at least one draw was expected"),
        ({"k": [5, 0]}, r"k is \[5, 0\], where at least one"),
        ({"k": []}, r"k is \[\], where at least one"),
        ({"n_images": 0}, "n_images is 0, where an integer of at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        LogLikelihood(**arguments)


def test_the_report_has_every_k_and_the_error_of_the_largest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = quiet_trainer(tmp_path, LogLikelihood(KS), Report())
    trainer.test(small_model("iwae"), datamodule=SmallImages(), verbose=False)
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if line.count("│") == 3]
    cells = {what.strip(): value.strip() for what, value in rows}
    assert ["±" in cells[f"log-likelihood, k = {k}"] for k in KS] == [False, False, True]
    assert {"JVI-1, no bound", "effective draws, median", "Pareto k̂, median"} < cells.keys()
    assert cells["images with k̂ above its threshold"].endswith("%")


@pytest.mark.parametrize(("typed", "ks"), [("5", {"5"}), ("[1,5]", {"1", "5"})])
def test_the_command_line_takes_one_k_or_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_place: None, typed: str, ks: set[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--data=LinearGaussian", "--data.n_test=7", "--model=GaussianVAE", "--model.latent_dim=2"]
    options += [
        "--trainer.fast_dev_run=true",
        "--trainer.accelerator=cpu",
        "--log_likelihood.n_images=3",
        "--pictures.stages=[]",
    ]
    main(["fit", *options, f"--log_likelihood.k={typed}"])
    (path,) = Path("runs").glob("*/1/metrics.json")
    found = json.loads(path.read_text())["test"]
    assert {name.split("/")[1] for name in found if name.startswith("log_likelihood/")} == ks | {"se", "mc_error"}
