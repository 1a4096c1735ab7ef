"""The first examples of a split, from the shares that ranks hold of it."""

import pytest
import torch

from tests.small import SIZES
from zoo.probe import Probe


@pytest.mark.parametrize("n", [1, 2, 6, 13, 20])
@pytest.mark.parametrize("ranks", [1, 3])
def test_the_shares_of_the_ranks_are_put_in_the_order_of_the_split(n: int, ranks: int) -> None:
    split = torch.randn(SIZES[2], 2)
    probes = [Probe(n, r, ranks) for r in range(ranks)]
    for _ in range(2):  # a reset begins anew
        for r, probe in enumerate(probes):
            probe.reset()
            for batch in split[r::ranks].split(2):
                probe.update(batch)
    for other in probes[1:]:
        probes[0].merge_state(other)
    assert torch.equal(probes[0].compute(), split[:n])
