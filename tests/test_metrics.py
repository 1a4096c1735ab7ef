"""Metrics are sums over examples: no split into batches or ranks, and no offset, changes them."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.linear import same
from zoo.metrics import ExampleMeans, Moments

N, D = 101, 3
SPLITS = [[101], [1] * 101, [50, 51], [1, 100], [100, 1], [7, 13, 64, 17]]


def moments(values: Tensor, sizes: list[int]) -> Moments:
    metric = Moments(values.shape[1])
    for part in values.split(sizes):
        metric.update(part)
    return metric


def agrees(metric: Moments, values: Tensor, digits: float = 1e-12) -> None:
    summary, expected = metric.compute(), values.double().numpy()
    spread = expected.std(0)
    pairs = [
        (summary.mean, expected.mean(0), np.abs(expected).max(0)),
        (summary.variance, expected.var(0), spread**2),
        (summary.standard_error, expected.std(0, ddof=1) / math.sqrt(len(values)), spread),
    ]
    for found, value, scale in pairs:
        assert found.dtype == torch.float64
        assert np.all(np.abs(found.numpy() - value) <= digits * scale)


@pytest.mark.parametrize("sizes", SPLITS)
def test_moments_are_numpys_for_any_split_of_the_data(sizes: list[int]) -> None:
    values = torch.randn(N, D) * torch.tensor([1.0, 1e-3, 1e3]) + torch.tensor([0.0, 1.0, -40.0])
    agrees(moments(values, sizes), values)


@pytest.mark.parametrize("sizes", SPLITS)
def test_moments_keep_their_digits_under_a_large_offset(sizes: list[int]) -> None:
    values = torch.randn(N, D) + 1e8  # sums of squares would lose all: 1e16 times the precision of 1e-16
    agrees(moments(values, sizes), values, 1e-6)
    naive = values.square().mean(0) - values.mean(0).square()
    assert ((naive - values.var(0, correction=0)).abs() > 1e-2).any()


def test_moments_of_single_precision_are_summed_in_double() -> None:
    values = (torch.rand(10_001, D) + 1000).float()
    metric = Moments(D)
    for part in values.split(10):
        metric.update(part)
    agrees(metric, values, 1e-10)


@pytest.mark.parametrize("sizes", [[101], [1, 100], [40, 61], [30, 1, 70]])
def test_moments_of_ranks_are_joined_whatever_each_holds(sizes: list[int]) -> None:
    values = torch.randn(N, D) + 1000
    ranks = [moments(part, [len(part)]) for part in values.split(sizes)]
    for other in (*ranks[1:], Moments(D)):  # the last one saw nothing
        ranks[0].merge_state(other)
    agrees(ranks[0], values, 1e-11)


def test_one_value_has_no_standard_error() -> None:
    mean, variance, error = moments(torch.tensor([[3.0, -4.0]]), [1]).compute()
    same(mean, torch.tensor([3.0, -4.0]))
    assert not variance.any()
    assert error.isnan().all()


def test_moments_begin_again_after_a_reset() -> None:
    metric = moments(torch.randn(N, D), [N])
    metric.reset()
    values = torch.randn(7, D)
    metric.update(values)
    agrees(metric, values)


@pytest.mark.parametrize("sizes", SPLITS)
def test_means_count_every_example_once(sizes: list[int]) -> None:
    terms = {"elbo": torch.randn(N).float(), "kl": torch.rand(N)}
    parts = zip(*(value.split(sizes) for value in terms.values()), strict=True)
    metric, ranks = ExampleMeans(), [ExampleMeans(), ExampleMeans()]
    for i, part in enumerate(parts):
        for target in (metric, ranks[i % 2]):
            target.update(dict(zip(terms, part, strict=True)))
    if len(sizes) > 1:
        ranks[0].merge_state(ranks[1])
    for found in (metric.compute(), ranks[0].compute()):
        assert list(found) == ["elbo", "kl"]
        for name, value in terms.items():
            assert found[name].dtype == torch.float64
            same(found[name], value.double().mean(), 1e-12)


def test_means_hold_no_graph_and_begin_again_after_a_reset() -> None:
    value = torch.randn(7, requires_grad=True)
    metric = ExampleMeans()
    metric.update({"elbo": value})
    assert not metric.compute()["elbo"].requires_grad
    metric.reset()
    metric.update({"other": torch.tensor([2.0, 4.0])})
    assert metric.compute() == {"other": 3.0}
