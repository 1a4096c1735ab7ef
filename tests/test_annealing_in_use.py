"""The monitors of annealing and of simulated data: in a test, on ranks, from the command line."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from callbacks import AIS, BDMC, Monitor, Report, Sandwich
from datamodules import LinearGaussian
from tests import linear
from tests.ranks import ON_RANKS, trainer_of
from tests.small import SmallImages, quiet_trainer, small_model
from zoo import IWAE, Amortised, AnnealedImportanceSampling, Proposal, Widened
from zoo.cli import main
from zoo.errors import ZooError
from zoo.estimators import bidirectional_monte_carlo, simulate, simulated_bounds
from zoo.noise import fingerprint

pytestmark = ON_RANKS
FEW = {"n_temperatures": 4, "n_chains": 3, "n_leapfrog": 2}


def found(
    folder: Path, *monitors: Monitor, ranks: int = 1, batch: int = 4, stage: str = "test", name: str = "iwae"
) -> dict[str, float]:
    """What monitors log of a split, by their names without the stage."""
    trainer = trainer_of(ranks, folder, *monitors)
    run = trainer.test if stage == "test" else trainer.validate
    run(small_model(name), datamodule=SmallImages(eval_batch_size=batch), verbose=False)
    logged = {key.removeprefix(f"{stage}/"): float(value) for key, value in trainer.callback_metrics.items()}
    return {key: value for key, value in logged.items() if key.startswith(("ais", "bdmc", "sandwich"))}


def sample(n: int | None = None) -> Tensor:
    """The n images of the test split with the smallest hashes."""
    x = SmallImages().splits.test.images / 255.0
    return x[fingerprint(x).argsort()[:n]]


def over(values: Tensor) -> tuple[float, float]:
    """Their mean, and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


@pytest.mark.parametrize("n", [None, 5])
@pytest.mark.parametrize(("start", "end"), [(None, ""), (Amortised(), "_amortised_proposal")])
def test_annealing_of_a_sample_by_hand(tmp_path: Path, n: int | None, start: Proposal | None, end: str) -> None:
    weights = AnnealedImportanceSampling(**FEW, proposal=start)(small_model("iwae"), sample(n))
    mean, error = over(weights.log_likelihood)
    expected = {
        f"ais_log_likelihood{end}": mean,
        f"ais_log_likelihood{end}/se": error,
        f"ais_log_likelihood{end}/mc_error": float(weights.error.mean()),
        f"ais_acceptance{end}": float(weights.acceptance.mean()),
    }
    levels = {"q05": 0.05, "median": 0.5, "q95": 0.95}
    expected |= {f"ais_ess{end}/{word}": float(weights.ess.quantile(level)) for word, level in levels.items()}
    for batch in (1, 4):
        assert found(tmp_path, AIS(**FEW, proposal=start, n_images=n), batch=batch) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["iwae", "prior"])
def test_bounds_of_simulated_data_by_hand(tmp_path: Path, name: str) -> None:
    model = small_model(name)
    data = simulate(model, 5)
    ais = AnnealedImportanceSampling(**FEW)
    whose = "_prior_proposal" if name == "prior" else ""
    expected = {}
    for family, bounds in {
        "bdmc": bidirectional_monte_carlo(model, data, ais),
        f"sandwich{whose}/7": simulated_bounds(model, data, 7),
    }.items():
        for what in ("lower", "upper", "gap"):
            mean, error = over(getattr(bounds, what))
            expected |= {f"{family}/{what}": mean, f"{family}/{what}/se": error}
    logged = found(tmp_path, BDMC(**FEW, n_images=5), Sandwich(7, n_images=5), name=name)
    assert logged == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_numbers_do_not_depend_on_ranks(tmp_path: Path, ranks: int) -> None:
    """13 images and 5 are divided by no number of ranks."""

    def watchers() -> list[Monitor]:
        own = Widened(1.2)
        return [
            AIS(**FEW, n_images=None),
            AIS(**FEW, proposal=own, n_images=5),
            BDMC(**FEW, n_images=5),
            Sandwich(7, own),
        ]

    one = found(tmp_path, *watchers())
    assert len(one) == 2 * 7 + 2 * 6
    assert found(tmp_path, *watchers(), ranks=ranks, batch=2) == pytest.approx(one, rel=0, abs=1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_test_that_was_stopped_goes_on_from_a_file_of_each_rank(tmp_path: Path, ranks: int) -> None:
    monitors = [{"file": str(tmp_path / name)} for name in ("ais.pt", "bdmc.pt")]

    def run() -> dict[str, float]:
        ais, bdmc = AIS(**FEW, **monitors[0], batch_size=2), BDMC(**FEW, **monitors[1], n_images=5)
        return found(tmp_path, ais, bdmc, ranks=ranks)

    first = run()
    files = sorted(path.name for path in tmp_path.glob("*.pt*"))
    assert files == (["ais.pt", "bdmc.pt"] if ranks == 1 else ["ais.pt.0", "ais.pt.1", "bdmc.pt.0", "bdmc.pt.1"])
    for file in files:  # what they hold is taken over: a mark in it shows
        held = torch.load(tmp_path / file)
        held["columns"][0] += 100
        torch.save(held, tmp_path / file)
    again = run()
    assert again["ais_log_likelihood"] > first["ais_log_likelihood"] + 10
    assert again["bdmc/lower"] == pytest.approx(first["bdmc/lower"] + 100)


@pytest.mark.parametrize("monitor", [AIS(**FEW, n_images=2), BDMC(**FEW, n_images=2), Sandwich(n_images=2)])
def test_fewer_images_than_ranks_are_refused(tmp_path: Path, monitor: Monitor) -> None:
    with pytest.raises(Exception, match="n_images is 2 for 3 ranks"):  # as the launcher hands it on from a rank
        found(tmp_path, monitor, ranks=3)


def test_one_image_has_no_standard_error(tmp_path: Path) -> None:
    logged = found(tmp_path, AIS(**FEW, n_images=1), BDMC(**FEW, n_images=1), Sandwich(n_images=1))
    assert {name for name, value in logged.items() if math.isnan(value)} == {name for name in logged if "/se" in name}


def test_they_watch_a_validation_too(tmp_path: Path) -> None:
    logged = found(tmp_path, AIS(**FEW, stages=["val"]), stage="val")
    x = SmallImages().splits.val.images / 255.0
    mean = AnnealedImportanceSampling(**FEW)(small_model("iwae"), x).log_likelihood.mean()
    assert logged["ais_log_likelihood"] == pytest.approx(float(mean), abs=1e-9)
    assert not found(tmp_path, AIS(**FEW, stages=["val"]))


# --- what a reader is told


def notes(
    folder: Path, capsys: pytest.CaptureFixture[str], monitor: Monitor, data: LinearGaussian | None = None
) -> list[str]:
    """What a test of a linear Gaussian model, by default one whose q(z|x) is not the posterior, ends with."""
    data = data or linear.linear_data()
    quiet_trainer(folder, monitor).test(linear.exact_model(IWAE, data), datamodule=data, verbose=False)
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]


