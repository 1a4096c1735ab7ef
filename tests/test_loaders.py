"""The order of training and the shares of ranks: what a run sees, and what it sees after it was resumed."""

from collections.abc import Iterable
from itertools import chain, islice

import pytest
import torch
from torch import Tensor

from datamodules import DataError, EvalBatches, Images, Stored, TrainBatches
from zoo.noise import mix

SIZE = 11  # divided by none of the numbers of ranks and batch sizes below
WORLDS = (1, 2, 3)


def numbered(size: int = SIZE) -> Images:
    """Images whose one pixel is their number."""
    return Images(torch.arange(size, dtype=torch.uint8).reshape(size, 1, 1, 1), torch.arange(size))


def seen(batches: Iterable[Stored]) -> list[int]:
    return [int(number) for batch in batches for number in batch.images.flatten()]


def endless(loader: TrainBatches, count: int) -> list[tuple[list[int], int]]:
    """The next `count` batches, over as many passes as they take."""
    passes = (batch for _ in range(count) for batch in loader)
    return [(seen([batch]), batch.noise_seed) for batch in islice(passes, count)]


def shares(world_size: int, **options: int) -> list[TrainBatches]:
    return [TrainBatches(numbered(), 4, 5, rank, world_size, **options) for rank in range(world_size)]


def test_mix_hashes_its_arguments_in_order() -> None:
    seeds = {mix(a, b) for a in range(40) for b in range(40)}
    assert len(seeds) == 1600
    assert all(0 < seed < 2**63 for seed in seeds)
    assert mix(-1) != mix(1)
    assert mix(2**64 - 1, 3) == mix(-1, 3)  # seeds are words of 64 bits


@pytest.mark.parametrize("world_size", WORLDS)
def test_evaluation_sees_every_example_once(world_size: int) -> None:
    loaders = [EvalBatches(numbered(), 2, rank, world_size) for rank in range(world_size)]
    assert sorted(seen(chain(*loaders))) == list(range(SIZE))
    for loader in loaders:
        assert len(list(loader)) == len(loader)
        assert all(batch.noise_seed == 0 for batch in loader)
        assert seen(loader) == seen(loader) == sorted(seen(loader))


def test_evaluation_refuses_a_rank_without_examples() -> None:
    with pytest.raises(DataError, match=r"holds 2 examples for 3 ranks.*fewer devices"):
        EvalBatches(numbered(2), 2, 0, 3)


@pytest.mark.parametrize("world_size", WORLDS)
def test_ranks_share_an_epoch_equally(world_size: int) -> None:
    loaders = shares(world_size)
    parts = [seen(loader) for loader in loaders]
    assert set(chain(*parts)) == set(range(SIZE))
    assert len({len(part) for part in parts}) == 1
    assert len({len(loader) for loader in loaders}) == 1
    assert sum(map(len, parts)) < SIZE + world_size


def test_more_ranks_than_examples_still_get_one_each() -> None:
    parts = [seen(TrainBatches(numbered(2), 4, 5, rank, 5)) for rank in range(5)]
    assert [len(part) for part in parts] == [1] * 5
    assert {number for part in parts for number in part} == {0, 1}


def test_labels_stay_with_their_images_and_may_be_missing() -> None:
    for batch in TrainBatches(numbered(), 4, 5):
        assert batch.labels is not None
        assert torch.equal(batch.images.flatten().long(), batch.labels)
    assert all(batch.labels is None for batch in TrainBatches(Images(numbered().images), 4, 5))


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> Tensor:
        return TrainBatches(numbered(), 4, seed).order(epoch)

    assert torch.equal(order(5, 1), order(5, 1))
    assert not torch.equal(order(5, 1), order(5, 2))
    assert not torch.equal(order(5, 1), order(6, 1))
    loader = TrainBatches(numbered(), 4, 5)
    assert [seen(loader) for _ in range(3)] == [order(5, epoch).tolist() for epoch in range(3)]


def test_noise_differs_between_batches_ranks_and_epochs() -> None:
    seeds = [noise for loader in shares(3) for _, noise in endless(loader, 7)]
    assert len(set(seeds)) == 21


@pytest.mark.parametrize("stop", range(8))
def test_a_resumed_run_sees_what_the_stopped_one_would_have_seen(stop: int) -> None:
    whole = endless(TrainBatches(numbered(), 4, 5), 9)
    stopped, resumed = TrainBatches(numbered(), 4, 5), TrainBatches(numbered(), 4, seed=99)
    assert endless(stopped, stop) == whole[:stop]
    resumed.load_state_dict(stopped.state_dict())
    assert endless(resumed, 9 - stop) == whole[stop:]


def test_the_position_counts_the_batch_that_is_out() -> None:
    loader = TrainBatches(numbered(), 4, 5)
    assert [loader.position for _ in loader] == [1, 2, 3]


def test_an_iterator_that_is_never_used_moves_nothing() -> None:
    loader = TrainBatches(numbered(), 4, 5)
    iter(loader)  # Lightning does this, to see whether it can
    assert loader.position == 0


def test_a_pass_has_the_same_length_wherever_it_starts() -> None:
    loader = TrainBatches(numbered(), 4, 5)
    next(iter(loader))
    assert len(list(loader)) == len(loader) == 3


@pytest.mark.parametrize(("overfit", "expected"), [(2, [0, 1, 2, 3, 4, 5, 6, 7]), (0.4, [0, 1, 2, 3]), (9, range(11))])
def test_overfitting_repeats_the_first_batches_unshuffled(overfit: float, expected: Iterable[int]) -> None:
    loader = TrainBatches(numbered(), 4, 5, overfit=overfit)
    assert len(loader) == 3
    for _ in range(2):
        assert seen(islice(loader, loader.period)) == list(expected)
