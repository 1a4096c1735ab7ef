"""Places that cannot be written and disks that are full: one sentence, a status that is not 0, the older file whole."""

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.refused import refused
from tests.small import SHAPE, SmallImages, quiet_trainer, small_model
from zoo.cli.runs import WholeCheckpoints
from zoo.errors import ZooError
from zoo.files import written_whole

ARRAYS = "--data ArrayImages --data.path=images.npy --log_likelihood.k=1"
TRAIN = f"fit {ARRAYS} --trainer.max_epochs=1 --trainer.log_every_n_steps=1"
TRAINED = f"--ckpt_path trained.ckpt {ARRAYS}"

REFUSED = {
    # what is typed, with places below a file, where not even root can make a folder: what the sentence says
    f"fit {ARRAYS} --trainer.default_root_dir=images.npy/runs": "name another with --trainer.default_root_dir",
    f"{TRAIN} --checkpoint.dirpath=images.npy/kept": "images.npy/kept/best.ckpt cannot be written",
    f"{TRAIN} --pictures.folder=images.npy/drawn": "images.npy/drawn/samples.png cannot be written (Not a directory)",
    f"predict {TRAINED} --predictions.k=1 --predictions.path=images.npy/x.npz": "images.npy/x.npz cannot be written",
    f"predict {TRAINED} --predictions.k=1 --predictions.path=folder": "folder is no file",
    f"test {TRAINED.replace('trained', 'misfit')}": "the weights do not fit the model",
    f"test {TRAINED.replace('trained', 'cut')}": "cut.ckpt is not a checkpoint of a model of this zoo, or is damaged",
    f"test {TRAINED.replace('images', 'others')}": "made for examples of shape [1, 5, 4], and the data have (1, 6, 5)",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", np.random.default_rng(0).random((30, *SHAPE)) > 0.5)
    np.save("others.npy", np.zeros((30, 1, 6, 5), bool))
    Path("folder").mkdir()
    trainer = quiet_trainer(tmp_path, max_steps=1)
    trainer.fit(small_model("bernoulli"), datamodule=SmallImages())
    trainer.save_checkpoint("trained.ckpt")
    Path("cut.ckpt").write_bytes(Path("trained.ckpt").read_bytes()[:3000])
    checkpoint = torch.load("trained.ckpt")
    checkpoint["hyper_parameters"]["latent_dim"] += 1
    torch.save(checkpoint, "misfit.ckpt")
    return tmp_path


@pytest.mark.parametrize("line", REFUSED)
def test_it_is_refused_in_a_sentence(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert REFUSED[line] in refused(line, capsys)
    assert not list(folder.rglob("*.part")) and not list(folder.glob("folder/*"))


def test_a_run_that_is_refused_before_its_first_step_leaves_no_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused(f"{TRAIN} --model.prior=MixtureOfGaussians --model.prior.components=3", capsys)
    assert "closed_form_kl=False" in sentence
    assert not [path for path in folder.glob("runs/**/*") if path.is_file()]


def test_a_cache_folder_that_cannot_be_written_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((8, 9), np.uint8)).save("folder/0.png")
    monkeypatch.setenv("ZOO_CACHE_DIR", str(folder / "images.npy" / "cache"))
    sentence = refused("fit --model GaussianVAE --data ImageFolder --data.path=folder", capsys)
    assert "images.npy/cache" in sentence and "ZOO_CACHE_DIR" in sentence


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """Within it, no file of this process may grow beyond so many bytes, as on a disk that has no more."""
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


WRITERS: dict[str, Callable[[Path, int], object]] = {
    "checkpoint": lambda path, n: WholeCheckpoints().save_checkpoint({"weights": torch.zeros(n)}, path),
    "text": lambda path, n: write_text(path, n),
    "arrays": lambda path, n: write_arrays(path, n),
}


def write_text(path: Path, n: int) -> None:
    with written_whole(path) as part:
        part.write_text("x" * n)


def write_arrays(path: Path, n: int) -> None:
    with written_whole(path) as part, part.open("wb") as file:
        np.savez(file, x=np.zeros(n))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_leaves_the_older_file_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    WRITERS[kind](path, 10)
    older = path.read_bytes()
    with full_disk(5000), pytest.raises(ZooError, match=r"file cannot be written .*space and the rights"):
        WRITERS[kind](path, 20_000)
    assert path.read_bytes() == older
    assert os.listdir(tmp_path) == ["file"]


def test_a_disk_that_fills_up_during_a_run_is_told_in_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk(20_000):  # room for the configuration and not for the weights
        sentence = refused(TRAIN, capsys)
    assert "best.ckpt cannot be written" in sentence
    assert not list(folder.rglob("*.part")) and not list(folder.rglob("best.ckpt"))


def test_a_full_disk_keeps_a_packed_folder_out_of_the_cache(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE_DIR", str(folder / "cache"))
    for number in range(3):
        Image.fromarray(np.zeros((90, 80), np.uint8)).save(f"folder/{number}.png")
    with full_disk(5000):
        sentence = refused("fit --model GaussianVAE --data ImageFolder --data.path=folder", capsys)
    assert "ZOO_CACHE_DIR" in sentence and not [each for each in folder.glob("cache/**/*") if each.is_file()]


def test_a_file_without_rights_is_told_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "trained.ckpt")

    monkeypatch.setattr(torch, "load", locked)  # root, whom tests may run as, has all rights
    with pytest.raises(ZooError, match=r"trained.ckpt cannot be read \(Permission denied\): see to its rights"):
        zoo.load("trained.ckpt")
