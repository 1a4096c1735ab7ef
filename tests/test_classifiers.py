"""Classifiers of codes: a linear probe and nearest neighbours."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.linear import same
from zoo.errors import ZooError
from zoo.measures.classifiers import linear_probe, nearest_neighbours


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_codes_that_are_the_labels_are_read_without_a_fault(classes: int) -> None:
    labels = torch.arange(7 * classes) % classes
    codes = torch.nn.functional.one_hot(labels).double()
    for classifier in (linear_probe(codes, labels), nearest_neighbours(codes, labels, 5)):
        assert torch.equal(classifier(codes), labels)
        assert classifier.converged


def test_codes_of_chance_say_no_more_than_chance() -> None:
    train, labels, test = torch.randn(600, 4), torch.randint(3, (600,)), torch.randn(2000, 4)
    for classifier in (linear_probe(train, labels), nearest_neighbours(train, labels, 10)):
        right = (classifier(test) == torch.randint(3, (2000,))).double().mean()
        assert abs(right - 1 / 3) < 4 * math.sqrt(2 / 9 / 2000)


def test_the_probe_is_at_the_maximum_of_its_penalised_likelihood() -> None:
    codes, labels = 100 + 7 * torch.randn(200, 4), torch.randint(3, (200,))
    probe = linear_probe(codes, labels).fitted[-1]
    x = (codes - codes.mean(0)) / codes.std(0, correction=0)
    w, b = torch.as_tensor(probe.coef_), torch.as_tensor(probe.intercept_)
    excess = (x @ w.T + b).softmax(1) - torch.nn.functional.one_hot(labels)
    same(excess.sum(0), 0.0, 0.02)
    same(excess.T @ x, -w, 0.02)
    assert w.abs().max() > 0.1  # the penalty, whose gradient is w, is not lost in the tolerance


def test_a_line_that_parts_two_classes_is_found() -> None:
    codes = torch.randn(500, 3) * torch.tensor([1.0, 1e3, 1e-3])
    labels = (codes[:, 0] - 1e3 * codes[:, 2] > 0).long()  # of the scales of two dimensions, neither may count
    assert (linear_probe(codes[:400], labels[:400])(codes[400:]) == labels[400:]).double().mean() > 0.95
    assert (nearest_neighbours(codes[:400], labels[:400], 1)(codes[400:]) == labels[400:]).double().mean() < 0.8


@pytest.mark.parametrize("n", [1, 3, 8])
def test_the_neighbours_are_the_nearest(n: int) -> None:
    codes, labels, new = torch.randn(60, 3), torch.randint(2, (60,)), torch.randn(41, 3)
    nearest = torch.cdist(new, codes).topk(n, largest=False).indices
    votes = labels[nearest].double().mean(1)
    found = nearest_neighbours(codes, labels, n)(new)
    assert torch.equal(found[votes != 0.5], (votes > 0.5).long()[votes != 0.5])


def test_the_batch_does_not_decide_between_codes_that_are_equally_far() -> None:
    codes = torch.randn(5, 50).repeat(40, 1)
    labels, new = torch.randint(10, (200,)), torch.randn(101, 50)
    neighbours = nearest_neighbours(codes, labels, 10)
    for size in (1, 7, 50):
        assert torch.equal(torch.cat([neighbours(part) for part in new.split(size)]), neighbours(new))


def test_a_fit_that_is_broken_off_says_so_and_warns_of_nothing() -> None:
    codes, labels = torch.randn(200, 5), torch.randint(4, (200,))
    assert not linear_probe(codes, labels, max_iter=1).converged
    assert linear_probe(codes, labels).converged


def test_a_dimension_that_never_varies_does_no_harm() -> None:
    codes, labels = torch.randn(200, 5), torch.randint(4, (200,))
    still = torch.cat([codes, torch.full((200, 1), 0.3)], 1)
    assert torch.equal(linear_probe(still, labels)(still), linear_probe(codes, labels)(codes))


@pytest.mark.parametrize("fit", [linear_probe, lambda codes, labels: nearest_neighbours(codes, labels, 1)])
def test_codes_that_are_no_numbers_are_refused(fit: Callable[[Tensor, Tensor], Any]) -> None:
    with pytest.raises(ZooError, match="nan or infinity"):
        fit(torch.tensor([[0.0], [math.nan]]), torch.tensor([0, 1]))


def test_what_no_classifier_can_be_fitted_to_is_refused() -> None:
    codes = torch.randn(5, 2)
    with pytest.raises(ZooError, match="all labels are the same"):
        linear_probe(codes, torch.zeros(5))
    with pytest.raises(ZooError, match="max_iter is 0"):
        linear_probe(codes, torch.arange(5), max_iter=0)
    with pytest.raises(ZooError, match="n is 6 neighbours of 5 codes"):
        nearest_neighbours(codes, torch.arange(5), 6)
