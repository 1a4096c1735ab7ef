"""What is measured of finished runs anew, all with the same examples and the same noise."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from zoo import Proposal
from zoo.errors import ZooError
from zoo.noise import fingerprint
from zoo.reports.finished import FinishedRun
from zoo.reports.groups import Compared, Group
from zoo.reports.paired import Estimate, difference, estimate

BATCH = 50
"""How many examples are weighed at once."""

FITTED = 100
"""The batch that a fresh encoder is fitted with: one for all models, so that none has more steps than another."""


@dataclass(frozen=True)
class Measured:
    """The log-likelihoods of a group, under the same noise.

    Args:
        group: The models.
        x: The examples, (B, *x_shape).
        values: By label and by k, (seeds, examples), of those that could be measured.
    """

    group: Group
    x: Tensor
    values: Mapping[str, Mapping[int, np.ndarray]]

    @property
    def estimates(self) -> dict[str, dict[int, Estimate]]:
        """Their means and errors."""
        return {label: {k: estimate(rows) for k, rows in by_k.items()} for label, by_k in self.values.items()}

    @property
    def left_out(self) -> list[str]:
        """The labels of the models that could not be measured."""
        return [model.label for model in self.group.models if model.label not in self.values]

    def pairs(self, k: int) -> dict[str, Estimate]:
        """The differences of all pairs, the first model less the second."""
        models = [model for model in self.group.models if model.label in self.values]
        return {
            f"{a.label} − {b.label}": difference(
                self.values[a.label][k], self.values[b.label][k], a.seeds == b.seeds and len(a.seeds) > 1
            )
            for a, b in itertools.combinations(models, 2)
        }


def measured(
    group: Group, ks: Sequence[int], n_images: int, proposal: Proposal | None = None, progress: bool = False
) -> Measured:
    """Measures the models of a group on the same examples; without a proposal, those that have an encoder."""
    x = examples(group.models[0].runs[0], n_images)
    able = [model for model in group.models if proposal is not None or model.models[0].has_encoder]
    return Measured(group, x, {model.label: log_likelihoods(model, x, ks, proposal, progress) for model in able})


def examples(run: FinishedRun, n: int) -> Tensor:
    """The n test examples of the smallest hashes, which are the same whatever the order and the batches are."""
    data: Any = run.data()
    x = torch.cat([data.on_after_batch_transfer(stored, 0).x for stored in data.test_dataloader()])
    return x[fingerprint(x).argsort()[:n]]


def log_likelihoods(
    model: Compared, x: Tensor, ks: Sequence[int], proposal: Proposal | None = None, progress: bool = False
) -> dict[int, np.ndarray]:
    """L_k of each example for several k, (seeds, examples) each, in nats.

    The noise is a function of the example and the draw: models with encoders alike are compared under the same noise.

    Args:
        model: The model.
        x: The examples, (B, *x_shape).
        ks: The numbers of draws.
        proposal: What z is drawn from; by default q(z|x).
        progress: Whether a bar is shown.

    Raises:
        ZooError: Neither the model has an encoder nor is there a proposal.
    """
    if proposal is None and not model.models[0].has_encoder:
        raise ZooError(f"{model.label} has no encoder to draw from: refit one.")
    found: dict[int, list[np.ndarray]] = {k: [] for k in ks}
    for run, trained in zip(model.runs, model.models, strict=True):
        if proposal is not None:
            proposal.fit(trained, run.data(batch_size=FITTED))
        for k in ks:
            parts = tqdm(x.split(BATCH), desc=f"{model.label}, L_{k}", leave=False, disable=not progress)
            values = [trained.log_likelihood(part, k, proposal=proposal) for part in parts]
            found[k].append(torch.cat(values).double().numpy())
    return {k: np.stack(rows) for k, rows in found.items()}
