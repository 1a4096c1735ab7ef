"""Bits per dimension: where they are defined, what they are, and that they are not given elsewhere."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from callbacks import LogLikelihood, Report
from datamodules import Dequantised, Dynamic, Grey, Pixels
from tests.linear import same
from tests.small import SHAPE, SmallImages, quiet_trainer
from zoo import IWAE, VAE, Categorical, DiscretisedLogistic, Gaussian, PriorSampling, bits_per_dimension
from zoo.errors import ZooError

D = math.prod(SHAPE)


def results_of(
    folder: Path, likelihood: Any, pixels: Pixels, cls: type[zoo.LatentVariableModel] = VAE
) -> dict[str, float]:
    torch.manual_seed(3)
    model = cls(x_shape=SHAPE, latent_dim=2, likelihood=likelihood, decoder=partial(zoo.MLP, hidden=[4]))
    trainer = quiet_trainer(folder, LogLikelihood(k=3), Report())
    trainer.test(model, datamodule=SmallImages(pixels=pixels), verbose=False)
    return json.loads((folder / "metrics.json").read_text())["test"]


def test_every_level_equally_probable_takes_eight_bits() -> None:
    same(bits_per_dimension(torch.zeros(7), D, 256), 8.0)  # a density of 1 on [0, 1)
    same(bits_per_dimension(torch.full((7,), -D * math.log(256)), D, 1), 8.0)  # a probability of 1/256 each


def test_a_density_of_pixels_that_were_not_dequantised_has_no_bits() -> None:
    with pytest.raises(ZooError, match=r"take --data\.pixels Dequantised"):
        bits_per_dimension(torch.zeros(7), D, None)


@pytest.mark.parametrize("cls", [VAE, IWAE])
def test_a_density_of_dequantised_pixels_counts_them_in_256ths(cls: Any, tmp_path: Path) -> None:
    test = results_of(tmp_path, Gaussian, Dequantised(), cls)
    expected = -(test["log_likelihood/3"] - D * math.log(256)) / (D * math.log(2))
    assert test["bits_per_dimension/3"] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("likelihood", [DiscretisedLogistic, Categorical])
def test_a_probability_of_levels_is_its_bits(likelihood: Any, tmp_path: Path) -> None:
    test = results_of(tmp_path, likelihood, Grey())
    expected = -test["log_likelihood/3"] / (D * math.log(2))
    assert test["bits_per_dimension/3"] == pytest.approx(expected, abs=1e-10)


def test_draws_of_the_prior_are_labelled(tmp_path: Path) -> None:
    test = results_of(tmp_path, Gaussian, Dequantised(), PriorSampling)
    assert "bits_per_dimension_prior_proposal/3" in test and "bits_per_dimension/3" not in test


@pytest.mark.parametrize(
    ("likelihood", "pixels"),
    [(Gaussian, Grey()), (zoo.Bernoulli, Dynamic()), (DiscretisedLogistic, Dynamic()), (Gaussian, Dynamic())],
)
def test_elsewhere_there_are_none(likelihood: Any, pixels: Pixels, tmp_path: Path) -> None:
    assert not any(name.startswith("bits") for name in results_of(tmp_path, likelihood, pixels))


@pytest.mark.parametrize(
    ("likelihood", "pixels", "noted"),
    [
        (Gaussian, Dynamic(), True),
        (DiscretisedLogistic, Dynamic(), True),
        (zoo.Bernoulli, Dynamic(), False),
        (partial(Categorical, levels=2), Dynamic(), False),
        (Gaussian, Grey(), False),
    ],
)
def test_a_likelihood_of_grey_pixels_on_binary_ones_is_noted(
    likelihood: Any, pixels: Pixels, noted: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results_of(tmp_path, likelihood, pixels)
    assert ("the pixels are 0 or 1 and the likelihood" in capsys.readouterr().out) == noted
