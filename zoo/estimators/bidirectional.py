"""Bidirectional Monte Carlo: log p(x) between two bounds, for data that the model has made."""

from pathlib import Path

import torch
from torch import Tensor

from zoo.estimators.ais import AnnealedImportanceSampling, Tick
from zoo.estimators.annealing import Annealable, Annealing
from zoo.estimators.simulation import Bounds, Simulated
from zoo.objectives import logmeanexp


def bidirectional_monte_carlo(
    model: Annealable,
    simulated: Simulated,
    ais: AnnealedImportanceSampling,
    file: str | Path | None = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> Bounds:
    r"""Bounds log p(x) of simulated data by annealing there and back.

    .. math:: \log \frac{1}{C} \sum_c w_c \quad \text{and} \quad -\log \frac{1}{C} \sum_c \frac{1}{w'_c}

    The chains of w go from :math:`p_0` to the posterior, those of w' the same way back: they begin at the z that x was
    made of, an exact draw of the posterior. Both means are exact in expectation, so the first number is in expectation
    a lower bound and the second an upper one. Where they are close, `AnnealedImportanceSampling` can be believed for
    this model with these settings, as far as other data are like those it makes. Grosse, Ghahramani and Adams 2015,
    https://arxiv.org/abs/1511.02543.

    Args:
        model: The model that the data were made by.
        simulated: The data, and the codes that they were made of: see `simulate`.
        ais: How chains are led.
        file: Where finished batches are kept: called again with the same arguments, it goes on from there.
        batch_size: How many examples are taken at once; by default what their sizes suggest.
        progress: Whether a bar shows how far it is.

    Raises:
        ZooError: The file is of another task.

    Example:
        >>> import zoo
        >>> from zoo.estimators import simulate
        >>> model = zoo.IWAE(x_shape=(1, 5, 4), latent_dim=3)
        >>> ais = AnnealedImportanceSampling(n_temperatures=5, n_chains=2)
        >>> bidirectional_monte_carlo(model, simulate(model, 7), ais).gap.shape
        torch.Size([7])
    """

    def columns(path: Annealing, tick: Tick, z: Tensor) -> Tensor:
        log_steps = ais.tuned_steps(path, tick)
        lower = logmeanexp(ais.forward(path, log_steps, tick).log_w)
        upper = -logmeanexp(ais.reverse(path, z, log_steps, tick).log_w)
        return torch.stack([lower, upper])  # (2, B)

    return Bounds(*ais.in_batches(columns, model, simulated, 2, file, batch_size, progress))
