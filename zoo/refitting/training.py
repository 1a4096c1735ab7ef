"""The training of a new encoder, wherever it is asked for: it leaves everything else as it is."""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from zoo.base import LatentVariableModel
from zoo.checkpoints import from_plain
from zoo.checks import check_counts
from zoo.denormals import flush_denormals
from zoo.errors import ZooError
from zoo.keeping import generators_kept
from zoo.networks import Shape
from zoo.noise import seed_step
from zoo.protocols import GivesEpochs
from zoo.refitting.models import Refit, RefitVAE, Trained
from zoo.steps import examples

RefitFactory = Callable[[Trained, Shape], Refit]
"""A class of `Refit`, or a `functools.partial` of one with its options."""


def refit_encoder(
    model: LatentVariableModel,
    data: Any,
    refit: RefitFactory = RefitVAE,
    epochs: int = 20,
    seed: int = 0,
    progress: bool = False,
) -> Refit:
    r"""Trains a fresh encoder for a model whose decoder and prior stay as they are.

    .. math:: \max_\phi \; \frac{1}{N} \sum_x E_{q_\phi(z|x)}[\log p(x|z) + \log p(z) - \log q_\phi(z|x)]

    or L_k in its place, with `RefitIWAE`. The rate of the optimiser falls to 0 over the epochs, as a cosine. The result
    is a function of the weights, the data and the seed. Neither the model, its gradients, buffers and mode nor the
    generators nor the batches of a training are touched, so that it may be asked for within a run, and on every rank.

    Args:
        model: The trained model.
        data: A data module of this zoo, or an iterable of batches, as a `DataLoader`: each x, or a tuple that begins
            with it.
        refit: What is trained, with its options: `RefitVAE`, ``functools.partial(RefitIWAE, k=50)``.
        epochs: The number of epochs.
        seed: The seed of the weights, the noise and the order.
        progress: Whether a bar shows how far it is.

    Returns:
        The model with its new encoder, in evaluation mode; the one it was made of is its `trained`.

    Raises:
        ZooError: The data give no batches or do not suit the model, the objective is no number, or a schedule is given.

    Example:
        >>> import zoo
        >>> model, x = zoo.PriorSampling(x_shape=(1, 5, 4), latent_dim=3), torch.ones(7, 1, 5, 4)
        >>> refit_encoder(model, [x], epochs=2).encode(x).batch_shape
        torch.Size([7])
    """
    check_counts(epochs=epochs)
    with _apart(seed):
        made = refit(functools.partial(type(model), **from_plain(dict(model.hparams))), model.x_shape)
        made.trained.load_state_dict(model.state_dict())
        made.to(device=model.device, dtype=model.dtype)
        _train(made, data, epochs, seed, progress)
    return made.eval()


def _train(model: Refit, data: Any, epochs: int, seed: int, progress: bool) -> None:
    optimizer = model.configure_optimizers()
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ZooError("refit_encoder has a schedule of its own: leave scheduler out, or train a Refit with a Trainer.")
    falling = CosineAnnealingLR(optimizer, epochs)
    for epoch in tqdm(range(epochs), "training an encoder", unit=" epochs", disable=not progress):
        losses = [_step(model, optimizer, x, seed) for x in _epoch(data, epoch, seed)]
        if not losses:
            raise ZooError("the data gave no batch in an epoch: pass a data module, a DataLoader or a list of batches.")
        if not losses[-1].isfinite():
            raise ZooError(
                f"the objective is {-losses[-1]:.3g} after {model.steps_trained} steps: lower the learning rate, as by "
                "functools.partial(FusedAdam, lr=1e-4) for the optimizer."
            )
        falling.step()


def _step(model: Refit, optimizer: torch.optim.Optimizer, x: Tensor, seed: int) -> Tensor:
    """One step of the encoder, whose noise is a function of the seed and the step; its loss."""
    x = x.clone().to(model.device).to(model.dtype)  # a tensor of inference mode would have no gradient
    model.check(x)
    seed_step(seed, model.steps_trained)
    loss = model.loss(x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.steps_trained += 1
    return loss.detach()


def _epoch(data: Any, epoch: int, seed: int) -> Iterator[Tensor]:
    if isinstance(data, GivesEpochs):
        return map(examples, data.training_epoch(epoch, seed))
    if not isinstance(data, Iterable):
        raise ZooError(f"data is a {type(data).__name__}, where a data module of this zoo or batches were expected.")
    return map(examples, data)


@contextmanager
def _apart(seed: int) -> Iterator[None]:
    """Within it all is differentiated and drawn from a seed, also where a test runs; the generators come back."""
    before = flush_denormals()
    try:
        with torch.inference_mode(False), torch.enable_grad(), generators_kept():
            seed_step(seed)
            yield
    finally:
        flush_denormals(before)
