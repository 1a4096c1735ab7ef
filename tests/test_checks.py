"""What torch would refuse in its own words is refused in a sentence."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from callbacks import KeepLast, Predictions
from tests.small import LATENT, SHAPE, small_model
from zoo import IWAE, MLP
from zoo.errors import ZooError


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"latent_dim": "a"}, "latent_dim is 'a', where an integer of at least 1 was expected"),
        ({"latent_dim": True}, "latent_dim is True, where an integer"),
        ({"k": 2.5}, "k is 2.5, where an integer of at least 1"),
        ({"x_shape": 5}, "x_shape is 5, where the shape of one example"),
        ({"x_shape": "abc"}, "x_shape is 'abc'"),
        ({"x_shape": ()}, r"x_shape is \(\)"),
        ({"x_shape": (1, 0, 4)}, r"x_shape is \(1, 0, 4\)"),
        ({"encoder": partial(MLP, hidden=3)}, "hidden is 3, where widths of at least 1 were expected"),
        ({"encoder": partial(MLP, hidden=[2.5])}, r"hidden is \[2.5\], where widths"),
    ],
)
def test_arguments_of_a_wrong_type_are_refused_when_a_model_is_made(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        IWAE(**{"x_shape": SHAPE, "latent_dim": LATENT} | arguments)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(0, *SHAPE), "the batch is empty"),
        (torch.zeros(7, *SHAPE, dtype=torch.uint8), "the examples are torch.uint8 .* divided by 255"),
        (torch.zeros(7, *SHAPE, dtype=torch.float32), r"torch.float32 and .* torch.float64: pass x.to\(model.dtype\)"),
        (torch.zeros(SHAPE), r"the examples have shape \(5, 4\) and the model was made for \(1, 5, 4\)"),
    ],
    ids=["empty", "bytes", "other floats", "no batch"],
)
def test_a_batch_that_is_none_is_refused(x: torch.Tensor, sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        small_model("iwae").log_likelihood(x, k=3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: small_model("iwae").sample(0), "n is 0, where an integer of at least 1"),
        (lambda: Predictions(k=0), "k is 0, where an integer of at least 1"),
        (lambda: KeepLast(every_minutes=-1), "every_minutes is -1, where 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        make()
