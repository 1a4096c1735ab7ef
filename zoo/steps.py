"""What Lightning asks of every model: the steps, their noise, what is logged, the optimiser."""

import os
from abc import ABC, abstractmethod
from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.checkpoint.stateful import Stateful

from zoo.bundles import Recorder
from zoo.checkpoints import Rebuildable
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.metrics import ExampleMeans
from zoo.noise import mix, seed_generators


class LightningSteps(Rebuildable, pl.LightningModule, ABC):
    """The steps of training and evaluation, for a model that draws and has an objective.

    Training noise is a function of (seed, rank, step), so a resumed run repeats an uninterrupted one and no rank
    repeats another; evaluation noise follows each example (see `zoo.noise`).
    """

    _means: ExampleMeans

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_means", ExampleMeans())  # no submodule: a model in 16 bits would take it along
        self._run_seed: int | None = None
        self._steps_before = 0
        self._loader_states: list[dict[str, Any]] = []
        self.recorder: Recorder | None = None
        self.images_trained = 0

    @property
    def steps_trained(self) -> int:
        """The steps of the optimiser behind the weights, also after training: those of the checkpoint they are of."""
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        return self.global_step if fitting else self._steps_before

    @steps_trained.setter
    def steps_trained(self, steps: int) -> None:
        self._steps_before = steps  # where no Trainer counts

    @property
    def run_seed(self) -> int | None:
        """The seed of the training noise; None before the first step."""
        return self._run_seed

    @abstractmethod
    def objective(self, draw: Draw) -> Tensor:
        """What training maximises, for each example, (B,)."""

    @abstractmethod
    def draw(self, x: Tensor, k: int | None = None, log_px: Tensor | None = None) -> Draw:
        """k draws of the proposal for each example of a batch."""

    @abstractmethod
    def evaluation_draw(self, x: Tensor) -> Draw:
        """The same under evaluation noise."""

    @abstractmethod
    def terms(self, draw: Draw) -> dict[str, Tensor]:
        """What is logged of a draw, by its name, each (B,)."""

    @abstractmethod
    def report(self) -> dict[str, Tensor]:
        """What is logged of the model itself, by its name."""

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Refuses data that the model cannot be trained on."""

    @abstractmethod
    def reconstruct(self, x: Tensor) -> Tensor:
        """What the model makes of a batch."""

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """Where the model puts a batch in its latent space."""

    @final
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Makes the step's noise a function of (seed, rank, step)."""
        seed_generators(*self.noise_seeds(batch_idx, 1))

    @final
    def noise_seeds(self, batch_idx: int, n: int) -> list[int]:
        """The seeds of the noise of the next n steps, the first of which takes the batch of this number."""
        if self._run_seed is None:
            self._run_seed = int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed()))
        seed, rank, step = self._run_seed, self.global_rank, self.global_step
        return [mix(seed, rank, step + i, batch_idx + i) for i in range(n)]

    @final
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Minus the mean of the objective over the batch."""
        x = self.trained_on(batch, batch_idx)
        if self.recorder is not None:
            self.recorder.look()  # what is called before a step may have changed the model
        step = self if self.recorder is None else self.recorder.step(x) or self
        if not self._logs_next():  # self.log costs as much as a small step
            return step.loss(x)
        loss, draw = step.loss_and_draw(x)
        self._log_step(draw)
        return loss

    @final
    def trained_on(self, batch: Any, batch_idx: int) -> Tensor:
        """The examples of a batch, counted, and checked where they are the first of an epoch."""
        x = examples(batch)
        self.images_trained += len(x)
        if batch_idx == 0:  # at every step it would cost as much as the optimiser
            self.check(x)
        return x

    @final
    def loss(self, x: Tensor) -> Tensor:
        """Minus the mean of the objective over a batch, of draws of the generators as they stand."""
        return self.loss_and_draw(x)[0]

    @final
    def loss_and_draw(self, x: Tensor) -> tuple[Tensor, Draw]:
        """The loss of a batch, and the draw that it is of."""
        draw = self.draw(x)
        return -self.objective(draw).mean(), draw

    @final
    def differentiate(self, x: Tensor) -> None:
        """Gives each parameter its gradient of the loss of a batch, and does nothing else of a step."""
        recorded = None if self.recorder is None else self.recorder.step(x)
        if recorded is None:
            parameters = [each for each in self.parameters() if each.requires_grad]
            gradients = torch.autograd.grad(self.loss(x), parameters, allow_unused=True)
        else:
            parameters, gradients = recorded.parameters, recorded(x).gradients
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    @final
    def validation_step(self, batch: Any, batch_idx: int) -> Draw:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The draw of a batch, for callbacks to read."""
        return self._evaluation_step(batch)

    @final
    def test_step(self, batch: Any, batch_idx: int) -> Draw:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The draw of a batch, for callbacks to read."""
        return self._evaluation_step(batch)

    @final
    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """The codes and the reconstructions of a batch."""
        x = examples(batch)
        self.check(x)
        return {"codes": self.codes(x), "reconstructions": self.reconstruct(x)}

    @final
    def on_validation_epoch_start(self) -> None:
        """Begins the means anew, also after a validation that was aborted."""
        self._means.to(self.device).reset()

    @final
    def on_test_epoch_start(self) -> None:
        """Begins the means anew."""
        self._means.to(self.device).reset()

    @final
    def on_validation_epoch_end(self) -> None:
        """Logs the means over the split."""
        self._log_means("val")

    @final
    def on_test_epoch_end(self) -> None:
        """Logs the means over the split."""
        self._log_means("test")

    @final
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds how to build this model again, and the seed of its training noise."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["run_seed"] = self._run_seed

    @final
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the seed back, so that a resumed run draws what an uninterrupted one would have drawn."""
        if self._trainer is not None:  # Lightning does so after it has loaded the weights: in 64 bits they lose digits
            self.trainer.precision_plugin.convert_module(self)
        self._run_seed = checkpoint.get("run_seed")
        self._steps_before = checkpoint.get("global_step", 0)
        loops = checkpoint.get("loops", {}).get("fit_loop", {}).get("state_dict", {})
        self._loader_states = loops.get("combined_loader", [])

    @final
    def on_train_end(self) -> None:
        """Remembers the steps, for what is asked of the model after training."""
        self._steps_before = self.global_step

    @final
    def on_train_start(self) -> None:
        """Gives the loader its place back, which Lightning 2.6 does within an epoch but not between two."""
        loader: Any = self.trainer.train_dataloader
        if self.trainer.ckpt_path and self._loader_states and isinstance(loader, Stateful):
            loader.load_state_dict(self._loader_states[0])

    def _logs_next(self) -> bool:
        """Whether the next step of the optimiser is one that is logged."""
        every = self.trainer.log_every_n_steps  # pyright: ignore[reportAttributeAccessIssue]
        return bool(every) and (self.global_step + 1) % every == 0

    def _evaluation_step(self, batch: Any) -> Draw:
        x = examples(batch)
        self.check(x)
        draw = self.evaluation_draw(x)
        self._means.update(self.terms(draw))
        return draw

    def _log_step(self, draw: Draw) -> None:
        with torch.no_grad():
            terms = self.terms(draw)
            self._refuse_nonfinite(terms["objective"])
            means = {name: value.mean() for name, value in terms.items()} | self.report()
        self.log_dict({f"train/{name}": value for name, value in means.items()}, batch_size=len(terms["objective"]))

    def _log_means(self, stage: str) -> None:
        means = self._means.compute()
        self._refuse_nonfinite(means["objective"])
        values = {f"{stage}/{name}": value for name, value in means.items()}
        self.log_dict(values, sync_dist=True, batch_size=1)  # equal on all ranks already: this stays their mean

    def _refuse_nonfinite(self, objective: Tensor) -> None:
        if not torch.isfinite(objective).all():
            raise ZooError(
                f"the objective is {objective.mean():.3g} after {self.global_step} steps: lower the learning rate "
                "(--model.optimizer.lr) or clip the gradient (--trainer.gradient_clip_val)."
            )


def examples(batch: Any) -> Tensor:
    """The examples of a batch: the batch itself, or the first of a tuple."""
    return batch if isinstance(batch, Tensor) else batch[0]


def labels(batch: Any) -> Tensor:
    """The labels of a batch, (B,): its second part where these are whole numbers; -1 throughout where it has none.

    Example:
        >>> labels((torch.zeros(2, 5), torch.tensor([7, 4]))), labels(torch.zeros(2, 5))
        (tensor([7, 4]), tensor([-1, -1]))
    """
    x = examples(batch)
    y = None if isinstance(batch, Tensor) or len(batch) < 2 else batch[1]
    if isinstance(y, Tensor) and y.shape == x.shape[:1] and not y.is_floating_point():
        return y
    return torch.full((len(x),), -1, device=x.device)
