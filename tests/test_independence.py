"""What is computed of no numbers stays none, whatever hides it, and nothing else becomes so."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zoo.bundles.independence import Contagious, Dependent

NONE = torch.nan
Function = Callable[[Tensor], Tensor]

FOLLOWED: dict[str, Function] = {
    "a product": lambda x: x * 0,
    "a sign": lambda x: x.sign(),
    "a choice by it": lambda x: torch.where(x > 1, 3.0, 5.0),
    "a choice of it": lambda x: torch.where(torch.tensor([True, True, False]), x, 0 * x + 1),
    "an answer as a number": lambda x: (x >= 2).to(x.dtype),
    "answers to two questions": lambda x: torch.where((x > 0) & (x < 7) | x.isinf(), x + 5, x),
    "no answer": lambda x: (~(x > 0)).float(),
    "numbers in its place": lambda x: x.nan_to_num(7.0),
    "the greater one": lambda x: torch.fmax(x, torch.zeros(3)),
    "one within limits": lambda x: x.clamp(0, 1),
    "what is written over another": lambda x: torch.zeros(3).copy_(x > 1),
    "what is changed where it stands": lambda x: (x + 0).nan_to_num_(3.0).mul_(2),
    "an answer laid otherwise": lambda x: (x > 0).unsqueeze(0).expand(2, 3)[1].float(),
    "what is put into its place": lambda x: torch.zeros(3).index_put((torch.tensor([2, 0, 1]),), x[[2, 0, 1]]),
    "another noise": lambda x: torch.where(torch.rand_like(x) < 2, x, 0),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_it_stays_with_its_element(name: str) -> None:
    x = torch.tensor([2.0, NONE, 3.0])
    with Contagious():
        found = FOLLOWED[name](x)
    assert found.isnan().tolist() == [False, True, False]
    assert torch.equal(found[::2], FOLLOWED[name](torch.tensor([2.0, 1.0, 3.0]))[::2])


ALL: dict[str, Function] = {
    "a mean": lambda x: torch.where(x.mean() > 1, x, x + 1),
    "a maximum": lambda x: torch.fmin(x, x.amax()),
    "a floor": lambda x: torch.fmax(torch.zeros(3), x.sum()),
    "a sum of exponentials": lambda x: x.logsumexp(0).sign() * torch.ones(3),
}


@pytest.mark.parametrize("name", ALL)
def test_it_shows_in_all_that_depends_on_it(name: str) -> None:
    with Contagious():
        found = ALL[name](torch.tensor([2.0, NONE, 3.0]))
    assert found.isnan().all()


REFUSED: dict[str, Function] = {
    "a sum that leaves them out": lambda x: x.nansum(),
    "an order": lambda x: x.sort().values,
    "a place": lambda x: x[x.argmax()],
    "how many": lambda x: (x > 0).sum() * x,
    "whether any": lambda x: x * (x > 2).any(),
    "a number of Python": lambda x: x * float(x.sum()),
    "a selection": lambda x: x[x > 0],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused(name: str) -> None:
    with Contagious(), pytest.raises(Dependent):
        REFUSED[name](torch.tensor([2.0, NONE, 3.0]))


def test_without_them_nothing_is_refused_or_changed() -> None:
    x = torch.tensor([2.0, 1.0, 3.0])
    for functions in (FOLLOWED, ALL, REFUSED):
        for function in functions.values():
            with Contagious():
                found = function(x)
            assert torch.equal(found, function(x))
