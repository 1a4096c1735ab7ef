"""Where pictures look: lines, traversals, grids, planes, and which examples they show."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.distributions import AffineTransform, Normal, TransformedDistribution

from tests.linear import same
from zoo import MixtureOfGaussians
from zoo.metrics import BottomK
from zoo.paths import interpolate, mean_and_spread, most_active, normal_quantiles, plane_grid, traverse
from zoo.planes import principal_plane
from zoo.steps import labels


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_the_grid_lies_at_the_quantiles_of_the_normal(n: int) -> None:
    same(normal_quantiles(n), torch.as_tensor(norm.ppf((np.arange(n) + 0.5) / n)))


def test_a_line_begins_and_ends_at_the_codes() -> None:
    start, end = torch.randn(3, 5), torch.randn(3, 5)
    line = interpolate(start, end, 7)
    assert line.shape == (3, 7, 5)
    assert torch.equal(line[:, 0], start) and torch.equal(line[:, -1], end)
    same(line[:, 2], start + (end - start) / 3, 1e-14)


def test_a_traversal_moves_one_unit() -> None:
    z, units, values = torch.randn(5), torch.tensor([3, 0]), torch.randn(2, 4)
    moved = traverse(z, units, values)
    for row, u in enumerate(units):
        others = torch.arange(5) != u
        assert torch.equal(moved[row, :, u], values[row])
        assert torch.equal(moved[row][:, others], z[others].expand(4, -1))


def test_active_units_come_in_order() -> None:
    variance = torch.tensor([0.01, 0.4, 0.009, 2.0, 0.011])
    assert most_active(variance, 0.01).tolist() == [3, 1, 4]
    assert most_active(variance, 2.0).tolist() == []


def test_the_grid_goes_right_and_up() -> None:
    grid = plane_grid(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([8.0, 9.0]))
    assert grid.shape == (2, 3, 2)
    assert grid[0, 2].tolist() == [3.0, 9.0] and grid[1, 0].tolist() == [1.0, 8.0]


@pytest.mark.parametrize(("n", "dim"), [(17, 5), (3, 5), (2, 4), (11, 2)])
def test_the_plane_is_that_of_the_singular_vectors(n: int, dim: int) -> None:
    points = torch.randn(n, dim) * torch.linspace(3, 0.5, dim) + 100
    plane = principal_plane(points)
    centred = points.numpy() - points.numpy().mean(0)
    _, spread, rows = np.linalg.svd(centred, full_matrices=False)
    found = min(2, n - 1)  # n points lie in n - 1 dimensions
    overlap = (plane.directions.T @ torch.as_tensor(rows[:2].T)).diagonal()[:found]
    same(overlap.abs(), 1.0)
    same(plane.share, torch.as_tensor((spread**2 / (spread**2).sum())[:2]))
    same(plane.project(points)[:, :found], (torch.as_tensor(centred @ rows[:2].T)[:, :found] * overlap.sign()))
    assert (plane.directions.gather(0, plane.directions.abs().argmax(0, keepdim=True)) > 0).all()


@pytest.mark.parametrize("n", [1, 6])
def test_equal_points_have_a_plane_all_the_same(n: int) -> None:
    plane = principal_plane(torch.ones(n, 4))
    same(plane.project(torch.ones(n, 4)), 0.0)
    same(plane.share, 0.0)


def test_moments_are_in_closed_form_or_of_draws() -> None:
    mixture = MixtureOfGaussians(3, components=4)()
    same(torch.stack(mean_and_spread(mixture)), torch.stack([mixture.mean, mixture.variance.sqrt()]))
    shifted = TransformedDistribution(Normal(torch.zeros(3), torch.ones(3)), AffineTransform(5.0, 2.0))
    mean, spread = mean_and_spread(shifted, 10_000)  # torch knows no mean of what is transformed
    same(mean, 5.0, 4 * 2 / 100)
    same(spread, 2.0, 4 * 2 / 100)


@pytest.mark.parametrize("batch", [1, 4, 23])
@pytest.mark.parametrize("k", [1, 5, 23, 50])
def test_the_examples_of_the_smallest_keys_are_kept(batch: int, k: int) -> None:
    keys, order = torch.randint(-(2**60), 2**60, (23,)), torch.randperm(23)
    parts = [BottomK(k), BottomK(k)]
    for number, index in enumerate(order.split(batch)):
        parts[number % len(parts) if batch < 23 else 0].update(keys[index], index[:, None].double())
    if batch < 23:
        parts[0].merge_state(parts[1])
    assert parts[0].compute().reshape(-1).tolist() == keys.argsort()[:k].tolist()
    assert sum(map(len, parts[0].keys)) <= 2 * k
    parts[0].reset()
    parts[0].update(keys[:2], keys[:2, None])
    assert parts[0].compute().reshape(-1).tolist() == keys[:2].sort().values[:k].tolist()


def test_labels_are_whole_numbers_beside_the_examples() -> None:
    x, y = torch.rand(3, 2), torch.tensor([4, 0, 9])
    assert labels((x, y)).tolist() == [4, 0, 9]
    for batch in (x, (x,), (x, y.double()), (x, y[:2]), (x, "abc")):
        assert labels(batch).tolist() == [-1, -1, -1]
