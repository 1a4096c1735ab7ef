"""The shared base class: p(x, z) = p(x|z) p(z) with a proposal q(z|x)."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, final

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.distributions import Distribution

from zoo.checks import check_counts, check_shape
from zoo.draw import Draw
from zoo.drawing import DrawingModel
from zoo.errors import NoClosedForm, ZooError
from zoo.estimators import evaluating
from zoo.likelihoods import Bernoulli, Likelihood
from zoo.networks import MLP, NetworkFactory, Shape, full_precision
from zoo.optimizers import FusedAdam
from zoo.posteriors import DiagonalGaussian, Posterior
from zoo.priors import Prior, StandardNormal
from zoo.protocols import KnowsTraining

LENGTHS = ("step_size", "T_max")
"""By what torch's schedules divide, and not before their first step."""


class LatentVariableModel(DrawingModel):
    r"""p(x, z) = p(x|z) p(z) with a proposal q(z|x), trained on an objective of k draws of the proposal.

    A new model overrides one to three doors: `objective`, and where it must `encode` and `decode`. The rest is
    sealed. A network is built only where its door is not replaced.

    Args:
        x_shape: The shape of one example; the command line takes it from the data.
        latent_dim: The number of latent dimensions.
        likelihood: Makes p(x|z) of the shape of x.
        encoder: Makes the network of q(z|x) of the shapes in and out.
        decoder: Makes the network of p(x|z) of the shapes in and out.
        prior: Makes p(z) of the number of latent dimensions and of the shape of x.
        posterior: Makes q(z|x), of what the encoder emits, of the number of latent dimensions.
        k: The number of draws of the objective; by default the `default_k` of the class.
        optimizer: Makes the optimiser of the parameters.
        scheduler: Makes the learning rate schedule of the optimiser.
        scheduler_interval: Whether the schedule goes by the step or by the epoch.

    Raises:
        ZooError: An argument is out of its range.
        ZooError: A part cannot be written to a checkpoint, being neither a class nor a `functools.partial` of one.

    Example:
        >>> class MyModel(LatentVariableModel):
        ...     def objective(self, draw):
        ...         return draw.log_w.mean(0)
        >>> model = MyModel(x_shape=(1, 5, 4), latent_dim=3, k=2)
        >>> model.log_likelihood(torch.ones(7, 1, 5, 4), k=10).shape
        torch.Size([7])
    """

    default_k: ClassVar[int] = 1
    """The number of draws where none is said."""

    is_bound: bool | property = False
    """Whether the objective is a lower bound of log p(x): a model that is one declares it."""

    has_encoder: bool = True
    """Whether q(z|x) depends on x: without that, its KL term and its active units say nothing."""

    averages_log_px: ClassVar[bool] = False
    """Whether the objective averages log p(x|z) over the draws, as the ELBO does."""

    def __init__(
        self,
        x_shape: Shape,
        latent_dim: int = 50,
        likelihood: Callable[[Shape], Likelihood] = Bernoulli,
        encoder: NetworkFactory = MLP,
        decoder: NetworkFactory = MLP,
        prior: Callable[[int, Shape], Prior] = StandardNormal,
        posterior: Callable[[int], Posterior] = DiagonalGaussian,
        k: int | None = None,
        optimizer: OptimizerCallable = FusedAdam,
        scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: Literal["step", "epoch"] = "epoch",
    ) -> None:
        super().__init__()
        k = self.default_k if k is None else k
        check_counts(k=k, latent_dim=latent_dim)
        check_shape(x_shape)
        self.x_shape, self.latent_dim, self.k = tuple(x_shape), latent_dim, k
        if "k" in self.hparams:  # given as None: a checkpoint says what that was
            self.hparams["k"] = k
        self.make_encoder, self.make_posterior = encoder, posterior  # for another encoder like this one
        self._own_encoder, self._own_decoder = self._replaces("encode"), self._replaces("decode")
        if not self._own_encoder:
            self.posterior = posterior(latent_dim)
            self.encoder = encoder(self.x_shape, self.posterior.h_shape)
        if not self._own_decoder:
            self.likelihood = likelihood(self.x_shape)
            self.decoder = decoder((latent_dim,), (self.likelihood.n_params, *self.x_shape))
            self._refuse_fitted_likelihood()
        self.prior = prior(latent_dim, self.x_shape)
        self._optimizer, self._scheduler, self._interval = optimizer, scheduler, scheduler_interval

    # --- the three doors

    @abstractmethod
    def objective(self, draw: Draw) -> Tensor:
        """What training maximises, for each example, (B,): THE method of a new model."""

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x): batch (B,), event (latent_dim,)."""
        return self.posterior(full_precision(self.encoder(x)))

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of z (..., latent_dim): batch (...), event x_shape."""
        return self.likelihood(full_precision(self.decoder(z.to(self.dtype))))

    # --- what follows from them

    def sample(self, n: int, mean: bool = True) -> Tensor:
        """n new examples, (n, *x_shape): for z ~ p(z) the means of p(x|z), or draws of it."""
        check_counts(n=n)
        with evaluating(self):
            p = self.decode(self.prior(self.encode).sample(torch.Size([n])))
            return p.mean if mean else p.sample()

    def reconstruct(self, x: Tensor) -> Tensor:
        """The mean of p(x|z) at the code of x, (B, *x_shape)."""
        with evaluating(self):
            return self.decode(self.codes(x)).mean

    def codes(self, x: Tensor) -> Tensor:
        """The mean of q(z|x), (B, latent_dim)."""
        with evaluating(self):
            return self.encode(x).mean

    @final
    def terms(self, draw: Draw) -> dict[str, Tensor]:
        """What is logged of a draw, by its name, each (B,): `docs/definitions.md` says what each means."""
        terms = {"objective": self.objective(draw), "log_px": draw.log_px.mean(0)}
        if self.is_bound:
            terms["bound"] = terms["objective"]
        try:
            kind, kl = "", draw.kl
        except NoClosedForm:
            kind, kl = "_mc", -draw.log_ratio.mean(0)
        if self.has_encoder:
            terms["kl" + kind] = kl
        if not self._own_decoder and self.likelihood.varies:
            with torch.no_grad():
                terms |= self.likelihood.describe(self.decode(draw.z[0].expand(len(kl), -1)))
        return terms | {"elbo" + kind: terms["log_px"] - kl}

    def draw_size(self, n_z: int, n_x: int) -> int:
        """How many numbers it takes to decode one draw of n_z codes and to compare it with n_x examples."""
        n_pixels = math.prod(self.x_shape)
        if self._own_decoder:
            return n_x * max(n_pixels, 256)  # hidden layers of its own are not known
        return max(n_z * self.decoder.width, n_x * n_pixels if self.likelihood.pairs else 0)

    @property
    def fits_batch(self) -> bool:
        """Whether p(x|z) is fitted to all draws of a batch."""
        return not self._own_decoder and self.likelihood.elbo_only

    @property
    def suits_binary(self) -> bool:
        """Whether p(x|z) is one of pixels that are 0 or 1, as far as is known."""
        return self._own_decoder or self.likelihood.levels == 2

    @property
    def levels(self) -> int | None:
        """How many values a pixel can have, where p(x|z) is a probability of pixels and no density."""
        return None if self._own_decoder else self.likelihood.levels

    def report(self) -> dict[str, Tensor]:
        """What is logged of the model itself, by its name."""
        return {} if self._own_decoder else self.likelihood.report()

    @final
    def check(self, x: Tensor) -> None:
        """Refuses data of another shape, and data that the likelihood gives no density to.

        Raises:
            ZooError: x is no data for this model.
        """
        if tuple(x.shape[1:]) != self.x_shape:
            raise ZooError(
                f"the examples have shape {tuple(x.shape[1:])} and the model was made for {self.x_shape}: "
                "set x_shape to the shape of one example."
            )
        if not len(x):
            raise ZooError("the batch is empty, where at least one example was expected.")
        if x.dtype != self.dtype:
            raise ZooError(
                f"the examples are {x.dtype} and the weights of the model {self.dtype}: pass x.to(model.dtype), with "
                "pixels of 8 bits divided by 255 before."
            )
        if not self._own_decoder:
            self.likelihood.check(x)

    def setup(self, stage: str) -> None:
        """Begins the decoder and the prior at the training data, unless they have been trained."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if stage == "fit" and isinstance(data, KnowsTraining):
            like = {"device": self.device, "dtype": torch.get_default_dtype()}
            if not self._own_decoder:
                mean, variance = data.mean().to(**like), data.variance().to(**like)
                self.decoder.start_at(self.likelihood.start_at(mean, variance))
            if self.prior.n_examples:
                self.prior.start_at(data.examples(self.prior.n_examples).to(**like))

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule where there is one."""
        try:
            optimizer = self._optimizer(value for value in self.parameters() if value.requires_grad)
            scheduler = None if self._scheduler is None else self._scheduler(optimizer)
        except ValueError as error:
            raise ZooError(f"the optimiser refuses its options, or the schedule does: {error}.") from error
        if scheduler is None:
            return optimizer
        check_counts(**{name: value for name, value in vars(scheduler).items() if name in LENGTHS})
        schedule = {"scheduler": scheduler, "interval": self._interval, "monitor": "val/objective"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    # --- how

    def _refuse_fitted_likelihood(self) -> None:
        if self.likelihood.elbo_only and not self.averages_log_px:
            raise ZooError(
                f"the likelihood of this {type(self).__name__} is fitted to each batch, which is the optimum for the "
                "ELBO alone: take another variance, as LearnedVariance, or a VAE."
            )

    def _replaces(self, door: str) -> bool:
        return getattr(type(self), door) is not getattr(LatentVariableModel, door)