def test_numbers_that_can_be_believed_have_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where q(z|x) is the posterior, chains that start there are all alike."""
    enough = {"n_temperatures": 9, "n_chains": 5, "proposal": Amortised(), "n_images": 7}
    for monitor in (AIS(**enough), BDMC(**enough), Sandwich(5, n_images=7)):
        assert notes(tmp_path, capsys, monitor, linear.orthogonal_data()) == []


@pytest.mark.parametrize(
    ("monitor", "sentence"),
    [
        (AIS(2, n_chains=5), "note: AIS is not to be trusted for 7 of 7 images"),
        (AIS(4, n_chains=1, proposal=Amortised()), "AIS of the amortised proposal is not to be trusted for 7 of 7"),
        (BDMC(2, n_chains=5, n_images=7), "note: BDMC leaves a gap of"),
        (BDMC(1, n_chains=1, n_images=7, proposal=Widened(3.0)), "note: BDMC of the widened proposal leaves a gap of"),
        (Sandwich(1, n_images=7), "note: L_k and U_k leave a gap of"),
    ],
)
def test_numbers_that_cannot_have_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monitor: Monitor, sentence: str
) -> None:
    (note,) = notes(tmp_path, capsys, monitor)
    assert sentence in note


def test_the_report_has_them_with_their_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitors = [AIS(**FEW, proposal=Amortised()), BDMC(**FEW, n_images=5), Sandwich(n_images=5)]
    trainer = quiet_trainer(tmp_path, *monitors, Report())
    trainer.test(small_model("iwae"), datamodule=SmallImages(), verbose=False)
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if line.count("│") == 3]
    cells = {what.strip(): value.strip() for what, value in rows}
    assert "±" in cells["log-likelihood by AIS (amortised proposal)"] and "±" in cells["its gap to BDMC's upper bound"]
    assert cells["trajectories taken (amortised proposal)"].endswith("%")
    units = json.loads((tmp_path / "metrics.json").read_text())["units"]
    assert units["ais_log_likelihood_amortised_proposal"] == units["bdmc/gap"] == units["sandwich/1000/gap"] == "nats"
    assert units["ais_ess_amortised_proposal/median"] == "chains"


def test_two_that_start_alike_are_refused_and_two_that_do_not_are_not(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="two AIS monitors"):
        found(tmp_path, AIS(**FEW), AIS(**FEW, n_images=5))
    assert len(found(tmp_path, AIS(**FEW), AIS(**FEW, proposal=Amortised()))) == 14


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: AIS(n_images=0), "n_images is 0"),
        (lambda: AIS(batch_size=0), "batch_size is 0"),
        (lambda: AIS(n_chains=0), "n_chains is 0"),
        (lambda: BDMC(n_images=0), "n_images is 0"),
        (lambda: BDMC(n_temperatures=0), "n_temperatures is 0"),
        (lambda: Sandwich(0), "k is 0"),
        (lambda: Sandwich(proposal=Amortised), "proposal"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], Monitor], sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        make()


def test_the_command_line_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_place: None) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--data=LinearGaussian", "--data.n_test=7", "--model=GaussianVAE", "--model.latent_dim=2"]
    options += [
        "--trainer.fast_dev_run=true",
        "--trainer.accelerator=cpu",
        "--log_likelihood.k=3",
        "--pictures.stages=[]",
    ]
    for monitor in ("AIS", "BDMC"):
        options += [f"--trainer.callbacks+={monitor}", "--trainer.callbacks.n_temperatures=3"]
        options += ["--trainer.callbacks.n_images=3", "--trainer.callbacks.proposal=Amortised"]
    main(["fit", *options, "--trainer.callbacks+=Sandwich", "--trainer.callbacks.k=5"])
    (path,) = Path("runs").glob("*/1/metrics.json")
    logged = json.loads(path.read_text())["test"]
    assert {"ais_log_likelihood_amortised_proposal", "bdmc_amortised_proposal/gap", "sandwich/5/gap"} < logged.keys()
