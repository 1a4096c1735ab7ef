"""Numbers under Lightning's reduced precisions: networks in 16 bits, densities in 32."""

from pathlib import Path

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


def test_16_bits_count_examples_exactly() -> None:
    """In bfloat16 itself 257 is 256."""
    model = zoo.IWAE(x_shape=SmallImages.x_shape, latent_dim=3).to(torch.bfloat16)
    model.on_test_epoch_start()
    for value in range(5003):
        model._means.update({"objective": torch.full((1,), float(value))})
    assert model._means.compute()["objective"].item() == 2501
