"""Finished runs beside each other: which are one model, what is compared with what, and the page that shows it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from zoo.cli import main
from zoo.errors import ZooError
from zoo.reports import FinishedRun, finished_runs
from zoo.reports.comparison import write_report
from zoo.reports.groups import compared, groups, names
from zoo.reports.measured import examples, log_likelihoods
from zoo.reports.page import Section, Table, write_page

QUICK = (
    "--trainer.max_epochs=2 --trainer.limit_train_batches=7 --trainer.limit_test_batches=2 --log_likelihood.k=[3] "
    "--trainer.limit_val_batches=2 --log_likelihood.val_k=2 --pictures.stages=[] --data.batch_size=30"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of an IWAE, tested in other batches, and one each of a VAE and of prior sampling."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model, seeds in {
            "IWAE --model.k=2": (0, 1),
            "BernoulliVAE": (0,),
            "PriorSampling --model.k=3": (0,),
        }.items():
            for seed in seeds:
                batch = f" --data.eval_batch_size={100 + seed}"
                main(f"fit --model {model} --seed_everything={seed} {QUICK}{batch}".split())
    return folder / "runs"


@pytest.fixture(scope="module")
def report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    main(["report", str(runs), "--out", str(folder), "--k", "20", "--n_images", "31"])
    return folder


class Links(HTMLParser):
    """What a page has of its own, and what it needs from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.needed: list[str] = []
        self.anchors: list[str] = []
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "link", "iframe"):
            self.needed.append(tag)
        if tag == "img":
            self.pictures.append(given)
        if tag == "a":
            self.links.append(given["href"] or "")
        if "id" in given:
            self.anchors.append(given["id"] or "")


def test_the_page_needs_nothing_beside_it(report: Path) -> None:
    page = Links()
    text = (report / "index.html").read_text()
    page.feed(text)
    assert page.needed == [] and "url(" not in text and "@import" not in text
    assert len(page.pictures) >= 6
    assert all((picture["src"] or "").startswith("data:image/") and picture["alt"] for picture in page.pictures)
    assert len(set(page.anchors)) == len(page.anchors)
    assert page.links and {link.removeprefix("#") for link in page.links} <= set(page.anchors)


def test_every_figure_is_there_as_svg_and_png_and_in_the_markdown(report: Path) -> None:
    shown = set(re.findall(r"\(figures/(.+)\.png\)", (report / "report.md").read_text()))
    assert {path.stem for path in (report / "figures").glob("*.svg")} == shown
    assert {path.stem for path in (report / "figures").glob("*.png")} == shown
    assert {"over-k-1", "differences-1", "curves-1", "kl-1", "variances-1", "images-1"} == shown


def test_what_stands_side_by_side_is_what_the_models_have(runs: Path, report: Path) -> None:
    text = (report / "report.md").read_text()
    iwae = next(model for model in compared(finished_runs([runs])) if model.label == "IWAE")
    x = examples(iwae.runs[0], 31)
    values = log_likelihoods(iwae, x, [20])[20]
    (row,) = (line for line in text.splitlines() if line.startswith("| IWAE |"))
    assert values.shape == (2, 31) and f"| 0, 1 | {values.mean():.2f} ±" in row
    kl = [run.test["kl"] for run in iwae.runs]
    assert f"{np.mean(kl):.2f} ± {np.std(kl, ddof=1):.2f}" in row
    assert "PriorSampling has no encoder" in text


def test_the_log_likelihood_is_that_of_the_test_of_the_run_itself(runs: Path) -> None:
    """The same noise, whichever the batches: one image, one draw number, one value."""
    vae = next(model for model in compared(finished_runs([runs])) if model.label == "BernoulliVAE")
    x = examples(vae.runs[0], 12)
    whole = log_likelihoods(vae, x, [5])[5]
    parts = np.concatenate([log_likelihoods(vae, part, [5])[5] for part in x.split(5)], 1)
    assert whole == pytest.approx(parts, abs=1e-4)


