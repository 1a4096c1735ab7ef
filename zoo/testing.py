"""The contract of every model, to be run on a model of one's own: `check_model(MyModel)`."""

import io
from typing import Any

import torch
from torch import Tensor

from zoo.base import LatentVariableModel
from zoo.checkpoints import load
from zoo.objectives import logmeanexp

K, B, D = 3, 7, 5  # all different, so that axes that change places are found out
X_SHAPE = (1, 5, 4)
BOUNDS = 50  # draws of the bound, whose mean has a seventh of their deviation


def check_model(cls: type[LatentVariableModel], x: Tensor | None = None, **arguments: Any) -> LatentVariableModel:
    """Checks that a model keeps the contract that the zoo's commands, monitors and numbers stand on.

    It checks the shapes, that every parameter has a gradient, that no k is rounded and no chunk or batch moves a
    number, that what is logged is the objective, that a bound lies below log p(x), and that a checkpoint gives the
    model back.

    Args:
        cls: The class of the model, at the top of a module.
        x: Examples to check with, (B, *x_shape); binary ones of shape (1, 5, 4) by default.
        **arguments: The model's own arguments.

    Returns:
        The model that was checked.

    Raises:
        AssertionError: The model breaks the contract; the message says where.

    Example:
        >>> import zoo
        >>> model = check_model(zoo.IWAE)
    """
    x = torch.rand(B, *X_SHAPE).round() if x is None else x
    arguments = {"x_shape": tuple(x.shape[1:]), "latent_dim": D, "k": K} | arguments
    model = cls(**arguments)
    _check_shapes(model, x)
    _check_gradients(model, x)
    _check_evaluation(model, x)
    _check_logging(model, x)
    _check_reload(model, x)
    return model


def _check_shapes(model: LatentVariableModel, x: Tensor) -> None:
    k, n, d = model.k, len(x), model.latent_dim
    draw = model.draw(x)
    shared = 1 if model.shared_draws else n
    assert draw.z.shape == (k, shared, d), f"z is {tuple(draw.z.shape)}, not (k, B, D) = {(k, shared, d)}"
    assert draw.log_px.shape == draw.log_w.shape == (k, n), f"log_w is {tuple(draw.log_w.shape)}, not {(k, n)}"
    assert model.draw(x, k + 1).log_w.shape == (k + 1, n), "draw(x, k) does not draw k times"
    objective = model.objective(draw)
    assert objective.shape == (n,), f"objective is {tuple(objective.shape)}, not (B,) = {(n,)}"
    assert model.sample(4).shape == model.sample(4, mean=False).shape == (4, *x.shape[1:]), "sample has a wrong shape"
    assert model.reconstruct(x).shape == x.shape, "reconstruct has a wrong shape"
    assert model.codes(x).shape == (n, d), "codes has a wrong shape"


def _check_gradients(model: LatentVariableModel, x: Tensor) -> None:
    model.zero_grad()
    model.objective(model.draw(x)).sum().backward()
    without = [name for name, value in model.named_parameters() if value.requires_grad and value.grad is None]
    assert not without, f"no gradient reaches {', '.join(without)}: default DDP refuses such a model"


def _check_evaluation(model: LatentVariableModel, x: Tensor) -> None:
    log_w = model.log_weights(x, 5)
    expected = logmeanexp(log_w.double())
    for chunk in (1, 2, 3, 5, 8):
        assert model.log_weights(x, 5, chunk).shape == log_w.shape, f"chunks of {chunk} round k"
        _same(model.log_likelihood(x, 5, chunk), expected, f"chunks of {chunk} draws move the log-likelihood")
    parts = torch.cat([model.log_likelihood(part, 5) for part in x.split(3)])
    _same(parts, expected, "the batch size moves the log-likelihood")
    _same(model.log_likelihood(x.flip(0), 5).flip(0), expected, "the order moves the log-likelihood")
    with torch.no_grad():
        other, one = model.draw(x).log_w, model.draw(x).log_w
    assert not torch.equal(other, one), "two draws of training are the same"


def _check_logging(model: LatentVariableModel, x: Tensor) -> None:
    terms = model.eval().terms(model.evaluation_draw(x))
    assert ("bound" in terms) == bool(model.is_bound), "a bound is logged where none is declared, or not where one is"
    if model.is_bound:
        with torch.no_grad():
            bounds = torch.stack([model.objective(model.draw(x)).mean() for _ in range(BOUNDS)])
        above = bounds.mean() - model.log_likelihood(x, max(100 * BOUNDS, 4 * model.k)).mean()
        assert above < 4 * bounds.std() / BOUNDS**0.5 + 0.01, f"the bound lies {above:.2f} nats above log p(x)"
    model.train()


def _check_reload(model: LatentVariableModel, x: Tensor) -> None:
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict(), "global_step": 0}
    model.on_save_checkpoint(checkpoint)
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    again = load(file)
    assert type(again) is type(model), f"a {type(model).__name__} comes back as a {type(again).__name__}"
    _same(again.log_likelihood(x, 5), model.log_likelihood(x, 5), "a reloaded model gives other numbers")


def _same(a: Tensor, b: Tensor, message: str) -> None:
    tolerance = 1e-10 if torch.get_default_dtype() == torch.float64 else 1e-3
    assert torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance), f"{message}, by {(a - b).abs().max():.2g}"
