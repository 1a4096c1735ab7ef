"""Noise is a function, not a state: of (seed, rank, step) in training, of (seed, example, draw) in evaluation."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.errors import UnknownNoise

_GAMMA = 0x9E3779B97F4A7C15  # the SplitMix64 increment: 2^64 over the golden ratio
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_MASK = 2**64 - 1


def mix(*numbers: int) -> int:
    """Hashes whole numbers, in order, to one in [1, 2^63), by SplitMix64 (https://doi.org/10.1145/2660193.2660195).

    Example:
        >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
        (True, False)
    """
    h = 0
    for number in numbers:
        h = (h ^ (number & _MASK)) + _GAMMA & _MASK
        for shift, factor in _ROUNDS:
            h = (h ^ (h >> shift)) * factor & _MASK
    return h >> 1 or 1


def seed_step(*numbers: int) -> None:
    """Seeds the default generators by a hash: what is drawn next is a function of ``numbers`` alone."""
    seed_generators(mix(*numbers))


def seed_generators(seed: int) -> None:
    """Seeds the default generators, one by one, since `torch.manual_seed` costs as much as a small training step."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(seed)


def fingerprint(x: Tensor) -> Tensor:
    """Hashes each example of a batch, so that its noise follows it into any batch and onto any rank.

    Args:
        x: A batch, (B, ...).

    Returns:
        A hash for each example, int64, (B,).
    """
    bits = (x.flatten(1).float() + 0.0).view(torch.int32).long()  # + 0.0 turns -0.0 into 0.0
    weights = _scramble(torch.arange(1, bits.shape[1] + 1, device=x.device) * _signed(_GAMMA))
    return _scramble((bits * (weights | 1)).sum(1))


class ExampleNoise(TorchDispatchMode):
    """Within it, what a distribution draws is a function of (seed, example, draw).

    Draw ``i`` of an example is the same number in any batch, in any chunk of draws and on any rank, because it
    is a hash of a counter (SplitMix64) and not the state of a generator. It serves every distribution that
    draws by normal or uniform numbers with the leading axes (draws, examples), as ``q.rsample((k,))`` does.

    Args:
        keys: A hash for each example, int64, (B,).
        first: The index of the first draw, so that chunks of draws join without a seam.
        seed: The seed of the evaluation.

    Raises:
        UnknownNoise: A distribution draws by a random operation that cannot be made a function.

    Example:
        >>> from torch.distributions import Normal
        >>> x = torch.rand(3, 784)
        >>> q = Normal(torch.zeros(3, 2), 1.0)
        >>> with ExampleNoise(fingerprint(x)):
        ...     z = q.rsample((5,))  # (k, B, D)
        >>> with ExampleNoise(fingerprint(x), first=4):
        ...     last = q.rsample((1,))
        >>> torch.equal(z[4:], last)
        True
    """

    def __init__(self, keys: Tensor, first: int | Tensor = 0, seed: int = 0) -> None:
        super().__init__()
        self._keys, self._first, self._seed, self._calls = keys, first, seed, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if func not in _FUNCTIONS:
            raise UnknownNoise(
                f"{func} cannot be drawn as a function of the example: in evaluation a distribution must draw "
                "by normal or uniform numbers alone; write its rsample with those."
            )
        return _FUNCTIONS[func](self, *args, **kwargs)

    def _bits(self, shape: torch.Size, n: int, device: torch.device) -> Tensor:
        """Hashes n counters for each draw and example, (k, B, n)."""
        if len(shape) < 2 or shape[1] != len(self._keys):
            raise UnknownNoise(
                f"a distribution drew numbers of shape {tuple(shape)} where (draws, {len(self._keys)}, ...) was "
                "expected: draw with the leading axes (draws, examples), as q.rsample((k,)) does."
            )
        self._calls += 1  # a second draw within one rsample must not repeat the first
        keys = _scramble(self._keys.to(device) + _signed(mix(self._seed, self._calls)))
        draws = (torch.arange(shape[0], device=device) + self._first) << 32
        counters = (draws[:, None] + torch.arange(n, device=device)) * _signed(_GAMMA)
        return _scramble(counters[:, None, :] + keys[:, None])

    def uniform(self, out: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Fills ``out`` with numbers uniform in [low, high)."""
        bits = self._bits(out.shape, math.prod(out.shape[2:]), out.device)
        out.copy_((_unit(bits, 32, out.dtype) * (high - low) + low).view(out.shape))
        return out.masked_fill_(out >= high, low)  # where rounding reached it

    def normal(self, out: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Fills ``out`` with normal numbers, two of each hash (Box and Muller)."""
        n = math.prod(out.shape[2:])
        bits = self._bits(out.shape, (n + 1) // 2, out.device)
        radius = _unit(bits, 32, out.dtype).log_().mul_(-2).sqrt_()
        angle = _unit(bits, 0, out.dtype).mul_(2 * math.pi)
        pairs = torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)], -1)[..., :n].reshape(out.shape)
        return out.copy_(pairs if (mean, std) == (0, 1) else pairs.mul_(std).add_(mean))


def _signed(n: int) -> int:
    """The same 64 bits as an int64."""
    n &= _MASK
    return n - 2**64 if n >> 63 else n


def _scramble(h: Tensor) -> Tensor:
    """The finaliser of SplitMix64, in place on int64, whose products wrap around."""
    for shift, factor in _ROUNDS:
        h ^= (h >> shift).bitwise_and_(2 ** (64 - shift) - 1)  # >> keeps the sign: mask it away
        if factor != 1:
            h *= _signed(factor)
    return h


def _unit(bits: Tensor, shift: int, dtype: torch.dtype) -> Tensor:
    """Uniform numbers in (0, 1) of 32 of the bits, in single precision at least: half would overflow."""
    dtype = torch.promote_types(dtype, torch.float32)
    unit = (bits >> shift).bitwise_and_(2**32 - 1).to(dtype).add_(0.5).mul_(2.0**-32)
    return unit.clamp_(max=1 - torch.finfo(dtype).eps / 2)  # in single precision the largest would round to 1


_aten = torch.ops.aten
_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    _aten.normal_.default: lambda noise, out, mean=0.0, std=1.0, generator=None: noise.normal(out, mean, std),
    _aten.uniform_.default: lambda noise, out, low=0.0, high=1.0, generator=None: noise.uniform(out, low, high),
    _aten.randn.default: lambda noise, size, **options: noise.normal(torch.empty(size, **options)),
    _aten.rand.default: lambda noise, size, **options: noise.uniform(torch.empty(size, **options)),
    _aten.randn_like.default: lambda noise, like, **options: noise.normal(torch.empty_like(like, **options)),
    _aten.rand_like.default: lambda noise, like, **options: noise.uniform(torch.empty_like(like, **options)),
    _aten.normal.Tensor_Tensor: lambda noise, mean, std, **_: noise.normal(torch.empty_like(mean)) * std + mean,
}
