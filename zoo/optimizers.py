"""Optimisers and learning rate schedules that torch does not have as they are wanted here."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR


class FusedAdam(torch.optim.Adam):
    """Adam in its fused form: the same steps for less time, a third of it for small batches.

    Kingma and Ba 2014, https://arxiv.org/abs/1412.6980.

    Args:
        params: The parameters.
        lr: The learning rate.
        betas: The decay of the running means of the gradient and of its square.
        eps: What is added to the denominator.
        weight_decay: The L2 penalty.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)

    @property
    def plain(self) -> bool:
        """Whether its step is Adam's rule alone, in none of its variants, and nobody has a hook in it."""
        variants = any(group["amsgrad"] or group["maximize"] for group in self.param_groups)
        return not (variants or self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks)

    def move(self) -> None:
        """Makes the step of `step`, for whoever makes thousands: without a closure, hooks and sorting by type.

        Sorting takes a third of a small step. Where there are hooks, variants of the rule, or parameters of several
        types or not yet in use, it is `step` itself.
        """
        groups = [[each for each in group["params"] if each.grad is not None] for group in self.param_groups]
        sorts = any(not self.state[each] or each.dtype != group[0].dtype for group in groups for each in group)
        if sorts or not self.plain:
            self.step()
            return
        for group, parameters in zip(self.param_groups, groups, strict=True):
            if not parameters:
                continue
            states = [self.state[each] for each in parameters]
            steps = [state["step"] for state in states]
            with torch.no_grad():
                torch.ops.aten._foreach_add_.Scalar(steps, 1)
                torch.ops.aten._fused_adam_(
                    parameters,
                    [each.grad for each in parameters],
                    [state["exp_avg"] for state in states],
                    [state["exp_avg_sq"] for state in states],
                    [],
                    steps,
                    lr=group["lr"],
                    beta1=group["betas"][0],
                    beta2=group["betas"][1],
                    weight_decay=group["weight_decay"],
                    eps=group["eps"],
                    amsgrad=False,
                    maximize=False,
                )


class BurdaSchedule(LambdaLR):
    """Burda's phases i = 0..7 of 3^i epochs at 10^(-i/7) of the learning rate; the last goes on for ever.

    Burda, Grosse and Salakhutdinov 2015, https://arxiv.org/abs/1509.00519: 3280 epochs in all. Their program
    rounds the factors to one digit (1, .72, .52, ... becomes 1e-4 times 10, 7.2, 5.2, ...), as this does.

    Args:
        optimizer: The optimiser, whose learning rate is that of the first phase (1e-3 in the paper).
        length: What one epoch counts: 0.1 goes through the phases ten times as fast as the paper.

    Example:
        >>> schedule = BurdaSchedule(FusedAdam([torch.zeros(1, requires_grad=True)]))
        >>> [schedule.factor(epoch) for epoch in (0, 1, 4, 13, 40, 121, 364, 1093)]
        [1.0, 0.72, 0.52, 0.37, 0.27, 0.19, 0.14, 0.1]
    """

    def __init__(self, optimizer: torch.optim.Optimizer, length: float = 1.0) -> None:
        self.length = length
        super().__init__(optimizer, self.factor)

    def factor(self, epoch: int) -> float:
        """What the learning rate is multiplied by in an epoch, counted from 0."""
        phase, end = 0, 1.0
        while phase < 7 and epoch >= end * self.length:
            phase += 1
            end += 3**phase
        return round(10 ** (1 - phase / 7), 1) * 10 / 100
