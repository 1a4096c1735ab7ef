"""Signal-to-noise ratios of gradients against known laws, and a model that is left as it was."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from callbacks import GradientNoise
from tests.known_gradients import ClosedKL, Detached, Forgetful, Free, OneDrawKL, Quadratic, Scored, rainforth_constants
from tests.linear import same
from tests.small import SHAPE, SmallImages, quiet_trainer, small_model
from zoo import CouplingFlow, LatentVariableModel, MixtureOfGaussians, OptimalVariance, VampPrior, load
from zoo.errors import ZooError
from zoo.measures.gradients import gradient_noise, noise_floor, signal_to_noise
from zoo.metrics import Moments
from zoo.noise import seed_step

B = 7


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers)


def moments_of(gradients: Tensor) -> Moments:
    metric = Moments(gradients.shape[1])
    for row in gradients:
        metric.update(row[None])
    return metric


# --- the formula


def test_streamed_it_is_the_ratio_of_two_passes() -> None:
    gradients = torch.randn(11, 5) * vector(1, 1e-6, 1e6, 1, 1) + vector(100, 1e-3, 0, -1, 7)
    found = signal_to_noise(moments_of(gradients).compute(), 11)
    same(found.snr / (gradients.mean(0).abs() / gradients.std(0)).mean(), 1.0)
    same(found.variance / gradients.var(0).sum(), 1.0)


def test_a_gradient_that_does_not_vary_is_left_out_and_one_that_is_no_number_is_seen() -> None:
    gradients = torch.randn(11, 3)
    still = torch.cat([gradients, torch.zeros(11, 2), torch.full((11, 1), 0.3)], 1)
    same(
        torch.stack(signal_to_noise(moments_of(still).compute(), 11)),
        torch.stack(signal_to_noise(moments_of(gradients).compute(), 11)),
    )
    assert signal_to_noise(moments_of(still[:, 3:]).compute(), 11).snr.isnan()
    still[4, 0] = math.nan
    assert signal_to_noise(moments_of(still).compute(), 11).snr.isnan()


@pytest.mark.parametrize("draws", [20, 100])
def test_gradients_of_mean_zero_show_the_floor(draws: int) -> None:
    """Exactly, mean over standard error is Student's t; the floor is its limit."""
    n = 20_000
    found = signal_to_noise(moments_of(torch.randn(draws, n)).compute(), draws).snr
    law = student(draws - 1)
    exact = law.expect(abs) / math.sqrt(draws)
    error = math.sqrt((law.var() / draws - exact**2) / n)
    assert abs(found - exact) < 4 * error
    assert 0 < exact / noise_floor(draws) - 1 < 0.9 / draws


# --- of models whose gradients are known


def test_without_a_gradient_through_the_draws_the_encoder_is_at_the_floor_and_the_decoder_is_not() -> None:
    d, draws = 400, 50
    model = Detached(d).at(torch.randn(d), torch.rand(d) + 0.5, torch.randn(d))
    found = gradient_noise(model, torch.randn(B, d), draws)
    expected = student(draws - 1).expect(abs) / math.sqrt(draws)
    assert abs(found["encoder"].snr - expected) < 4 * math.sqrt((1 - 2 / math.pi) / draws / (2 * d)) + 1e-3
    assert found["decoder"].snr > 5 * noise_floor(draws)


def test_the_gradient_of_the_one_draw_kl_term_has_its_variance_and_that_of_the_closed_form_has_none() -> None:
    """By the mean it is s^2, by log s it is m^2 s^2 + 2 s^4, a dimension and an example."""
    d = 300
    mean, std = torch.randn(d), torch.rand(d) + 0.1
    x, draws = torch.zeros(B, d), 200
    found = gradient_noise(OneDrawKL(d).at(mean, std, torch.zeros(d)), x, draws)["encoder"].variance
    each = torch.cat([std.square(), (mean * std).square() + 2 * std**4]) / B
    # the variance of a sample variance is 2 / (R - 1), a little more where the gradient is no normal number
    assert abs(found - each.sum()) < 5 * math.sqrt(2 / (draws - 1)) * each.square().sum().sqrt()
    closed = gradient_noise(ClosedKL(d).at(mean, std, torch.zeros(d)), x, 3)["encoder"]
    same(closed.variance, 0.0)
    assert closed.snr.isnan()


