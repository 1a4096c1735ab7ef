"""Adam's move in plain operations, which can be recorded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.bundles.purity import Same
from zoo.optimizers import FusedAdam


class PlainAdam:
    r"""The move of `FusedAdam` in plain operations, on the same state.

    .. math::
        m \leftarrow m + (1 - \beta_1)(g - m), \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        \theta \leftarrow \theta - \frac{\alpha}{1 - \beta_1^t} \frac{m}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
        optimizer: Adam, which has made a step before.
        parameters: Those of its parameters that have a gradient.
    """

    def __init__(self, optimizer: FusedAdam, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self._optimizer, self._groups = optimizer, optimizer.param_groups
        self._states = [optimizer.state[each] for each in parameters]
        groups = {id(each): index for index, group in enumerate(self._groups) for each in group["params"]}
        self._group_of = [groups[id(each)] for each in parameters]
        self._dtype = "float64" if parameters[0].dtype == torch.float64 else "float32"

    @property
    def possible(self) -> bool:
        """Whether this is its move: on a CPU, in single or double precision, where all were moved equally often."""
        kinds = {(each.device.type, each.dtype) for each in self.parameters}
        if not self._optimizer.plain or kinds not in ({("cpu", torch.float32)}, {("cpu", torch.float64)}):
            return False
        return all(self._states) and len({state["step"].item() for state in self._states}) == 1

    @property
    def tensors(self) -> list[list[Tensor]]:
        """What it moves: the parameters, their first and their second moments."""
        return [list(self.parameters), *([state[name] for state in self._states] for name in ("exp_avg", "exp_avg_sq"))]

    @property
    def held(self) -> list[Any]:
        """What a recording of it holds for ever: all but what a schedule may change, and the number of steps."""
        changing = ("params", "lr", "initial_lr", "betas")
        settings = [[value for name, value in group.items() if name not in changing] for group in self._groups]
        return [settings, *([Same(each) for each in kind] for kind in self.tensors)]

    @property
    def counted(self) -> int:
        """The moves that the optimiser's state tells."""
        return int(self._states[0]["step"].item())

    def factors(self, t: int, n: int = 1) -> tuple[Tensor, ...]:
        r"""What changes from move to move, and what a schedule may change of it.

        It is :math:`\alpha / (1 - \beta_1^t)`, :math:`1 / \sqrt{1 - \beta_2^t}`, :math:`1 - \beta_1`,
        :math:`\beta_2` and :math:`1 - \beta_2`.

        Args:
            t: The number of the first move, counted from 1.
            n: For how many moves.

        Returns:
            These of each group of parameters, (groups, 5), for each move.
        """
        rules = [(group["lr"], *group["betas"]) for group in self._groups]
        rows = [[(lr / (1 - a**i), (1 - b**i) ** -0.5, 1 - a, b, 1 - b) for lr, a, b in rules] for i in range(t, t + n)]
        return torch.from_numpy(np.array(rows, self._dtype)).unbind()  # a third of what torch.tensor takes

    def move(self, gradients: Sequence[Tensor], factors: Tensor) -> None:
        """Moves the parameters and their moments.

        Args:
            gradients: The gradient of each parameter.
            factors: What `factors` gives for this move, (groups, 5).
        """
        of_groups = [each.unbind() for each in factors.unbind()]
        for parameter, m, v, gradient, index in zip(*self.tensors, gradients, self._group_of, strict=True):
            group, (rate, scale, new, kept, new_square) = self._groups[index], of_groups[index]
            if group["weight_decay"]:
                gradient = gradient + group["weight_decay"] * parameter
            m.add_((gradient - m) * new)
            v.mul_(kept).add_(gradient * gradient * new_square)
            parameter.addcdiv_(m * -rate, (v.sqrt() * scale).add_(group["eps"]))

    def count(self, moves: int) -> None:
        """Has the optimiser's state tell so many moves more."""
        torch.ops.aten._foreach_add_.Scalar([state["step"] for state in self._states], moves)
