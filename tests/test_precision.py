"""Numbers under Lightning's reduced precisions: networks in 16 bits, densities in 32."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import zoo
from tests.small import SmallImages


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("cls", [zoo.BernoulliVAE, zoo.IWAE, zoo.PriorSampling])
def test_a_reduced_precision_moves_the_numbers_little(cls: type, precision: str, tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float32)
    found = {}
    for each in ("32-true", precision):
        torch.manual_seed(1)
        trainer = pl.Trainer(
            precision=each, max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        model, data = cls(x_shape=SmallImages.x_shape, latent_dim=3, k=40), SmallImages()
        trainer.fit(model, datamodule=data)
        found[each] = trainer.validate(model, datamodule=data, verbose=False)[0]
    assert found[precision] == pytest.approx(found["32-true"], abs=0.05)


PARTS: dict[str, dict[str, Any]] = {
    "Bernoulli": {},
    "Gaussian": {"likelihood": zoo.Gaussian},
    "DecodedVariance": {"likelihood": partial(zoo.Gaussian, variance=zoo.DecodedVariance)},
    "StudentT": {"likelihood": zoo.StudentT},
    "DiscretisedLogistic": {"likelihood": zoo.DiscretisedLogistic},
    "Categorical": {"likelihood": zoo.Categorical},
    "ContinuousBernoulli": {"likelihood": zoo.ContinuousBernoulli},
    "MixtureOfGaussians": {"prior": zoo.MixtureOfGaussians},
    "VampPrior": {"prior": zoo.VampPrior},
    "FullGaussian": {"posterior": zoo.FullGaussian},
    "CouplingFlow": {"posterior": zoo.CouplingFlow},
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_under_bf16_mixed_log_probabilities_are_summed_in_32_bits(parts: dict[str, Any]) -> None:
    """In bfloat16 a sum over 3072 pixels would be known to one part in 256."""
    torch.set_default_dtype(torch.float32)
    model = zoo.VAE(x_shape=(3, 32, 32), latent_dim=3, **{"likelihood": zoo.Bernoulli} | parts, closed_form_kl=False)
    with torch.autocast("cpu", torch.bfloat16):
        draw = model.draw(torch.ones(5, 3, 32, 32), 2)
        assert model.encoder(torch.ones(5, 3, 32, 32)).dtype == torch.bfloat16  # or nothing would be shown
        assert {draw.log_px.dtype, draw.log_ratio.dtype, draw.log_w.dtype} == {torch.float32}


def test_16_bits_count_examples_exactly() -> None:
    """In bfloat16 itself 257 is 256."""
    model = zoo.IWAE(x_shape=SmallImages.x_shape, latent_dim=3).to(torch.bfloat16)
    model.on_test_epoch_start()
    for value in range(5003):
        model._means.update({"objective": torch.full((1,), float(value))})
    assert model._means.compute()["objective"].item() == 2501
