"""Classifiers of codes: fitted to the codes of some examples and tried on others."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.checks import check_counts
from zoo.errors import ZooError


class Classifier(NamedTuple):
    """A classifier of codes that has been fitted.

    Args:
        fitted: What scikit-learn made.
        converged: Whether its fit came to an end.
    """

    fitted: Any
    converged: bool = True

    def __call__(self, codes: Tensor) -> Tensor:
        """The labels that it gives to codes (B, D): (B,)."""
        if not len(codes):
            return torch.empty(0, dtype=torch.int64, device=codes.device)
        return torch.as_tensor(self.fitted.predict(_array(codes)), device=codes.device)


def linear_probe(codes: Tensor, labels: Tensor, max_iter: int = 1000) -> Classifier:
    r"""Multinomial logistic regression on standardised codes: what a linear map reads out of them.

    .. math:: \min_{W, b} \; \sum_j -\log \mathrm{softmax}_{y_j}(W \tilde z_j + b) + \tfrac{1}{2} \|W\|^2

    Each dimension of :math:`\tilde z` has mean 0 and variance 1 over the codes it is fitted to; of two classes it is
    the binary regression, with one row of W. Alain and Bengio 2016, https://arxiv.org/abs/1610.01644.

    Args:
        codes: The codes, (N, D).
        labels: Their classes, (N,), at least two.
        max_iter: How many steps the fit takes at most.

    Raises:
        ZooError: max_iter is below 1, there are fewer than two classes, or a code is not finite.

    Example:
        >>> codes = torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
        >>> linear_probe(codes, torch.tensor([4, 4, 7, 7]))(torch.tensor([[-9.0, 1.0], [0.5, -1.0]]))
        tensor([4, 7])
    """
    # Here and below: to import scikit-learn takes longer than the rest of the zoo, and most runs need none of it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    check_counts(max_iter=max_iter)
    if len(labels.unique()) < 2:
        raise ZooError("all labels are the same, where a linear probe tells at least two classes apart.")
    regression = LogisticRegression(max_iter=max_iter)
    probe = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # which `converged` says
        probe.fit(_array(codes), labels.cpu().numpy())
    return Classifier(probe, bool(regression.n_iter_.max() < max_iter))


def nearest_neighbours(codes: Tensor, labels: Tensor, n: int) -> Classifier:
    """The commonest class among the n nearest codes, by the distance in latent space.

    Of codes that are equally far, the order decides: shuffle them if they stand in the order of their classes.

    Args:
        codes: The codes, (N, D), at least n.
        labels: Their classes, (N,).
        n: How many neighbours have a vote.

    Raises:
        ZooError: n is below 1 or above the number of codes, or a code is not finite.

    Example:
        >>> codes = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
        >>> nearest_neighbours(codes, torch.tensor([4, 4, 7, 7]), n=1)(torch.tensor([[-9.0], [0.5]]))
        tensor([4, 7])
    """
    from sklearn.neighbors import KNeighborsClassifier

    check_counts(n=n)
    if n > len(codes):
        raise ZooError(f"n is {n} neighbours of {len(codes)} codes: take no more than there are.")
    # A tree takes each distance by itself; those of a matrix product would be rounded as the batch happens to be cut.
    voting = KNeighborsClassifier(n, algorithm="kd_tree")
    return Classifier(voting.fit(_array(codes), labels.cpu().numpy()))


def _array(codes: Tensor) -> np.ndarray:
    if not codes.isfinite().all():
        raise ZooError("there are codes with nan or infinity, which no classifier can take: train another model.")
    return codes.double().cpu().numpy()
