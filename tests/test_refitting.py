"""A fresh encoder for a frozen decoder: against closed forms, and what it must leave alone."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent
from torch.utils.data import DataLoader

from datamodules import LinearGaussian
from tests import linear
from tests.linear import same
from tests.ranks import ON_RANKS, trainer_of
from tests.small import LATENT, MODELS, SHAPE, SmallImages, quiet_trainer, save_trained, small_model, small_x
from zoo import (
    IWAE,
    MLP,
    VAE,
    FullGaussian,
    GaussianVAE,
    LatentVariableModel,
    OptimalVariance,
    Posterior,
    PriorSampling,
    Refit,
    RefitIWAE,
    RefitVAE,
    VampPrior,
    load,
    refit_encoder,
)
from zoo.distributions import diagonal_normal
from zoo.errors import ZooError
from zoo.testing import check_model

pytestmark = ON_RANKS


class OneScale(Posterior):
    """A diagonal Gaussian whose variances are the same for every x, as those of a linear Gaussian model are."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.h_shape = (latent_dim,)
        self.log_std = nn.Parameter(torch.zeros(latent_dim))

    def forward(self, h: Tensor) -> Distribution:
        return diagonal_normal(h, self.log_std.exp().expand_as(h))


class OwnDoors(VAE):
    """A model that keeps neither of the parts, and has dropout before its decoder."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.linear = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(LATENT), nn.Linear(LATENT, 20))
        self.code = nn.Linear(20, LATENT)

    def encode(self, x: Tensor) -> Distribution:
        return diagonal_normal(self.code(x.flatten(1)), torch.ones(len(x), LATENT))

    def decode(self, z: Tensor) -> Distribution:
        logits = self.linear(z.flatten(0, -2)).unflatten(0, z.shape[:-1]).unflatten(-1, SHAPE)
        return Independent(Bernoulli(logits=logits, validate_args=False), 3, validate_args=False)


class RefitsFive(RefitVAE):
    """What `check_model` asks of a model: the number of latent dimensions."""

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)


def refitted(data: LinearGaussian, refit: type[Refit], k: int, epochs: int = 300, lr: float = 0.1) -> Refit:
    """An affine encoder for the model that made the data, which has none."""
    data.setup("test")
    adam = partial(torch.optim.Adam, lr=lr)
    new = partial(refit, k=k, encoder=partial(MLP, hidden=[]), posterior=OneScale, optimizer=adam)
    return refit_encoder(linear.exact_model(PriorSampling, data), data, new, epochs)


# --- against closed forms


@pytest.mark.parametrize("make", [linear.linear_data, linear.orthogonal_data])
def test_the_gap_of_an_encoder_refitted_by_the_elbo_is_the_least_there_is(make: type) -> None:
    """It is 1/2 (sum_i log M_ii - log |M|), and 0 where the posterior is diagonal."""
    data = make()
    data.batch_size = 101
    x, q = linear.examples_of(data), refitted(data, RefitVAE, 4, lr=0.3).encode(linear.examples_of(data))
    gap = data.log_prob(x) - linear.exact_elbo(data, x, q.mean, q.stddev)
    assert (gap > linear.gap(data) - 1e-10).all()
    same(gap.detach(), linear.gap(data), 0.02)
    same(q.stddev / data.best_diagonal_posterior(x).stddev, 1.0, 0.02)


@pytest.mark.parametrize(("refit", "k", "variance"), [(RefitVAE, 16, 0.36), (RefitIWAE, 2, 0.6), (RefitIWAE, 5, 1.04)])
def test_the_more_draws_the_wider_the_encoder_where_the_posterior_is_correlated(
    refit: type[Refit], k: int, variance: float
) -> None:
    """Two latents with correlation 0.8: the best variance for L_k, in units of the posterior's own."""
    data, covariance = LinearGaussian(2, 5, 0.3, 101, 0, 7), 0.5 * torch.tensor([[1, 0.8], [0.8, 1]])
    data.batch_size = 101
    data.W = torch.linalg.qr(data.W).Q @ torch.linalg.cholesky(0.3 * (covariance.inverse() - torch.eye(2))).T
    x = linear.examples_of(data)
    same(data.posterior(x).covariance_matrix[0], covariance)
    same(refitted(data, refit, k).encode(x).variance.mean() / 0.5, variance, 0.05)


