"""What holds for every proposal, and how a run uses one."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from callbacks import LogLikelihood, Report
from tests import linear
from tests.linear import same
from tests.ranks import ON_RANKS, trainer_of
from tests.refused import refused
from tests.small import LATENT, MODELS, SmallImages, quiet_trainer, small_model, small_x
from zoo import (
    IWAE,
    Defensive,
    GaussianVAE,
    LatentVariableModel,
    OptimalVariance,
    Proposal,
    Refitted,
    VampPrior,
    Widened,
)
from zoo.cli import main
from zoo.errors import ZooError
from zoo.measures.importance import effective_sample_size, pareto_khat

pytestmark = ON_RANKS
PROPOSALS: dict[str, Proposal] = {
    "widened": Widened(1.3),
    "defensive": Defensive(0.3),
    "refitted": Refitted(steps=3, pairs=2),
}


SUITED = [(name, proposal) for name in MODELS for proposal in PROPOSALS if name != "prior" or proposal == "refitted"]
"""Without an encoder there is no q(z|x) to change."""


@pytest.mark.parametrize("proposal", ["widened", "defensive"])
def test_without_an_encoder_there_is_nothing_to_change(proposal: str) -> None:
    with pytest.raises(ZooError, match=r"PriorSampling has no encoder .* take Refitted"):
        small_model("prior").log_weights(small_x(), 3, proposal=PROPOSALS[proposal])


# --- what holds for each of them


@pytest.mark.parametrize(("name", "proposal"), SUITED)
def test_neither_batch_nor_order_nor_chunk_moves_a_number(name: str, proposal: str) -> None:
    model, x, other = small_model(name), small_x(), PROPOSALS[proposal]
    whole = model.log_weights(x, 6, proposal=other)
    same(torch.cat([model.log_weights(part, 6, proposal=other) for part in x.split(1)], 1), whole)
    same(model.log_weights(x.flip(0), 6, proposal=other).flip(1), whole)
    for chunk in (1, 4, 100):
        same(model.log_weights(x, 6, chunk, other), whole)
        same(model.log_likelihood(x, 6, chunk, other), (whole.logsumexp(0) - math.log(6)))
    assert not torch.allclose(whole, model.log_weights(x, 6))


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_nothing_of_the_model_changes(proposal: str) -> None:
    """Its decoder's variance is one that is fitted to a batch in training."""
    data = linear.linear_data()
    model = linear.linear_model(GaussianVAE, data, variance=OptimalVariance).train()
    x = linear.examples_of(data)
    model.objective(model.draw(x)).sum().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in model.parameters()]
    generator = torch.get_rng_state()
    model.log_weights(x, 5, proposal=PROPOSALS[proposal])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(value.grad, grad) for value, grad in zip(model.parameters(), grads, strict=True))
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_a_training_that_is_watched_is_the_same(tmp_path: Path, proposal: str) -> None:
    weights = []
    for monitors in ([], [LogLikelihood(3, ("val",), proposal=PROPOSALS[proposal])]):
        model = small_model("iwae")
        quiet_trainer(tmp_path, *monitors, max_epochs=2).fit(model, datamodule=SmallImages())
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


