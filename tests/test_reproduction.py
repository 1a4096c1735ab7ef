"""The article's claims from runs to report, in little: what is measured is kept, and what is written holds together."""

import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zoo.article.claim import Claim
from zoo.article.claims import CLAIMS
from zoo.article.claims.one_draw_kl import OneDrawKL
from zoo.article.lab import FULL, SMALL, Lab, Scale
from zoo.article.reproduction import reproduce
from zoo.sweeps import Sweep
from zoo.sweeps.parameters import parameter

TINY = replace(SMALL, k=30, n_images=9, refit_epochs=1, n_annealed=2, n_temperatures=3)
LONG = ("--trainer.max_", "--trainer.check", "--trainer.val_", "--trainer.callbacks.every_n_epochs")
QUICK = ["--trainer.max_epochs=2", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1",
         "--trainer.limit_test_batches=2"]  # fmt: skip


class QuickLab(Lab):
    """Every run has a few steps, and one seed or two."""

    seeds = (0,)

    def sweep(self, name: str) -> Sweep | None:
        found = super().sweep(name)
        if found is None:
            return None
        words = [w for w in found.command if not w.startswith(LONG)]
        seeds = {"seed_everything": parameter("seed_everything", {"values": list(self.seeds)})}
        end = words.index("${args}")
        return replace(found, command=[*words[:end], *QUICK, "${args}"], parameters={**found.parameters, **seeds})


class WholeLab(QuickLab):
    """The whole grids, but for what takes more draws than a minute is worth."""

    seeds = (0, 1)

    def sweep(self, name: str) -> Sweep | None:
        found = super().sweep(name)
        if found is None or "model.k" not in found.parameters:
            return found
        ks = [k for k in map(int, found.parameters["model.k"].grid()) if k <= 1000]
        return replace(found, parameters={**found.parameters, "model.k": parameter("model.k", {"values": ks})})


def test_a_claim_from_runs_to_report(tmp_path: Path) -> None:
    lab = QuickLab(tmp_path / "out", TINY, jobs=2)
    page = reproduce([OneDrawKL()], lab)
    text = page.with_name("report.md").read_text()
    assert "| (a) | A KL term from one draw does as well as the closed form | **not decided by this run** |" in text
    assert "--model.closed_form_kl=True" in text and "2 runs" in text
    assert {path.stem for path in (tmp_path / "out" / "figures").glob("*.png")} == {"overview", "a-variance"}

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.suffix in (".npy", ".ckpt")}
    again = reproduce([OneDrawKL()], QuickLab(tmp_path / "out", TINY, jobs=2))
    assert again.with_name("report.md").read_text() == text
    assert made and {path: path.stat().st_mtime_ns for path in made} == made, "it was trained or measured again"


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("scale", [SMALL, FULL], ids=lambda scale: scale.name)
def test_all_claims_from_runs_to_report(scale: Scale, tmp_path: Path) -> None:
    if scale is FULL and "ZOO_DATA_DIR" not in os.environ:
        pytest.skip("the published files are not here")
    page = reproduce([claim() for claim in CLAIMS], WholeLab(tmp_path / "out", replace(TINY, name=scale.name), jobs=2))
    text = page.with_name("report.md").read_text()
    assert "has failed" not in text and not re.search(r"\bnan\b", text)
    assert all(f"## ({claim.letter}) {claim.title}\n" in text for claim in CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.letter)
def test_the_report_that_is_shown_is_of_these_rules_and_verdicts(claim: type[Claim]) -> None:
    root = Path(__file__).parent.parent
    report = (root / "docs/article/small/report.md").read_text()
    assert f"**Rule:** {claim.rule}\n" in report
    (verdict,) = re.findall(rf"^\| \({claim.letter}\) \|.*\| \*\*(.*)\*\* \|$", report, re.MULTILINE)
    for name in ("README.md", "docs/article.md"):
        told = rf"^\| \({claim.letter}\) [^\n]* \| \**{verdict}\b"
        assert re.search(told, (root / name).read_text(), re.MULTILINE), name


def test_what_is_measured_is_kept_as_long_as_the_runs_are_the_same(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.touch()
    model: Any = SimpleNamespace(runs=[SimpleNamespace(folder=tmp_path / "1", checkpoint=checkpoint)])
    calls: list[int] = []

    def made() -> np.ndarray:
        calls.append(1)
        return np.array([float(len(calls))])

    lab = Lab(tmp_path, SMALL)
    assert lab.kept(model, "x", made) == lab.kept(model, "x", made) == 1
    assert Lab(tmp_path, SMALL).kept(model, "x", made) == 1, "another process measures it again"
    assert lab.kept(model, "y", made) == 2
    assert Lab(tmp_path, TINY).kept(model, "x", made) == 3
    os.utime(checkpoint, ns=(1, 1))
    assert lab.kept(model, "x", made) == 4
    assert not list(tmp_path.rglob("*.part"))