def test_examples_are_the_same_whatever_the_batches(runs: Path) -> None:
    one, other = (run for run in finished_runs([runs]) if "iwae" in str(run.folder))
    assert one.config["data"] != other.config["data"]
    assert examples(one, 9).equal(examples(other, 9))


def test_a_refitted_encoder_lets_models_without_one_in(runs: Path, tmp_path: Path) -> None:
    some = [str(runs / f"{name}-mnist5k" / "1") for name in ("priorsampling", "iwae")]
    main(["report", *some, "--out", str(tmp_path), "--k", "3", "--n_images", "5", "--refit_epochs", "1"])
    text = (tmp_path / "report.md").read_text()
    assert "| PriorSampling − IWAE |" in text and "not decided: one seed" in text and "has no encoder" not in text


def test_runs_of_another_measure_are_never_compared(runs: Path, tmp_path: Path) -> None:
    first = runs / "bernoullivae-mnist5k" / "1"
    other = tmp_path / "1"
    other.mkdir()
    for name in ("checkpoints", "metrics.csv"):
        (other / name).symlink_to(first / name)
    (other / "config.yaml").write_text((first / "config.yaml").read_text())
    facts = json.loads((first / "metrics.json").read_text())
    (other / "metrics.json").write_text(json.dumps(facts | {"pixels": "stochastic"}))
    found = groups(compared(finished_runs([first])) + compared(finished_runs([other])))
    assert [len(group.models) for group in found] == [1, 1]


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ([{"model": "VAE", "model.k": 1}], ["VAE"]),
        ([{"model": "VAE", "model.k": 1, "data": "a"}, {"model": "VAE", "model.k": 1, "data": "b"}],
         ["VAE, data = a", "VAE, data = b"]),
        ([{"model": "VAE", "model.k": 1}, {"model": "VAE", "model.k": 1, "model.posterior.rank": 3}],
         ["VAE", "VAE, rank = 3"]),
    ],
)  # fmt: skip
def test_labels_say_what_differs(settings: list[dict[str, object]], labels: list[str]) -> None:
    assert names(settings) == labels


def test_runs_that_differ_by_their_seed_are_one_model(runs: Path) -> None:
    found = {model.label: model.seeds for model in compared(finished_runs([runs]))}
    assert found == {"IWAE": [0, 1], "BernoulliVAE": [0], "PriorSampling": [0]}


def test_markup_in_names_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    table = Table(["a"], [["<script>x</script>"], ["1 | 2"]])
    page = write_page(tmp_path, "<b>", "", [Section("A & B", tables=[table])])
    assert "<script>" not in page.read_text() and "<title>&lt;b&gt;</title>" in page.read_text()
    assert r"| 1 \| 2 |" in (tmp_path / "report.md").read_text()


def test_steps_of_an_epoch(runs: Path) -> None:
    (run,) = finished_runs([runs / "iwae-mnist5k" / "1"])
    assert run.steps_per_epoch == 7


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="holds no finished run"):
        finished_runs([tmp_path])


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--k", "0"], "k is 0"), (["--n_images", "0"], "n_images is 0"), (["--k", "1", "nowhere"], "no finished run")],
)
def test_bad_reports_are_refused(
    runs: Path, tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["report", str(runs), "--out", str(tmp_path / "out"), *more])
    assert stop.value.code == 1 and said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["config.yaml", "metrics.json", "metrics.csv"])
@pytest.mark.parametrize("content", [b'{"test": {"el', b"\xff\xfe", b"7", None], ids=["torn", "bytes", "7", "missing"])
def test_a_damaged_run_is_named(name: str, content: bytes | None, runs: Path, tmp_path: Path) -> None:
    run = FinishedRun(tmp_path)
    for kept in ("config.yaml", "metrics.json", "metrics.csv"):
        (tmp_path / kept).write_bytes((runs / "iwae-mnist5k" / "1" / kept).read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ZooError, match=rf"{name} cannot be read .*: leave that run out, or run it again"):
        _ = run.config, run.report, run.curves


def test_a_report_that_cannot_be_written_is_refused_before_it_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match="is no folder and cannot be made one"):
        write_report([], tmp_path / "file")
