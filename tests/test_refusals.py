"""Bad input on the command line gets one sentence that says what to do, and a status that is not 0."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.cli import main
from zoo.cli.front import PROGRAMS, SUBCOMMANDS

REFUSED = {
    # what is typed: (status, what the sentence says)
    "fit --model.laten_dim=3": (2, "Did you mean latent_dim?"),
    "fit --model IWEA": (2, "Did you mean IWAE?"),
    "fit --model mine.Missing": (2, "No module named 'mine'"),
    "fit --data MNST": (2, "Did you mean MNIST?"),
    "fit --data.pixels=Dinamic": (2, "Did you mean Dynamic?"),
    "fit --model.encoder=MPL": (2, "Did you mean MLP?"),
    "fit --model.encoder.hiden=[3]": (2, "Did you mean hidden?"),
    "fit --model.optimizer.lrr=3": (2, "Did you mean lr?"),
    "fit --model PriorSampling --model.encoder=MLP": (2, "there is no option 'encoder'"),
    "fit --trainer.max_epoch=3": (2, "Did you mean trainer.max_epochs?"),
    "fit --model.latent_dim=2 --model VAE": (2, "name the class first"),
    "fit --data.batch_size=20 --data MNIST5k": (2, "name the class first"),
    "fit --model.k=abc": (2, "k is abc, where a whole number was expected"),
    "fit --config iwea": (2, "Did you mean iwae?"),
    "fit --model.k=0": (1, "at least 1 was expected"),
    "fit --model.encoder.hidden=[0]": (1, "widths of at least 1"),
    "fit --model GaussianVAE --model.variance=FixedVariance --model.variance.value=-1": (1, "a positive number"),
    "fit --model.kl_weight=-1": (1, "neither may be negative"),
    "fit --log_likelihood.k=0": (1, "at least one draw was expected"),
    "fit --data.batch_size=0": (1, "batch_size"),
    "fit --data.pixels=Grey --trainer.fast_dev_run=true": (1, "make them binary with --data.pixels"),
    "fit --ckpt_path last": (1, "there is no checkpoint 'last' of a run"),
    "fit --ckpt_path nothing.ckpt": (1, "there is no checkpoint nothing.ckpt"),
    "test": (1, "needs a trained model"),
    "predict": (1, "needs a trained model"),
    "test --ckpt_path garbage.ckpt": (1, "garbage.ckpt is not a checkpoint of a model of this zoo"),
    "test --ckpt_path pickle.ckpt": (1, "pickle.ckpt is not a checkpoint of a model of this zoo"),
    "fit --data ArrayImages --data.path=missing.npy": (1, "missing.npy"),
    "fit --data ArrayImages --data.path=nan.npy": (1, "holds NaN or infinite values"),
    "fit --trainer.default_root_dir=garbage.ckpt --trainer.fast_dev_run=true": (1, "--trainer.default_root_dir"),
    "fit --trainer.strategy=foo": (1, "foo"),
    "fit --model.optimizer.lr=-1 --trainer.fast_dev_run=true": (1, "the optimiser refuses its options"),
    "fit --model.optimizer.lr=1e30 --trainer.limit_train_batches=20 --trainer.max_epochs=1": (
        1,
        "lower the learning rate",
    ),
    "fit --model.encoder.activation=Banana": (2, "there is no activation 'Banana'"),
    "fit --model.x_shape=[3]": (1, "comes from the data"),
    "fit --pictures.n=0": (1, "an integer of at least 1"),
    "fit --model GaussianVAE --model.variance.floor=0.5": (1, "0 < floor < start was expected"),
    "fit --model GaussianVAE --model.variance=OptimalVariance --model.variance.momentum=1": (1, "0 <= momentum < 1"),
    "fit --model IWAE --model.likelihood=Gaussian --model.likelihood.variance=OptimalVariance": (
        1,
        "for the ELBO alone",
    ),
    "fit --model VAE --model.likelihood=StudentT --model.likelihood.scale=OptimalVariance": (2, "there is no scale"),
    "fit --model VAE --model.likelihood=StudentT --model.likelihood.df_floor=-1": (1, "1 <= df_floor < df_start"),
    "fit --model VAE --model.likelihood=Categorical --model.likelihood.levels=1": (1, "at least 2 were expected"),
    "fit --model.prior=MixtureOfGaussians --model.prior.components=0": (1, "integer of at least 1"),
    "fit --model PriorSampling --model.prior=VampPrior": (1, "take StandardNormal"),
    "fit --model.posterior=CouplingFlow --model.posterior.transforms=0": (1, "integer of at least 1"),
    "fit --model.encoder=GatedMLP --model.encoder.hidden=[0]": (1, "widths of at least 1"),
    "fit --model.encoder=ConvEncoder --model.encoder.channels=[]": (1, "at least one stage"),
    "fit --model.encoder=ConvEncoder --model.encoder.residual_blocks=-1": (1, "0 or more blocks"),
    "fit --model.encoder.hidden=3": (2, "hidden is 3, where a list was expected"),
    "fit --model.scheduler CosineAnnealingLR": (2, "T_max is missing"),
    "fit --model.scheduler_interval=day": (2, "scheduler_interval is day, where one of 'step', 'epoch' was expected"),
    "fit --model zoo.MLP": (2, "there is no model 'zoo.MLP'"),
    "fit --config nan.npy": (2, "nan.npy is no text"),
    "fit --config .": (2, "there is no file '.'"),
    "fit --seed_everything=-1": (1, "--seed_everything is out of range"),
    "fit --keep_last.every_minutes=-1": (1, "0 or more was expected"),
    "test --ckpt_path .": (1, "give the path of a file"),
    "fit --trainer.limit_test_batches=0": (1, "--trainer.limit_test_batches is 0, which leaves nothing to test"),
    "fit --model.kl_weight=nan": (2, "kl_weight is nan, where a finite number was expected"),
    "fit --model=PriorSampling --log_likelihood.proposal=Widened --test_after_fit=no --trainer.limit_val_batches=0": (
        1,
        "PriorSampling has no encoder whose q(z|x) could be changed",
    ),
    "fit --data=LinearGaussian --model=GaussianVAE --model.scheduler=StepLR --model.scheduler.step_size=0": (
        1,
        "step_size is 0, where an integer of at least 1 was expected",
    ),
    "fight": (2, f"there is no subcommand 'fight'; there are {', '.join(SUBCOMMANDS | PROGRAMS)}. Did you mean fit?"),
    "": (2, "a subcommand is missing"),
    "reproduce a z": (1, "there is no claim 'z'"),
    "reproduce --scale big": (1, "there is no scale 'big'"),
    "reproduce a --out garbage.ckpt": (1, "garbage.ckpt/sweeps/kl is no folder and cannot be made one"),
    "sweep latent_dim --folder garbage.ckpt": (1, "garbage.ckpt is no folder and cannot be made one"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("garbage.ckpt").write_bytes(b"not a checkpoint")
    Path("pickle.ckpt").write_bytes(pickle.dumps({"state_dict": {}}))
    np.save("nan.npy", np.full((30, 4, 4), np.nan))


@pytest.mark.parametrize(
    ("variable", "value", "line", "sentence"),
    [
        ("ZOO_COMPILE", "yes", "fit --print_config", "ZOO_COMPILE is 'yes', where auto, always or never was expected."),
        (
            "TORCHINDUCTOR_CACHE_DIR",
            "garbage.ckpt/code",
            "report runs",
            "_CACHE_DIR: garbage.ckpt/code is no folder and",
        ),
    ],
)
def test_so_is_what_the_environment_says(
    variable: str, value: str, line: str, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    found = capsys.readouterr()
    assert stop.value.code == 1 and not found.out
    assert found.err.startswith("zoo: error: ") and sentence in found.err and found.err.count("\n") == 1


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line or "nothing")
def test_it_is_refused_in_a_sentence(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, sentence = REFUSED[line]
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert stop.value.code == status
    assert message.startswith("zoo: error: ") and sentence in message, message
    assert not list(Path().rglob("*.part")) and not list(Path().rglob("*.json")), "something half-written is left"
