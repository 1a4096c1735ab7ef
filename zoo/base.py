"""The shared base class: p(x, z) = p(x|z) p(z) with a proposal q(z|x)."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Protocol, final, runtime_checkable

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.distributions import Distribution
from torch.utils.checkpoint import checkpoint

from zoo.draw import Draw
from zoo.errors import NoClosedForm, ZooError
from zoo.estimators import draws_at_once, evaluating, streamed_logmeanexp
from zoo.likelihoods import Bernoulli, Likelihood
from zoo.networks import MLP, NetworkFactory, Shape, full_precision
from zoo.noise import ExampleNoise, fingerprint
from zoo.optimizers import FusedAdam
from zoo.priors import Prior, StandardNormal, diagonal_normal
from zoo.steps import LightningSteps


@runtime_checkable
class KnowsMean(Protocol):
    """Data that know the mean of their training examples: the decoder's output begins there."""

    def mean(self) -> Tensor:
        """Returns the mean of the training examples, (*x_shape)."""
        ...


class LatentVariableModel(LightningSteps):
    r"""p(x, z) = p(x|z) p(z) with a proposal q(z|x), trained on an objective of k draws of the proposal.

    A new model overrides one to three doors: `objective`, and where it must `encode` and `decode`. The rest is
    sealed. A network is built only where its door is not replaced.

    Args:
        x_shape: The shape of one example; the command line takes it from the data.
        latent_dim: The number of latent dimensions.
        likelihood: Makes p(x|z) of the shape of x.
        encoder: Makes the network of q(z|x) of the shapes in and out.
        decoder: Makes the network of p(x|z) of the shapes in and out.
        prior: Makes p(z) of the number of latent dimensions.
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

    shared_draws: bool | property = False
    """Whether the examples of a batch share their draws: z is (k, 1, D)."""

    def __init__(
        self,
        x_shape: Shape,
        latent_dim: int = 50,
        likelihood: Callable[[Shape], Likelihood] = Bernoulli,
        encoder: NetworkFactory = MLP,
        decoder: NetworkFactory = MLP,
        prior: Callable[[int], Prior] = StandardNormal,
        k: int | None = None,
        optimizer: OptimizerCallable = FusedAdam,
        scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: Literal["step", "epoch"] = "epoch",
    ) -> None:
        super().__init__()
        k = self.default_k if k is None else k
        if k < 1 or latent_dim < 1:
            raise ZooError(f"k is {k} and latent_dim is {latent_dim}: at least 1 was expected of both.")
        self.x_shape, self.latent_dim, self.k = tuple(x_shape), latent_dim, k
        if "k" in self.hparams:  # given as None: a checkpoint says what that was
            self.hparams["k"] = k
        self._own_encoder, self._own_decoder = self._replaces("encode"), self._replaces("decode")
        if not self._own_encoder:
            self.encoder = encoder(self.x_shape, (2, latent_dim))
        if not self._own_decoder:
            self.likelihood = likelihood(self.x_shape)
            self.decoder = decoder((latent_dim,), (self.likelihood.n_params, *self.x_shape))
        self.prior = prior(latent_dim)
        self._optimizer, self._scheduler, self._interval = optimizer, scheduler, scheduler_interval

    # --- the three doors

    @abstractmethod
    def objective(self, draw: Draw) -> Tensor:
        """What training maximises, for each example, (B,): THE method of a new model."""

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x): batch (B,), event (latent_dim,)."""
        mean, log_std = full_precision(self.encoder(x)).unbind(-2)
        return diagonal_normal(mean, log_std.exp())

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of z (..., latent_dim): batch (...), event x_shape."""
        return self.likelihood(full_precision(self.decoder(z.to(self.dtype))))

    # --- what follows from them

    @final
    def draw(self, x: Tensor, k: int | None = None) -> Draw:
        """k draws of the proposal for each example of x (B, *x_shape); the model's own k by default."""
        q = self.encode(x)
        z = q.rsample(torch.Size([self.k if k is None else k]))  # (k, B, D), or (k, 1, D)
        return Draw(q, self.prior(), z, self._log_px(x, z))

    @final
    @torch.no_grad()
    def evaluation_draw(self, x: Tensor) -> Draw:
        """The same under evaluation noise, a function of each example and draw."""
        with ExampleNoise(self._keys(x)):
            return self.draw(x)

    @final
    def log_weights(self, x: Tensor, k: int, chunk: int | None = None) -> Tensor:
        """The log-weights of k draws under evaluation noise, (k, B): see `Draw.log_w`.

        Args:
            x: A batch, (B, *x_shape).
            k: The number of draws, honoured exactly.
            chunk: How many draws are decoded at once; the weights do not depend on it.

        Raises:
            ZooError: k is below 1, or x is no data for the likelihood.
        """
        with evaluating(self):
            return torch.cat(list(self._weigh(x, k, chunk)))

    @final
    def log_likelihood(self, x: Tensor, k: int, chunk: int | None = None) -> Tensor:
        """The k-draw estimate of log p(x), in expectation a lower bound: (B,), in nats and float64.

        A function of the weights, of x and of k alone: its noise follows each example, so neither the batch nor
        the chunk nor the rank moves it. Its memory does not grow with k.

        Args:
            x: A batch, (B, *x_shape).
            k: The number of draws, honoured exactly.
            chunk: How many draws are decoded at once.

        Raises:
            ZooError: k is below 1, or x is no data for the likelihood.
        """
        with evaluating(self):
            return streamed_logmeanexp(self._weigh(x, k, chunk))

    def sample(self, n: int, mean: bool = True) -> Tensor:
        """n new examples, (n, *x_shape): for z ~ p(z) the means of p(x|z), or draws of it."""
        with evaluating(self):
            p = self.decode(self.prior().sample(torch.Size([n])))
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
        return terms | {"elbo" + kind: terms["log_px"] - kl}

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
        if not self._own_decoder:
            self.likelihood.check(x)

    def setup(self, stage: str) -> None:
        """Begins the decoder's output at the mean of the data, unless it has been trained."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if stage == "fit" and not self._own_decoder and isinstance(data, KnowsMean):
            mean = data.mean().to(self.device, torch.get_default_dtype())
            self.decoder.start_at(self.likelihood.start_at(mean))

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule where there is one."""
        try:
            optimizer = self._optimizer(self.parameters())
        except ValueError as error:
            raise ZooError(f"the optimiser refuses its options: {error}.") from error
        if self._scheduler is None:
            return optimizer
        schedule = {"scheduler": self._scheduler(optimizer), "interval": self._interval, "monitor": "val/objective"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    # --- how

    def _replaces(self, door: str) -> bool:
        return getattr(type(self), door) is not getattr(LatentVariableModel, door)

    def _keys(self, x: Tensor) -> Tensor:
        """What the evaluation noise is a function of: the example, or nothing where the draws are shared."""
        return torch.zeros(1, dtype=torch.int64, device=x.device) if self.shared_draws else fingerprint(x)

    def _weigh(self, x: Tensor, k: int, chunk: int | None) -> Iterator[Tensor]:
        """Log-weights of k draws in chunks, (chunk, B), of one encoding of x."""
        self.check(x)
        chunk = draws_at_once(len(x), x[0].numel()) if chunk is None else chunk
        if k < 1 or chunk < 1:
            raise ZooError(f"k is {k} and chunk is {chunk}: at least 1 was expected of both.")
        q, p, keys = self.encode(x), self.prior(), fingerprint(x)
        if self.shared_draws:  # a mean over examples has a standard error where each has its own draws
            q = q.expand(torch.Size([len(x)]))
        for first in range(0, k, chunk):
            with ExampleNoise(keys, first):
                z = q.rsample(torch.Size([min(chunk, k - first)]))
            yield Draw(q, p, z, self._log_px(x, z)).log_w

    def _log_px(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z), (k, B), decoding so many draws at once that memory grows as k (B + D), not as k pixels."""

        def log_px(z: Tensor) -> Tensor:
            return self.decode(z).log_prob(x)

        chunks = z.split(draws_at_once(z.shape[1], x[0].numel()))
        if len(chunks) == 1:
            return log_px(z)
        if not torch.is_grad_enabled():
            return torch.cat([log_px(z) for z in chunks])
        return torch.cat([checkpoint(log_px, z, use_reentrant=False) for z in chunks])