def test_the_score_function_has_far_more_noise_than_the_gradient_through_the_draws() -> None:
    """4 c^2 s^2 against a^2/s^2 + 2 b^2 + 15 c^2 s^2 + 6 a c, by the mean."""
    s, draws = 0.4, 600
    found = []
    for cls in (Quadratic, Scored):
        model = cls().at(vector(0.3), vector(s), vector(0.0))
        model.log_std.requires_grad_(False)
        found.append(gradient_noise(model, torch.zeros(B, 1), draws)["encoder"])
    a, b, c = Quadratic.a, Quadratic.b, Quadratic.c
    through = 4 * c**2 * s**2 / B
    scored = (a**2 / s**2 + 2 * b**2 + 15 * c**2 * s**2 + 6 * a * c) / B
    error = 4 * math.sqrt(2 / draws)
    assert found[0].variance / through == pytest.approx(1, abs=error)
    assert found[1].variance / scored == pytest.approx(1, abs=3 * error)  # its tails are heavy
    for noise in found:
        assert noise.snr * noise.variance.sqrt() == pytest.approx(abs(b), abs=4 * math.sqrt(scored / draws))


def test_with_more_draws_the_ratio_of_the_encoder_falls_and_that_of_the_decoder_rises() -> None:
    """As k to the powers -1/2 and 1/2; of n copies of one example it is sqrt(n) times that of one."""
    mean, std, shift, x, draws = 0.6, math.sqrt(2 / 3), 0.5, 1.3, 200
    encoder, decoder = rainforth_constants(x, mean, std, shift)
    for k in (10, 90):
        model, n = Free(k=k).at(vector(mean), vector(std), vector(shift)), 4 * k
        model.log_std.requires_grad_(False)
        found = gradient_noise(model, torch.full((n, 1), x), draws)
        assert found["encoder"].snr / math.sqrt(n) == pytest.approx(encoder / math.sqrt(k), rel=0.25)
        assert found["decoder"].snr / math.sqrt(n) == pytest.approx(decoder * math.sqrt(k), rel=0.15)


# --- of the zoo's models


def by_hand(model: LatentVariableModel, x: Tensor, draws: int) -> dict[str, tuple[float, float]]:
    """With backward, and the parts by their names."""
    rows = []
    for r in range(draws):
        seed_step(0, r)
        model.zero_grad()
        (-model.objective(model.draw(x)).mean()).backward()
        rows.append({name: value.grad.flatten() for name, value in model.named_parameters() if value.grad is not None})
    model.zero_grad()
    found = {}
    for part, modules in (("encoder", "encoder posterior"), ("decoder", "decoder likelihood"), ("prior", "prior")):
        own = [name for name in rows[0] if name.split(".")[0] in modules.split()]
        if own:
            gradients = torch.stack([torch.cat([row[name] for name in own]) for row in rows])
            ratios = (gradients.mean(0).abs() / gradients.std(0))[gradients.std(0) > 0]
            found[part] = (float(ratios.mean()), float(gradients.var(0).sum()))
    return found


MIXTURE, VAMP = partial(MixtureOfGaussians, components=2), partial(VampPrior, components=4)