@pytest.mark.parametrize("grad", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_it_is_the_same_whatever_is_differentiated_around_it(grad: type) -> None:
    model, x = small_model("iwae", prior=VampPrior), small_x()
    expected = model.log_weights(x, 5, proposal=Refitted(steps=3))
    with grad():
        again = model.log_weights(x * 1.0, 5, proposal=Refitted(steps=3))
    assert torch.equal(again, expected) and not again.requires_grad


# --- as a monitor


@pytest.mark.parametrize("stage", ["validate", "test"])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("kind", ["iwae", "prior"])
def test_all_numbers_carry_the_name_of_their_proposal_on_any_number_of_ranks(
    tmp_path: Path, stage: str, ranks: int, kind: str
) -> None:
    model, word = small_model(kind), "val" if stage == "validate" else "test"
    named = {proposal: PROPOSALS[proposal] for name, proposal in SUITED if name == kind}
    own = {"prior": None} if kind == "prior" else {}
    monitors = [LogLikelihood((1, 30), (word,), proposal=each) for each in (own | named).values()]
    trainer = trainer_of(ranks, tmp_path, *monitors)
    getattr(trainer, stage)(model, datamodule=SmallImages(eval_batch_size=3), verbose=False)
    found = {name.removeprefix(f"{word}/"): float(value) for name, value in trainer.callback_metrics.items()}
    x = getattr(SmallImages().splits, word).images / 255.0
    assert not {"ess/median", "khat/above", "jvi1", "log_likelihood/1", "log_likelihood/se"} & found.keys()
    for name, proposal in (own | named).items():
        log_w = model.log_weights(x, 30, proposal=proposal)
        expected = {
            "log_likelihood_{}_proposal/30": float((log_w.logsumexp(0) - math.log(30)).mean()),
            "log_likelihood_{}_proposal/1": float(log_w[0].mean()),
            "ess_{}_proposal/median": float(effective_sample_size(log_w).quantile(0.5)),
            "khat_{}_proposal/q95": float(pareto_khat(log_w).quantile(0.95)),
        }
        assert {key: found[key.format(name)] for key in expected} == pytest.approx(expected, rel=0, abs=1e-10)
        assert f"jvi1_{name}_proposal" in found


def test_two_monitors_of_the_same_names_are_refused(tmp_path: Path) -> None:
    """Lightning would log the mean of both under each."""
    monitors = LogLikelihood(3, proposal=Widened(1.1)), LogLikelihood(30, ("val", "test"), proposal=Widened(2.0))
    with pytest.raises(ZooError, match="two LogLikelihood monitors would log numbers of the same names"):
        quiet_trainer(tmp_path, *monitors).test(small_model("iwae"), datamodule=SmallImages(), verbose=False)
    apart = LogLikelihood(3, proposal=Widened(1.1)), LogLikelihood(30, ("val",), proposal=Widened(2.0))
    quiet_trainer(tmp_path, *apart).test(small_model("iwae"), datamodule=SmallImages(), verbose=False)


def test_the_report_and_its_note_say_whose_draws_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = linear.orthogonal_data()
    model = linear.exact_model(IWAE, data)
    with torch.no_grad():
        model.encoder.layers[0].bias[model.latent_dim :] -= math.log(8)  # far too narrow, and so when widened by 2
    monitors = [LogLikelihood(1000, proposal=each) for each in (None, Widened(2.0))]
    quiet_trainer(tmp_path, *monitors, Report()).test(model, datamodule=data, verbose=False)
    printed = capsys.readouterr().out
    rows = [line.split("│")[1].strip() for line in printed.splitlines() if line.count("│") == 3]
    for what in ("log-likelihood, k = 1000", "JVI-1, no bound", "Pareto k̂, median"):
        assert {what, f"{what} (widened proposal)"} <= set(rows)
    assert "L_1000 of the widened proposal is not to be trusted for 7 of 7" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Widened(0.0), "scale is 0.0, where a positive number"),
        (lambda: Widened(math.inf), "scale is inf"),
        (lambda: Defensive(0.0), "weight is 0.0, where a number between 0 and 1"),
        (lambda: Defensive(1.0), "weight is 1.0"),
        (lambda: Refitted(steps=0), "steps is 0, where an integer of at least 1"),
        (lambda: Refitted(pairs=0), "pairs is 0"),
        (lambda: Refitted(lr=-1.0), "lr is -1.0, where a positive number"),
        (lambda: Refitted(lr=math.nan), "lr is nan"),
    ],
)
def test_bad_arguments_are_refused(make: type, sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        make()


def test_a_fit_that_diverges_is_refused() -> None:
    with pytest.raises(ZooError, match="could not be refitted to 7 of 7 images: take a smaller lr"):
        small_model("iwae").log_weights(small_x(), 3, proposal=Refitted(steps=5, lr=1e200))


FIT = (
    "fit --data=LinearGaussian --data.n_test=7 --model=GaussianVAE --model.latent_dim=2 --trainer.fast_dev_run=true "
    "--trainer.accelerator=cpu --log_likelihood.k=5 --pictures.stages=[] "
)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("--log_likelihood.proposal=Widened --log_likelihood.proposal.scale=2", "widened"),
        ("--log_likelihood.proposal Defensive --log_likelihood.proposal.weight=0.2", "defensive"),
        ("--config more.yaml", "refitted"),
    ],
)
def test_the_command_line_and_a_configuration_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_place: None, options: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("more.yaml").write_text("log_likelihood: {proposal: {class_path: Refitted, init_args: {steps: 2}}}")
    main((FIT + options).split())
    (path,) = Path("runs").glob("*/1/metrics.json")
    found = json.loads(path.read_text())["test"]
    assert f"log_likelihood_{name}_proposal/5" in found and "log_likelihood/5" not in found


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--log_likelihood.proposal=Widend", "there is no proposal 'Widend'; there are "),
        ("--log_likelihood.proposal=Widened --log_likelihood.proposal.scale=-1", "scale is -1.0, where a positive"),
    ],
)
def test_the_command_line_refuses_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_place: None,
    capsys: pytest.CaptureFixture[str],
    options: str,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(FIT + options, capsys)


def test_a_proposal_that_returns_no_distribution_is_refused() -> None:
    class Mean(Proposal):
        def __call__(self, model: LatentVariableModel, x: Tensor) -> Tensor:  # pyright: ignore
            return model.encode(x).mean

    with pytest.raises(ZooError, match="Mean returned a Tensor, where a distribution of z was expected"):
        small_model("bernoulli").log_weights(small_x(), 3, proposal=Mean())


def test_a_proposal_of_ones_own_is_named_by_its_class(tmp_path: Path) -> None:
    class Twice(Proposal):
        def __call__(self, model: LatentVariableModel, x: Tensor) -> MultivariateNormal:
            return MultivariateNormal(torch.zeros(len(x), LATENT), 2 * torch.eye(LATENT))

    trainer = quiet_trainer(tmp_path, LogLikelihood(3, proposal=Twice()))
    trainer.test(small_model("bernoulli"), datamodule=SmallImages(), verbose=False)
    assert "test/log_likelihood_twice_proposal/3" in trainer.callback_metrics