# --- what it must leave alone


@pytest.mark.parametrize("name", [*MODELS, "own", "optimal"])
@pytest.mark.parametrize("grad", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_nothing_but_the_new_encoder_changes(name: str, grad: type) -> None:
    """Neither model nor gradients, modes, generators, nor the frozen one within the result."""
    special = {"own": OwnDoors, "optimal": partial(GaussianVAE, variance=OptimalVariance)}
    model = special[name](x_shape=SHAPE, latent_dim=LATENT) if name in special else small_model(name)
    data = SmallImages()
    data.setup("test")
    x = small_x()
    model.train().objective(model.draw(x)).sum().backward()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    grads = [torch.as_tensor(parameter.grad).clone() for parameter in model.parameters()]
    generator = torch.get_rng_state()
    with grad():
        made = refit_encoder(model, data, epochs=2)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(module.training for module in model.modules()) and not any(each.training for each in made.modules())
    assert all(torch.equal(torch.as_tensor(p.grad), g) for p, g in zip(model.parameters(), grads, strict=True))
    assert all(parameter.requires_grad for parameter in model.parameters())
    for frozen in (model, made.trained):
        state = frozen.state_dict()
        assert state.keys() == before.keys() and all(torch.equal(value, before[key]) for key, value in state.items())
    trained = {key for key, value in made.named_parameters() if value.requires_grad}
    assert trained and all(key.startswith("encoder.") for key in trained)
    z = torch.randn(5, 7, LATENT)
    same(made.decode(z).log_prob(x), model.eval().decode(z).log_prob(x), 0)


def test_it_is_a_function_of_the_seed_alone() -> None:
    model, data = small_model("iwae"), SmallImages()
    data.setup("test")
    made = []
    for place, seed in enumerate((1, 1, 2)):
        torch.manual_seed(place)  # of no account
        made.append(refit_encoder(model, data, epochs=2, seed=seed).encoder)
    one, again, other = made
    for a, b, c in zip(one.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)


def test_the_batches_of_an_epoch_are_all_examples_in_an_order_of_their_own() -> None:
    data = SmallImages(batch_size=5)
    data.setup("fit")
    place = data.train_dataloader().state_dict()
    epochs = [list(data.training_epoch(epoch, seed)) for epoch, seed in ((0, 1), (0, 1), (1, 1), (0, 2))]
    assert data.train_dataloader().state_dict() == place
    one, again, later, other = (torch.cat([batch.x for batch in epoch]) for epoch in epochs)
    assert [len(batch.x) for batch in epochs[0]] == [5, 5, 5, 5, 3] and torch.equal(one, again)
    assert not torch.equal(one, later) and not torch.equal(one, other)


def test_the_prior_stays_that_of_the_old_encoder() -> None:
    """A VampPrior is made of posteriors."""
    model = small_model("iwae", prior=partial(VampPrior, components=4))
    made, z = refit_encoder(model, [small_x()], RefitIWAE, epochs=1), torch.randn(9, LATENT)
    same(made.prior(made.encode).log_prob(z), model.prior(model.encode).log_prob(z), 0)


# --- a model as any other


def test_an_encoder_is_made_as_the_old_one_unless_another_is_asked_for() -> None:
    model = small_model("bernoulli", posterior=FullGaussian)
    like = refit_encoder(model, [small_x()], epochs=1)
    other = refit_encoder(model, [small_x()], partial(RefitIWAE, encoder=partial(MLP, hidden=[9, 8])), epochs=1)
    assert [p.shape for p in like.encoder.parameters()] == [p.shape for p in model.encoder.parameters()]
    assert isinstance(other.posterior, FullGaussian) and len(list(other.encoder.parameters())) == 6


@pytest.mark.parametrize("name", MODELS)
def test_it_keeps_the_contract_of_a_model(name: str) -> None:
    check_model(RefitsFive, trained=partial(MODELS[name][0], x_shape=SHAPE, latent_dim=5))


def test_it_is_tested_and_saved_and_comes_back(tmp_path: Path) -> None:
    path, data = save_trained(small_model("gaussian"), tmp_path), SmallImages()
    model = RefitIWAE(str(path), SHAPE, k=2)
    quiet_trainer(tmp_path, max_epochs=1).fit(model, datamodule=data)
    trainer = quiet_trainer(tmp_path)
    (found,) = trainer.test(model, datamodule=data, verbose=False)
    assert {"test/elbo", "test/kl", "test/bound"} <= found.keys()
    trainer.save_checkpoint(tmp_path / "b.ckpt")
    path.unlink()  # the new checkpoint holds the old model
    again = load(tmp_path / "b.ckpt")
    assert type(again) is RefitIWAE and again.k == 2
    same(again.log_likelihood(small_x(), 9), model.log_likelihood(small_x(), 9), 0)


def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    path = str(save_trained(small_model("bernoulli"), tmp_path))
    models = []
    for epochs in ([3], [1, 3]):
        for last in epochs:
            torch.manual_seed(4)
            models.append(RefitVAE(path, SHAPE))
            trainer = quiet_trainer(tmp_path, max_epochs=last)
            goes_on = str(tmp_path / "b.ckpt") if last != epochs[0] else None
            trainer.fit(models[-1], datamodule=SmallImages(), ckpt_path=goes_on)
            trainer.save_checkpoint(tmp_path / "b.ckpt")
    state = models[-1].state_dict()
    assert all(torch.equal(value, state[key]) for key, value in models[0].state_dict().items())


def test_default_ddp_takes_it(tmp_path: Path) -> None:
    path = save_trained(small_model("prior"), tmp_path)
    model, old = RefitVAE(str(path), SHAPE), load(path).state_dict()
    trainer_of(2, tmp_path, max_epochs=1).fit(model, datamodule=SmallImages())
    assert all(torch.equal(value, old[key]) for key, value in model.trained.state_dict().items())


def test_the_weight_of_the_kl_term_rises_also_where_no_trainer_counts() -> None:
    model, weights = small_model("bernoulli"), []

    class Watched(RefitVAE):
        def objective(self, draw: Any) -> Tensor:
            weights.append(self.kl_weight)
            return super().objective(draw)

    refit_encoder(model, [small_x()] * 2, partial(Watched, kl_warmup_steps=4), epochs=3)
    assert weights == [0, 0.25, 0.5, 0.75, 1, 1]


def test_any_batches_will_do() -> None:
    model = small_model("bernoulli")
    for data in ([small_x(), (small_x(3), "a label")], DataLoader(small_x(), batch_size=3, shuffle=True)):  # pyright: ignore
        assert refit_encoder(model, data, epochs=2).encode(small_x()).batch_shape == (7,)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda model: refit_encoder(model, [small_x()], epochs=0), "epochs is 0, where an integer of at least 1"),
        (lambda model: refit_encoder(model, []), "the data gave no batch in an epoch"),
        (lambda model: refit_encoder(model, iter([small_x()]), epochs=2), "the data gave no batch in an epoch"),
        (lambda model: refit_encoder(model, None), "data is a NoneType, where a data module of this zoo or batches"),
        (lambda model: refit_encoder(model, [small_x() / 2]), "Bernoulli"),
        (lambda model: refit_encoder(model, [small_x() * torch.nan]), "NaN"),
        (lambda model: RefitVAE(partial(IWAE, x_shape=SHAPE), (1, 4, 5)), r"examples of shape \(1, 5, 4\), not"),
        (lambda model: RefitVAE("lost.ckpt", SHAPE), "there is no checkpoint lost.ckpt"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(ZooError, match=sentence):
        make(small_model("bernoulli"))


def test_a_schedule_and_a_rate_that_diverges_are_refused() -> None:
    model: LatentVariableModel = small_model("gaussian")
    schedule = partial(RefitVAE, scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1))
    with pytest.raises(ZooError, match="refit_encoder has a schedule of its own"):
        refit_encoder(model, [small_x()], schedule)
    with pytest.raises(ZooError, match=r"the objective is .* lower the learning rate"):
        refit_encoder(model, [small_x()], partial(RefitVAE, optimizer=partial(torch.optim.SGD, lr=1e30)), epochs=9)
