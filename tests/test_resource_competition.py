"""Draws that a batch shares: what they take of its images, against closed forms, and on any number of ranks."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from callbacks import Report, ResourceCompetition
from tests import linear
from tests.linear import same
from tests.ranks import ON_RANKS, trainer_of
from tests.small import SIZES, SmallImages, quiet_trainer, small_model
from zoo import PriorSampling
from zoo.measures.competition import compete

pytestmark = ON_RANKS

OF_IMAGES = {"entropy", "information", "information/ceiling", "top_share", "clear_winner", "split_winners"}


def evaluate(
    folder: Path, model: pl.LightningModule, batch: int = 4, stage: str = "test", ranks: int = 1, **options: Any
) -> dict[str, float]:
    """What is logged of a split, its names without the stage and the family."""
    trainer = trainer_of(ranks, folder, ResourceCompetition(), **options)
    run = trainer.test if stage == "test" else trainer.validate
    run(model, datamodule=SmallImages(eval_batch_size=batch), verbose=False)
    family = f"{stage}/competition/"
    found = trainer.callback_metrics.items()
    return {name.removeprefix(family): float(value) for name, value in found if name.startswith(family)}


def spread(name: str = "prior", k: int = 6, scale: float = 30.0) -> Any:
    """A model whose draws differ by several nats."""
    model = small_model(name, k=k)
    with torch.no_grad():
        model.decoder.layers[-1].weight.mul_(scale)
    return model


@pytest.mark.parametrize(("k", "n"), [(5, 7), (7, 5), (1, 3), (6, 1), (1, 1)])
def test_equal_draws_say_nothing(k: int, n: int) -> None:
    contest = compete(torch.full((k, n), -93.0))
    same(contest.entropy, math.log(k))
    same(contest.top_share, 1 / k)
    assert len(contest.winner.unique()) == 1
    same(contest.winners, 1 / min(k, n))
    same(contest.top_draw, 1 / k)
    same(contest.margin, math.inf if k == 1 else 0.0)


@pytest.mark.parametrize(("k", "n"), [(5, 7), (7, 5), (5, 5)])
def test_draws_that_each_fit_one_image_say_all_they_can(k: int, n: int) -> None:
    fits = torch.arange(n) % k
    log_px = torch.full((k, n), -3000.0)
    log_px[fits, torch.arange(n)] = -5.0
    contest = compete(log_px)
    same(contest.entropy, 0.0)
    same(contest.top_share, 1.0)
    assert torch.equal(contest.winner, fits)
    same(contest.winners, 1.0)
    same(contest.top_draw, fits.bincount().max() / n)
    same(contest.margin, 2995.0)


@pytest.mark.parametrize(("k", "n"), [(5, 7), (7, 5), (2, 3), (1, 4)])
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_the_entropy_is_that_of_the_responsibilities(k: int, n: int, scale: float) -> None:
    log_px = scale * torch.randn(k, n) - 90
    given, r, contest = log_px.clone(), log_px.softmax(0), compete(log_px)
    same(contest.entropy, Categorical(logits=log_px.T).entropy())
    same(contest.top_share, r.amax(0))
    same(contest.top_draw, r.mean(1).amax())
    assert contest.winner.tolist() == r.argmax(0).tolist()
    same(contest.winners, len(set(r.argmax(0).tolist())) / min(k, n))
    if k > 1:
        best = log_px.sort(0, descending=True).values
        same(contest.margin, best[0] - best[1])
    assert torch.equal(log_px, given)


def test_an_impossible_draw_takes_nothing() -> None:
    contest = compete(torch.tensor([[0.0], [0.0], [-math.inf]]))
    same(contest.entropy, math.log(2))
    same(contest.top_share, 0.5)


def test_of_many_draws_the_information_is_the_kl_term_of_the_exact_posterior() -> None:
    data = linear.linear_data()
    x, model = linear.examples_of(data), linear.exact_model(PriorSampling, data, k=200_000)
    contest = compete(model.evaluation_draw(x).log_px)
    same(math.log(200_000) - contest.entropy, kl_divergence(data.posterior(x), standard_normal(3)), 0.05)


def standard_normal(dim: int) -> torch.distributions.MultivariateNormal:
    return torch.distributions.MultivariateNormal(torch.zeros(dim), torch.eye(dim))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [0.5, 4.0, 50.0])
def test_the_proposal_that_k_draws_imply_is_within_their_information_and_that_within_log_k(
    k: int, scale: float
) -> None:
    """All k-tuples of draws of a prior over five codes, each with its probability: nothing is left to chance."""
    prior, log_px = torch.rand(5).softmax(0), scale * torch.randn(5)
    tuples = torch.tensor(list(itertools.product(range(5), repeat=k)))  # (5^k, k)
    probability = prior[tuples].prod(1)
    r = log_px[tuples].softmax(1)  # (5^k, k)
    implied = torch.zeros(5).index_add(0, tuples.flatten(), (probability[:, None] * r).flatten())
    information = (probability * (math.log(k) - compete(log_px[tuples].T).entropy)).sum()
    same(implied.sum(), 1.0)
    assert (implied <= k * prior + 1e-12).all()
    assert (implied * (implied / prior).log()).sum() <= information + 1e-12
    assert information <= math.log(k) + 1e-12


@pytest.mark.parametrize("batch", [1, 4, 13])
@pytest.mark.parametrize("k", [1, 6, 20])
def test_what_is_logged_is_that_of_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, k: int
) -> None:
    """The last of four batches is one image alone, where one winner is all there can be."""
    model, x = spread(k=k), SmallImages().splits.test.images / 255.0
    log_px = model.evaluation_draw(x.double()).log_px  # (k, 13): the draws of every batch
    r = log_px.softmax(0)
    best = log_px.sort(0, descending=True).values
    clear = (best[0] - best[1] > 1).double() if k > 1 else torch.ones(SIZES[2])
    parts = r.split(batch, dim=1)
    winners = [len(part.argmax(0).unique()) / min(k, part.shape[1]) for part in parts]
    expected = {
        "entropy": float(Categorical(r.T).entropy().mean()),
        "information": math.log(k) - float(Categorical(r.T).entropy().mean()),
        "information/ceiling": math.log(k),
        "top_share": float(r.amax(0).mean()),
        "clear_winner": float(clear.mean()),
        "winners": sum(winners) / len(winners),
        "split_winners": len(r.argmax(0).unique()) / min(k, SIZES[2]),
        "top_draw": sum(float(part.mean(1).amax()) for part in parts) / len(parts),
    }
    for at_once in (1, 8 * k, 2**20):  # one by one, two batches of four together, all together
        monkeypatch.setattr("callbacks.resource_competition.AT_ONCE", at_once)
        assert evaluate(tmp_path, model, batch) == pytest.approx(expected, rel=0, abs=1e-10)


@pytest.mark.parametrize("stage", ["validate", "test"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_change_nothing_of_an_image(tmp_path: Path, ranks: int, stage: str) -> None:
    model, stage = spread(), "val" if stage == "validate" else "test"
    one = evaluate(tmp_path, model, 13, stage)
    many = evaluate(tmp_path, model, 2, stage, ranks)
    assert one.keys() == many.keys() == OF_IMAGES | {"winners", "top_draw"}
    assert {name: many[name] for name in OF_IMAGES} == pytest.approx({name: one[name] for name in OF_IMAGES}, abs=1e-10)
    assert 0 < one["information"] < math.log(6) and 0 < one["clear_winner"] < 1  # not the same by being nothing


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_report_has_the_wins_of_the_draws_and_the_margins(tmp_path: Path, ranks: int) -> None:
    model, x = spread(k=25), SmallImages().splits.test.images / 255.0
    log_px = model.evaluation_draw(x.double()).log_px
    trainer = trainer_of(ranks, tmp_path, ResourceCompetition(), Report())
    trainer.test(model, datamodule=SmallImages(eval_batch_size=3), verbose=False)
    details = json.loads((tmp_path / "metrics.json").read_text())["details"]
    counts = log_px.argmax(0).bincount(minlength=25).sort(descending=True).values
    assert details["competition_wins"] == counts[:20].tolist() and sum(counts[:20]) == SIZES[2]
    best: Tensor = log_px.sort(0, descending=True).values
    inside = [int(((best[0] - best[1]).floor().clamp(max=39) == nats).sum()) for nats in range(40)]
    assert details["competition_margins"] == {"counts": inside, "edges": list(range(41))}


@pytest.mark.parametrize(("name", "own"), [("iwae", {}), ("prior", {"share_draws": False})])
def test_draws_that_are_not_shared_do_not_compete(tmp_path: Path, name: str, own: dict[str, bool]) -> None:
    model, monitor = small_model(name, **own), ResourceCompetition()
    trainer = quiet_trainer(tmp_path, monitor)
    trainer.test(model, datamodule=SmallImages(), verbose=False)
    assert not any("competition" in name for name in trainer.callback_metrics)
    assert monitor.found == {}


def test_it_changes_no_training(tmp_path: Path) -> None:
    weights = []
    for monitors in ([], [ResourceCompetition()]):
        model = small_model("prior")
        quiet_trainer(tmp_path, *monitors, max_epochs=2).fit(model, datamodule=SmallImages())
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
