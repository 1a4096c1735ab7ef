"""The command line with several processes, as a user starts them: equal numbers, and an end when one dies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.multiprocessing.spawn import ProcessRaisedException

from zoo.cli.sentences import known_cause

TWO = ("--trainer.devices=2", "--trainer.accelerator=cpu")
RUN = (
    "--data=LinearGaussian",
    "--model=GaussianVAE",
    "--model.latent_dim=3",
    "--model.encoder.hidden=[7]",
    "--model.decoder.hidden=[7]",
    "--trainer.precision=64-true",
    "--trainer.max_epochs=2",
    "--trainer.enable_progress_bar=false",
    "--log_likelihood.k=[5,30]",
    "--pictures.stages=[]",
    "--posterior_variance.cut_k=5",
)

ENOUGH_FOR_TWO_THREADS = ("--model.encoder.hidden=[7001]", "--log_likelihood.k=[5]", "--trainer.max_epochs=1")
"""Weights by which torch's threads are at work together."""

HAS_TWO_THREADS = """
import pytorch_lightning as pl
import torch

class HasTwo(pl.Callback):
    def setup(self, trainer, pl_module, stage):
        if torch.get_num_threads() != 2:
            raise RuntimeError("not the threads that were asked for")
"""

DIES = """
import os, signal, time
import pytorch_lightning as pl

class Dies(pl.Callback):
    def __init__(self, how: str):
        self.how = how

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 3 and trainer.global_rank == 1:
            if self.how == "hangs":
                time.sleep(3600)
            os.kill(os.getpid(), signal.SIGKILL)
"""


def zoo(folder: Path, *argv: str, threads: int = 1) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "zoo", *argv]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


def numbers(folder: Path, run: int) -> dict[str, float]:
    return json.loads((folder / f"runs/gaussianvae-lineargaussian/{run}/metrics.json").read_text())["test"]


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("ddp_spawn", marks=pytest.mark.slow)])
def test_two_processes_test_as_one_does(tmp_path: Path, strategy: str) -> None:
    trained = zoo(tmp_path, "fit", *RUN, *TWO, f"--trainer.strategy={strategy}", "--data.batch_size=31")
    assert trained.returncode == 0, trained.stderr
    assert len(list((tmp_path / "runs/gaussianvae-lineargaussian").iterdir())) == 1
    assert trained.stdout.count("test split, in nats an example") == 1  # the second process is silent
    tested = zoo(tmp_path, "test", *RUN, "--ckpt_path=best", "--data.eval_batch_size=17")
    assert tested.returncode == 0, tested.stderr
    two, one = numbers(tmp_path, 1), numbers(tmp_path, 2)
    assert {"elbo", "kl/se", "log_likelihood/30", "log_likelihood_cut/5", "ess/median", "active_units"} < one.keys()
    assert two == pytest.approx(one, rel=0, abs=1e-10)


def test_processes_that_are_forked_wait_for_no_thread_of_their_parent(tmp_path: Path) -> None:
    (tmp_path / "threads.py").write_text(HAS_TWO_THREADS)
    forks = ("--trainer.strategy=ddp_fork", "--trainer.callbacks+=threads.HasTwo")
    done = zoo(tmp_path, "fit", *RUN, *TWO, *ENOUGH_FOR_TWO_THREADS, *forks, threads=2)
    assert done.returncode == 0, done.stderr
    assert "test split" in done.stdout


@pytest.mark.parametrize("how", ["is killed", pytest.param("hangs", marks=pytest.mark.slow)])
def test_a_process_that_dies_ends_the_run_with_a_sentence(tmp_path: Path, how: str) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    patience = ("--trainer.strategy=DDPStrategy", "--trainer.strategy.timeout=0:0:8")
    dies = ("--trainer.callbacks+=dies.Dies", f"--trainer.callbacks.how={how}")
    done = zoo(tmp_path, "fit", *RUN, *TWO, *patience, *dies)
    assert done.returncode == 1
    assert "zoo: error: another process of this run died, or did not answer in time" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_fewer_examples_than_processes_are_refused_by_a_sentence(tmp_path: Path) -> None:
    done = zoo(tmp_path, "fit", *RUN, *TWO, "--trainer.strategy=ddp_spawn", "--data.n_val=1")
    assert done.returncode == 1
    assert "zoo: error: an evaluation split holds 1 examples for 2 ranks" in done.stderr


def test_what_another_process_refused_is_said_in_its_own_sentence() -> None:
    told = "-- Process 1 terminated:\nTraceback: ...\nzoo.errors.NoClosedForm: there is none.\n"
    assert str(known_cause(ProcessRaisedException(told, error_index=1, error_pid=77))) == "there is none."


@pytest.mark.parametrize("where", ["[/w/pytorch/gloo/transport/tcp/pair.cc:5] ", "[../gloo/transport/tcp/pair.cc:7] "])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_lost_process_is_said_however_it_was_started(wrapped: bool, where: str) -> None:
    told = f"Traceback: ...\nRuntimeError: {where}Connection closed by peer. This is typically caused by a crash."
    error = ProcessRaisedException(told, error_index=0, error_pid=77) if wrapped else RuntimeError(told)
    assert "died, or did not answer in time; what it said stands above (Connection closed by peer.)" in str(
        known_cause(error)
    )


def test_an_error_of_a_user_in_another_process_keeps_its_traceback() -> None:
    assert known_cause(ProcessRaisedException("Traceback: ...\nKeyError: 'x'", error_index=1, error_pid=77)) is None
