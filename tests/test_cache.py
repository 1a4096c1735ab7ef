"""How much is worked on at once follows the sizes and the cache, and moves no number."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.linear import same
from tests.small import KINDS, small_model, small_x
from tests.test_prior_sampling import Held
from zoo import IWAE, MLP, BernoulliVAE, FixedVariance, GaussianVAE, cache
from zoo.cache import core_cache, even, numbers_in_cache
from zoo.measures.units import cut_log_likelihood


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file in which the system tells the size."""
    monkeypatch.setattr(cache, "_LINUX", tmp_path / "size")
    cache.core_cache.cache_clear()
    return tmp_path / "size"


@pytest.mark.parametrize(
    ("text", "size"), [("2048K\n", 2**21), ("512K", 2**19), ("nonsense", cache.UNKNOWN), (None, cache.UNKNOWN)]
)
def test_the_size_is_what_the_system_tells_or_a_stated_one(told: Path, text: str | None, size: int) -> None:
    if text is not None:
        told.write_text(text)
    assert core_cache() == size
    numbers = int(cache.FILL * torch.get_num_threads() * size) // 4
    assert numbers_in_cache(torch.empty(0, dtype=torch.float32)) == numbers
    cache.core_cache.cache_clear()


def test_pieces_are_few_and_even() -> None:
    for n in range(1, 40):
        for most in range(1, 45):
            sizes = [len(part) for part in torch.empty(n).split(even(n, most))]
            assert max(sizes) <= most and len(sizes) == -(-n // most)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 7])
def test_no_number_depends_on_the_cache(monkeypatch: pytest.MonkeyPatch, kind: str, n: int) -> None:
    model, x, k = small_model(kind), small_x(n).round(), 11
    whole, draw = model.log_weights(x, k), model.evaluation_draw(x)
    for rows in (0.01, 1, 3, 5, 40):  # parts of draws and of examples
        size = int(rows * 8 * 256)
        monkeypatch.setattr(cache, "core_cache", lambda size=size: size // torch.get_num_threads())
        assert model.log_weights(x, k).shape == (k, n)
        same(model.log_weights(x, k), whole)
        same(model.evaluation_draw(x).log_w, draw.log_w)
        same(model.log_likelihood(x, k), whole.logsumexp(0) - torch.tensor(k).log())


def test_units_are_cut_whatever_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, kept = small_model("iwae"), small_x().round(), torch.tensor([True, False, True])
    whole = cut_log_likelihood(model, x, 11, kept)
    monkeypatch.setattr(cache, "core_cache", lambda: 8 * 256 * 3)
    same(cut_log_likelihood(model, x, 11, kept), whole)


@pytest.mark.parametrize("cls", [IWAE, partial(GaussianVAE, variance=FixedVariance)])
def test_memory_is_flat_in_draws_and_in_examples(monkeypatch: pytest.MonkeyPatch, cls: Any) -> None:
    torch.set_default_dtype(torch.float32)
    model = cls(x_shape=(784,), latent_dim=5, encoder=partial(MLP, hidden=[4]), decoder=partial(MLP, hidden=[4]))
    monkeypatch.setattr(cache, "core_cache", lambda: 2**18)
    most = torch.get_num_threads() * 2**18

    def peak(n: int, k: int) -> int:
        """The most bytes held at a time."""
        x = torch.rand(n, 784).round()
        with Held() as held:
            model.log_likelihood(x, k)
        return held.peak

    few, many = peak(3, 15_000), peak(3, 45_000)
    assert few < 16 * most and many < few + most / 100
    assert peak(300, 200) < few + most + 300 * 24 * 784  # what the hash of the examples holds, 24 bytes a pixel


def test_single_precision_is_within_a_thousandth_of_a_nat_of_double_on_the_same_draws() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(2)
    model = BernoulliVAE(x_shape=(784,), latent_dim=50)
    with torch.no_grad():  # weights of the size of trained ones
        for parameter in model.decoder.parameters():
            parameter.mul_(1.5)
    x = torch.rand(5, 784).round()
    with torch.no_grad():
        z = model.encode(x).rsample(torch.Size([200]))
        single = model.log_px(x, z)
        double = model.double().log_px(x.double(), z.double())
    assert double.std() > 5  # the draws differ by nats
    assert (single - double).abs().max() < 1e-3


def test_a_chunk_that_is_asked_for_is_kept() -> None:
    model, x = small_model("bernoulli"), small_x().round()
    assert [z.shape[0] for _, z in model.evaluation_codes(x, 11, 4)] == [4, 4, 3]
