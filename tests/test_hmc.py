"""Leapfrog steps, Hamiltonian Monte Carlo and the schedule, against what is known of them."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor
from torch.distributions import MultivariateNormal

from tests import linear
from tests.linear import same, standard_error
from zoo import GaussianVAE
from zoo.estimators import evaluating, sigmoidal_schedule
from zoo.estimators.annealing import Annealing
from zoo.estimators.hmc import Chance, Point, leapfrog, transition

B = 0.3  # an inverse temperature


def at(z: Tensor) -> Point:
    """A normal of which dimensions depend on each other, times a density with quartic tails."""
    spring = z.sum(-1, keepdim=True)
    log_start = -0.5 * (z.square().sum(-1) + spring.square().squeeze(-1))
    return Point(z, log_start, -(z**4).sum(-1), -z - spring, -4 * z**3)


def test_the_slope_is_that_of_the_log_density() -> None:
    z = torch.randn(2, 3, 5, requires_grad=True)
    (slope,) = torch.autograd.grad(at(z).log_density(B).sum(), z)
    same(at(z).slope(B).detach(), slope)


@pytest.mark.parametrize("n_steps", [1, 2, 7])
def test_a_trajectory_can_be_gone_back(n_steps: int) -> None:
    z, velocity, step = torch.randn(2, 3, 5), torch.randn(2, 3, 5), torch.tensor([0.1, 0.05, 0.2, 0.1, 0.15])
    end, after = leapfrog(at, at(z), velocity, B, step, n_steps)
    back, before = leapfrog(at, end, -after, B, step, n_steps)
    assert (end.z - z).abs().max() > 0.05
    same(back.z, z, 1e-12)
    same(before, -velocity, 1e-12)


@pytest.mark.parametrize("n_steps", [1, 4])
def test_a_trajectory_keeps_volumes(n_steps: int) -> None:
    def flow(state: Tensor) -> Tensor:
        z, velocity = state.view(2, 1, 1, 3)
        end, after = leapfrog(at, at(z), velocity, B, torch.tensor([0.3, 0.2, 0.4]), n_steps)
        return torch.cat([end.z.flatten(), after.flatten()])

    jacobian = torch.autograd.functional.jacobian(flow, torch.randn(6))
    assert isinstance(jacobian, Tensor) and (jacobian - torch.eye(6)).abs().max() > 0.1
    same(jacobian.det(), 1.0, 1e-12)


def test_the_energy_is_kept_to_the_second_order_of_the_step() -> None:
    z, velocity = torch.randn(1, 50, 5), torch.randn(1, 50, 5)

    def error(n_steps: int) -> float:
        """Of the energy after a time of 1."""
        end, after = leapfrog(at, at(z), velocity, B, torch.tensor(1 / n_steps), n_steps)
        before = at(z).log_density(B) - 0.5 * velocity.square().sum(-1)
        return float((end.log_density(B) - 0.5 * after.square().sum(-1) - before).abs().mean())

    assert error(200) / error(100) == pytest.approx(1 / 4, rel=0.05)


@pytest.mark.parametrize("b", [0.2, 1.0])
def test_a_transition_keeps_the_density_of_its_temperature(b: float) -> None:
    """At b the posterior of a linear Gaussian model has the precision I + b W'W / s2."""
    data = linear.linear_data(variance=1.0)
    model, x, n = linear.exact_model(GaussianVAE, data), linear.examples_of(data)[:1], 40_000
    precision = torch.eye(3) + b * data.W.T @ data.W
    mean = torch.linalg.solve(precision, b * (x - data.mu) @ data.W, left=False)
    exact = MultivariateNormal(mean, precision_matrix=precision)
    with evaluating(model):
        path = Annealing(model, x, None)
        before = path.at(exact.sample(torch.Size([n])))  # (n, 1, 3)
        after, acceptance = transition(path.at, before, b, torch.tensor(0.35 / b**0.5), 3, Chance.like(before.z))
    assert 0.3 < acceptance.mean() < 0.9
    assert (after.z - before.z).square().mean() > 0.1 * exact.variance.mean()
    u = torch.linalg.solve_triangular(exact.scale_tril[0], (after.z[:, 0] - mean).mT, upper=False).mT  # (n, 3)
    moments = torch.cat([u, u.square() - 1, u * u.roll(1, -1), u**3, u**4 - 3], -1)
    assert (moments.mean(0).abs() < 4 * standard_error(moments)).all()


def test_a_transition_is_its_own_reverse() -> None:
    """The joint law of a beginning and its end is symmetric: detailed balance, which reverse chains rest on."""
    start = torch.randn(200_000, 1, 1)

    def normal(z: Tensor) -> Point:
        return Point(z, -0.5 * z.square().sum(-1), torch.zeros_like(z[..., 0]), -z, torch.zeros_like(z))

    end = transition(normal, normal(start), 0.0, torch.tensor(1.3), 1, Chance.like(start))[0].z
    odd = (start.square() * end**4 - end.square() * start**4).flatten()
    assert odd.std() > 1 and abs(odd.mean()) < 4 * standard_error(odd)


def test_a_trajectory_that_diverges_is_not_taken() -> None:
    before = at(torch.randn(4, 3, 5))
    after, acceptance = transition(at, before, 1.0, torch.tensor(1e6), 9, Chance.like(before.z))
    assert all(torch.equal(new, old) for new, old in zip(after, before, strict=True)) and not acceptance.any()


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_the_schedule(n: int) -> None:
    t = np.arange(n + 1)
    expected = (expit(4 * (2 * t / n - 1)) - expit(-4)) / (expit(4) - expit(-4))
    same(sigmoidal_schedule(n), torch.from_numpy(expected), 1e-14)
