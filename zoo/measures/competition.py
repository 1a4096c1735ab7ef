"""How draws that a batch shares compete for its images."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LEAST = -600.0
"""What a log-likelihood below the greatest counts as at least: its exponential is 0, and their product no nan."""


class Contest(NamedTuple):
    """What came of k draws that competed for the B images of a batch.

    Args:
        entropy: The entropy of the responsibilities for an image, (B,), in nats.
        top_share: The greatest of them, (B,).
        winner: The draw that has it, (B,).
        margin: By how many nats of log p(x|z) the winner beats the second, (B,); infinity for one draw alone.
        winners: How many draws win an image, over min(k, B), which is as many as can: (1,).
        top_draw: The greatest mean over images of the responsibility of a draw, (1,).
    """

    entropy: Tensor
    top_share: Tensor
    winner: Tensor
    margin: Tensor
    winners: Tensor
    top_draw: Tensor


@torch.no_grad()
def compete(log_px: Tensor) -> Contest:
    r"""How k draws share out the images of a batch, by their responsibilities.

    .. math:: r_{ib} = \frac{p(x_b|z_i)}{\sum_j p(x_b|z_j)}, \qquad
        H_b = -\sum_i r_{ib} \log r_{ib}, \qquad \log k - H_b \le \log k

    The last is the information about image b in the choice among its draws, in nats. The proposal that k draws and
    their responsibilities imply has at most k times the density of the one they come from (Cremer, Morris and Duvenaud
    2017, https://arxiv.org/abs/1704.02916), so no more than log k nats of a code are used.

    Args:
        log_px: :math:`\log p(x_b|z_i)`, (k, B), in nats.

    Example:
        >>> contest = compete(torch.tensor([[0.0, -9.0], [0.0, -2.0], [0.0, -4.0], [0.0, -4.0]]))
        >>> contest.entropy[0].exp(), contest.margin, contest.winner[1]
        (tensor(4.), tensor([0., 2.]), tensor(1))
    """
    k, n = log_px.shape
    greatest, winner = log_px.max(0)
    below = (log_px - greatest).clamp_(min=LEAST)  # (k, B)
    w = below.exp()
    total = w.sum(0)
    entropy = total.log() - torch.linalg.vecdot(w, below, dim=0) / total
    top_draw = (w @ (1 / total)).amax() / n
    margin = greatest - log_px.scatter(0, winner[None], -math.inf).amax(0)
    winners = entropy.new_full((1,), len(winner.unique()) / min(k, n))
    return Contest(entropy, 1 / total, winner, margin, winners, top_draw[None])
