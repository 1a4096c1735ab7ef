"""The proposal whose encoder is trained for the decoder as it is, as a run uses it."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks import LogLikelihood
from tests.ranks import ON_RANKS, trainer_of
from tests.refused import refused
from tests.small import MODELS, SmallImages, quiet_trainer, small_model, small_x
from zoo import MLP, RefitIWAE, RefittedEncoder, refit_encoder
from zoo.cli import main
from zoo.errors import ZooError

pytestmark = ON_RANKS
BY_IWAE = partial(RefitIWAE, k=2, encoder=partial(MLP, hidden=[6]))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_its_numbers_are_those_of_the_refitted_model_on_any_number_of_ranks(
    tmp_path: Path, name: str, ranks: int
) -> None:
    model, data = small_model(name), SmallImages(eval_batch_size=3)
    data.setup("test")
    refitted = refit_encoder(model, data, BY_IWAE, epochs=2)
    log_w = refitted.log_weights(data.splits.test.images / 255.0, 30)
    monitor = LogLikelihood((1, 30), proposal=RefittedEncoder(BY_IWAE, epochs=2))
    trainer = trainer_of(ranks, tmp_path, monitor)
    trainer.test(model, datamodule=data, verbose=False)
    family, found = "test/log_likelihood_refittedencoder_proposal", trainer.callback_metrics
    expected = {"1": log_w[0].mean(), "30": (log_w.logsumexp(0) - math.log(30)).mean()}
    for k, value in expected.items():
        assert float(found[f"{family}/{k}"]) == pytest.approx(float(value), rel=0, abs=1e-9)
    assert "test/khat_refittedencoder_proposal/median" in found and "test/log_likelihood/30" not in found


def test_it_is_trained_anew_for_every_split_that_is_watched_and_moves_no_training(tmp_path: Path) -> None:
    weights, encoders = [], []

    class Kept(RefittedEncoder):
        def fit(self, model: object, data: object) -> None:
            super().fit(model, data)  # pyright: ignore[reportArgumentType]
            encoders.append(self(model, small_x()).mean)  # pyright: ignore[reportArgumentType]

    for monitors in ([], [LogLikelihood(3, ("val",), every_n_epochs=2, proposal=Kept(epochs=1))]):
        model = small_model("iwae")
        quiet_trainer(tmp_path, *monitors, max_epochs=5).fit(model, datamodule=SmallImages())
        weights.append(model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert len(encoders) == 2 and not torch.equal(*encoders)


@pytest.mark.parametrize("bar", [True, False])
def test_it_says_how_far_it_is_where_a_run_shows_progress(tmp_path: Path, capsys: Any, bar: bool) -> None:
    monitor = LogLikelihood(3, proposal=RefittedEncoder(epochs=2))
    trainer = quiet_trainer(tmp_path, monitor, enable_progress_bar=bar)
    trainer.test(small_model("iwae"), datamodule=SmallImages(), verbose=False)
    assert ("training an encoder: 100%" in capsys.readouterr().err) == bar
    RefittedEncoder(epochs=1).fit(trainer.lightning_module, [small_x()])
    assert "training an encoder" not in capsys.readouterr().err  # the run is over


def test_an_encoder_that_was_not_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"RefittedEncoder has not been trained: call its fit\(model, data\) first"):
        small_model("iwae").log_weights(small_x(), 3, proposal=RefittedEncoder())
    with pytest.raises(ZooError, match="epochs is 0"):
        RefittedEncoder(epochs=0)
    data = SmallImages()
    data.setup("test")
    trainer = quiet_trainer(tmp_path, LogLikelihood(3, proposal=RefittedEncoder()))
    with pytest.raises(ZooError, match="data is a NoneType, where a data module of this zoo"):
        trainer.test(small_model("iwae"), [small_x()], verbose=False)


# --- on the command line

OPTIONS = (
    "--data=LinearGaussian --data.n_test=7 --trainer.fast_dev_run=true --trainer.accelerator=cpu "
    "--log_likelihood.k=5 --log_likelihood.stages=[test] "
)
VAE = f"fit {OPTIONS} --model=GaussianVAE --model.latent_dim=2 "


def numbers(run: str) -> dict[str, float]:
    return json.loads(Path("runs", run, "metrics.json").read_text())["test"]


@pytest.mark.parametrize("own_parts", ["", " --log_likelihood.proposal.refit=RefitIWAE "
    "--log_likelihood.proposal.refit.k=3 --log_likelihood.proposal.refit.encoder=MLP"])  # fmt: skip
def test_the_command_line_names_it_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_place: None, own_parts: str
) -> None:
    monkeypatch.chdir(tmp_path)
    proposal = "--log_likelihood.proposal=RefittedEncoder --log_likelihood.proposal.epochs=1"
    main((VAE + proposal + own_parts).split())
    assert "log_likelihood_refittedencoder_proposal/5" in numbers("gaussianvae-lineargaussian/1")


def test_it_is_trained_as_any_other_model_and_tested_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_place: None
) -> None:
    monkeypatch.chdir(tmp_path)
    brief = OPTIONS.replace("fast_dev_run=true", "max_epochs=1")
    main((VAE.replace(OPTIONS, brief) + "--trainer.limit_train_batches=2").split())
    path = "runs/{}-lineargaussian/1/checkpoints/best.ckpt"
    main(f"fit {brief} --model=RefitIWAE --model.trained={path.format('gaussianvae')} --model.k=3".split())
    Path(path.format("gaussianvae")).unlink()
    main(f"test {brief} --ckpt_path={path.format('refitiwae')}".split())
    assert numbers("refitiwae-lineargaussian/2") == numbers("refitiwae-lineargaussian/1")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (f"fit {OPTIONS} --model=RefitVAE --model.trained=lost.ckpt", "there is no checkpoint lost.ckpt"),
        (VAE + "--log_likelihood.proposal=RefittedEncoder --log_likelihood.proposal.epochs=0", "epochs is 0"),
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
    assert sentence in refused(options, capsys)