@pytest.mark.parametrize(
    ("name", "arguments", "parts"),
    [
        ("gaussian", {}, {"encoder", "decoder"}),
        ("gaussian", {"variance": OptimalVariance}, {"encoder", "decoder"}),
        ("bernoulli", {"posterior": CouplingFlow, "closed_form_kl": False}, {"encoder", "decoder"}),
        ("iwae", {"prior": MIXTURE}, {"encoder", "decoder", "prior"}),
        ("iwae", {"prior": VAMP}, {"encoder", "decoder", "prior"}),
        ("prior", {}, {"decoder"}),
    ],
)
def test_each_part_has_the_noise_of_its_own_parameters(name: str, arguments: dict[str, Any], parts: set[str]) -> None:
    """A VampPrior is made of the encoder, which counts as the encoder alone."""
    model, x = small_model(name, **arguments), torch.rand(B, *SHAPE).round()
    expected = by_hand(model, x, draws=5)
    assert expected.keys() == parts
    for part, noise in gradient_noise(model.eval(), x, draws=5).items():
        assert (float(noise.snr), float(noise.variance)) == pytest.approx(expected.pop(part), rel=1e-9)
    assert not expected


def test_the_gradient_is_that_of_training_with_the_kl_weight_of_now() -> None:
    """In evaluation the weight is 1, and at step 0 of its warm-up it is 0."""
    x = torch.rand(B, *SHAPE).round()
    warming = gradient_noise(small_model("bernoulli", kl_warmup_steps=9).eval(), x, 3)
    assert warming == gradient_noise(small_model("bernoulli", kl_weight=0.0), x, 3)
    assert warming != gradient_noise(small_model("bernoulli"), x, 3)


def test_the_kl_weight_is_that_of_the_steps_behind_the_weights(tmp_path: Path) -> None:
    """Also where a checkpoint was loaded and no trainer counts, in a test or in Python."""
    model, x = small_model("bernoulli", kl_warmup_steps=20), torch.rand(B, *SHAPE).round()
    trainer = quiet_trainer(tmp_path, max_steps=7)
    trainer.fit(model, datamodule=SmallImages())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    expected = gradient_noise(model, x, 3)
    assert expected == gradient_noise(load_weights(small_model("bernoulli", kl_weight=7 / 20), model), x, 3)
    assert gradient_noise(load(tmp_path / "a.ckpt"), x, 3) == expected
    again, monitor = small_model("bernoulli", kl_warmup_steps=20), GradientNoise(5, 3)
    found = []
    for each, path in ((model, None), (again, tmp_path / "a.ckpt")):
        tester = quiet_trainer(tmp_path, monitor)
        (numbers,) = tester.test(each, datamodule=SmallImages(), ckpt_path=path, weights_only=True, verbose=False)
        found.append(numbers)
    assert found[0] == found[1]


def load_weights(model: LatentVariableModel, other: LatentVariableModel) -> LatentVariableModel:
    model.load_state_dict(other.state_dict())
    return model


def test_a_gradient_that_varies_by_rounding_alone_is_left_out() -> None:
    gradients = Moments(2)
    gradients.update(1e-3 + 1e-9 * torch.randn(11, 1) * torch.tensor([1.0, 0.0]))
    assert signal_to_noise(gradients.compute(), 11).snr > 1e5
    assert signal_to_noise(gradients.compute(), 11, rounding=1e-5).snr.isnan()


def test_a_model_without_trained_parameters_has_no_gradient() -> None:
    assert gradient_noise(small_model("iwae").requires_grad_(False), torch.ones(B, *SHAPE), 3) == {}


def test_a_model_is_left_as_it_was() -> None:
    model, x = small_model("gaussian", variance=OptimalVariance, encoder=Forgetful), torch.rand(B, *SHAPE)
    model.encoder.get_submodule("norm").eval()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    with torch.inference_mode():
        gradient_noise(model, x + 0, draws=3)  # a tensor of inference mode
    assert torch.equal(state, torch.get_rng_state())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_has_no_noise_is_refused() -> None:
    with pytest.raises(ZooError, match="draws is 0, where an integer"):
        gradient_noise(small_model("iwae"), torch.ones(B, *SHAPE), draws=0)
    with pytest.raises(ZooError, match="the examples have shape"):
        gradient_noise(small_model("iwae"), torch.ones(B, 3))
