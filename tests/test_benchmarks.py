"""What the benchmarks count and how they compare, exactly; how fast anything is, no test says."""

import doctest
import math
import platform
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from benchmarks import exponents, floor, interleave, table
from benchmarks.__main__ import main
from benchmarks.contender import Contender, Failed
from benchmarks.floor import Layer
from benchmarks.machine import describe
from benchmarks.peers import EVALUATORS, TRAINERS, Peer, net, zoo_profile
from benchmarks.peers.lightning_trainer import VAE
from benchmarks.peers.matrix_products import Multiply, Products, by_onednn, by_torch
from benchmarks.settings import Settings
from benchmarks.task import Task
from benchmarks.training import Disagreement, Loss, check, side_by_side
from benchmarks.works import profile

NAMES = ["a", "b", "c", "d"]


def task(folder: Path | str = "", **changed: Any) -> Task:
    arguments = {"objective": "iwae", "batch": 5, "k": 3, "n": 20, "folder": str(folder), "latent_dim": 4, "hidden": 6}
    return Task(**(arguments | changed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((30, 1, 28, 28)) > 0.7)
    return tmp_path


@pytest.mark.parametrize("module", [exponents, floor, interleave, profile, table, zoo_profile])
def test_the_examples_hold(module: Any) -> None:
    failed, tried = doctest.testmod(module)
    assert tried and not failed


def test_each_contender_takes_each_place_equally_often() -> None:
    rounds = interleave.orders(NAMES, 8)
    for place in range(4):
        assert Counter(order[place] for order in rounds) == dict.fromkeys(NAMES, 2)
    assert all(sorted(order) == NAMES for order in rounds)


def test_neighbours_change_sides() -> None:
    rounds = interleave.orders(NAMES, 8)
    before = Counter(order.index("a") < order.index("b") for order in rounds)
    assert before[True] == before[False] == 4


def test_turns_are_taken_in_that_order() -> None:
    taken: list[str] = []
    contenders = {name: lambda name=name: taken.append(name) or len(taken) for name in NAMES}
    found = interleave.interleave(contenders, 3)
    assert taken == [name for order in interleave.orders(NAMES, 3) for name in order]
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(NAMES, 3)
    assert sorted(value for values in found.values() for value in values) == list(range(1, 13))


@pytest.mark.parametrize("n", [6, 9, 20])
def test_an_interval_holds_the_median_as_often_as_it_says(n: int) -> None:
    found = interleave.interval(list(range(n)))
    r = int(found.low) + 1
    # The median lies below the r-th of n values where fewer than r are below it: a fair coin, n times.
    outside = 2 * sum(math.comb(n, i) for i in range(r)) / 2**n
    assert found.coverage == pytest.approx(1 - outside) and found.coverage >= 0.95
    assert 2 * sum(math.comb(n, i) for i in range(r + 1)) / 2**n > 0.05  # and no narrower one would
    assert (found.median, found.high) == ((n - 1) / 2, n - r)


def test_few_rounds_give_the_extremes_and_say_how_little_they_hold() -> None:
    found = interleave.interval([3.0, 1.0, 2.0])
    assert (found.low, found.median, found.high, found.coverage) == (1.0, 2.0, 3.0, 0.75)


def test_ratios_are_of_pairs() -> None:
    # Each round takes twice as long as the one before: no ratio of medians of other rounds would be so exact.
    found = interleave.ratio([1.0, 2.0, 4.0], [3.0, 6.0, 12.0])
    assert (found.low, found.median, found.high) == (3.0, 3.0, 3.0)


def test_the_operations_of_a_vaes_step_are_those_of_its_products() -> None:
    widths = 784 * 200 + 200 * 200 + 200 * 100, 50 * 200 + 200 * 200 + 200 * 784
    layers = Task("vae", 100, 1, 100, "").layers()
    assert sum(layer.flops for layer in layers) == 2 * 100 * (3 * sum(widths) - 784 * 200)


def test_an_iwae_decodes_k_times_as_much_and_encodes_no_more() -> None:
    one, many = ([layer.flops for layer in Task("iwae", 20, k, 100, "").layers()] for k in (1, 50))
    assert many[:3] == one[:3] and many[3:] == [50 * flops for flops in one[3:]]


def test_prior_sampling_has_no_gradient_of_its_noise_nor_of_the_images() -> None:
    first, _, _, pairs = Task("prior", 7, 1000, 7, "").layers()
    assert first.flops == 2 * 2 * 1000 * 50 * 200
    assert pairs.flops == 2 * 2 * 1000 * 784 * 7


def test_an_estimate_has_no_gradients() -> None:
    layers = Task("log_likelihood", 7, 1000, 7, "").layers()
    assert sum(layer.flops for layer in layers) == 2 * 7000 * (50 * 200 + 200 * 200 + 200 * 784)


@pytest.mark.parametrize("multiply", [by_torch, by_onednn])
def test_the_floor_multiplies_what_a_layer_multiplies(multiply: Multiply) -> None:
    products = Products(Layer(3, 5, 7), rows=3, device="cpu", multiply=multiply)
    x, weight = products.x.clone().requires_grad_(), products.weight.clone().requires_grad_()
    products.forward()
    torch.testing.assert_close(products.y, x @ weight.T)
    torch.nn.functional.linear(x, weight).backward(products.y)
    products.backward()
    torch.testing.assert_close(products.dx, x.grad)
    torch.testing.assert_close(products.dweight.T, weight.grad)


def test_exponents_are_of_each_round() -> None:
    found = exponents.exponents({10: [1.0, 2.0, 5.0], 1000: [100.0, 200.0, 500.0]})
    assert (found.low, found.median, found.high) == pytest.approx((1.0, 1.0, 1.0))


def test_an_exponent_is_the_slope_of_least_squares() -> None:
    sizes, values = [2.0, 5.0, 11.0, 17.0], [3.0, 4.0, 10.0, 9.0]
    slope = np.polyfit(np.log(sizes), np.log(values), 1)[0]
    assert exponents.exponent(sizes, values) == pytest.approx(slope)


def test_losses_that_differ_are_refused() -> None:
    check({"one": Loss(500.0, 0.1), "two": Loss(500.6, 0.1)})
    with pytest.raises(Disagreement, match=r"'two' is 501\.000"):
        check({"one": Loss(500.0, 0.1), "two": Loss(501.0, 0.1)})
    with pytest.raises(Disagreement, match="nan"):
        check({"one": Loss(500.0, 0.1), "two": Loss(math.nan, 0.1)})


@pytest.mark.parametrize("objective", ["vae", "iwae", "prior"])
def test_the_net_of_the_torch_peers_has_the_zoos_objective(objective: Any, folder: Path) -> None:
    own = task(folder, objective=objective, latent_dim=50, hidden=200)
    classes = {"vae": zoo.BernoulliVAE, "iwae": zoo.IWAE, "prior": zoo.PriorSampling}
    model = classes[objective](x_shape=(1, 28, 28), k=own.k).double()
    weights = [weight.double() for weight in net.tensors(own)]
    with torch.no_grad():
        for mine, weight in zip(model.parameters(), weights, strict=True):
            mine.copy_(weight)
    x = torch.from_numpy(own.images()[: own.batch]).double()
    torch.manual_seed(1)
    expected = -model.objective(model.draw(x.view(-1, 1, 28, 28))).mean()
    torch.manual_seed(1)
    noise = torch.randn(own.noise_shape)
    torch.testing.assert_close(net.loss(objective, weights, x, noise), expected)


@pytest.mark.parametrize("objective", ["vae", "iwae"])
def test_the_lightning_module_has_the_same_objective(objective: Any, folder: Path) -> None:
    own = task(folder, objective=objective)
    model = VAE(own).double()
    weights = list(model.parameters())
    x = torch.from_numpy(own.images()[: own.batch]).double()
    torch.manual_seed(1)
    expected = net.loss(objective, weights, x, torch.randn(own.noise_shape))
    torch.manual_seed(1)
    torch.testing.assert_close(model.loss(x), expected)


def test_a_contender_that_fails_says_why(folder: Path) -> None:
    with closing(Contender("nobody", "benchmarks.peers.nobody", task(folder))) as contender:
        with pytest.raises(Failed, match=r"(?s)nobody ended early.*No module named"):
            contender.turn()


def test_a_peer_that_is_not_installed_is_named(folder: Path) -> None:
    peers = [peer for peer in TRAINERS if peer.module.endswith("matrix_products")]
    missing = Peer("somebody", "benchmarks.peers.somebody", needs="no_such_package")
    stand_in = Peer("zoo", "benchmarks.peers.torch_loop")
    found = side_by_side(Settings(str(folder), times=2), "title", task(folder), [*peers, stand_in, missing])
    names = ["matrix products alone", "matrix products by torch", "zoo", "somebody"]
    assert [row["contender"] for row in found.rows] == names
    assert found.rows[-1]["images/s"] == "not installed" and "not installed" in found.markdown()


def test_every_peer_is_a_module_of_its_own() -> None:
    folder = Path(net.__file__).parent
    assert all((folder / f"{peer.module.rpartition('.')[2]}.py").is_file() for peer in (*TRAINERS, *EVALUATORS))


def test_works_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    names = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    works = Path(net.__file__).parents[1] / "works"
    assert sorted(names) == sorted(path.stem for path in works.glob("*.py") if path.stem != "__init__")


def test_a_work_that_there_is_not_is_refused() -> None:
    with pytest.raises(SystemExit, match="there is no work vea: the works are vae, iwae"):
        main(["vea"])


def test_no_name_of_a_host_is_told() -> None:
    assert platform.node() not in " ".join(describe("cpu").values()).split()
