"""Make torch's global random functions draw from `rng`, for samplers of other libraries that call them.

Inside `with torch_random(rng):` torch.randn, randn_like, rand, rand_like, randint, randint_like, normal and bernoulli,
and the methods normal_, uniform_ and bernoulli_ of tensors, draw from `rng.per_sample`, whatever generator they are
given. Each draw has one row per sample, (m s, ...). Any other draw is refused, as are the functions in UNKNOWN: their
numbers would depend on what else is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.core.types import Random

UNKNOWN = ("randperm", "multinomial", "poisson", "exponential_", "random_", "log_normal_")


class torch_random(TorchFunctionMode):
    """A mode in which torch's random functions draw from the streams of m s posterior samples."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._draws, self._rows = rng.per_sample, len(rng) * len(rng.per_sample)

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        draw = DRAWS.get(func)
        if draw:
            return draw(self, *args, **{**(kwargs or {}), "generator": None})
        if getattr(func, "__name__", "") in UNKNOWN:
            raise ValueError(
                f"torch_random: {func.__name__} is not drawn from rng; draw it as normal or uniform numbers"
            )
        return func(*args, **(kwargs or {}))

    def draw(self, kind: str, shape: Sequence[int], *high: int) -> Tensor:
        """Return numbers (m s, ...) of `rng.per_sample`; ValueError, one line, for another first dimension."""
        if not shape or shape[0] != self._rows:
            raise ValueError(
                f"torch_random: a draw of shape {tuple(shape)}; expected one row per sample, ({self._rows}, ...)"
            )
        return getattr(self._draws, kind)(*high, tuple(shape[1:])).flatten(0, 1)


def _filled(kind: str) -> Callable[..., Tensor]:
    """Return a replacement for `torch.randn` or `torch.rand`, `kind`."""

    def fill(
        mode: torch_random, *size: Any, dtype: Any = None, device: Any = None, **_: Any
    ) -> Tensor:
        shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        return mode.draw(kind, shape).to(device, dtype or torch.get_default_dtype())

    return fill


def _like(kind: str) -> Callable[..., Tensor]:
    """Return a replacement for `torch.randn_like` or `torch.rand_like`."""

    def like(
        mode: torch_random, x: Tensor, *, dtype: Any = None, device: Any = None, **_: Any
    ) -> Tensor:
        return mode.draw(kind, x.shape).to(device or x.device, dtype or x.dtype)

    return like


def _randint(
    mode: torch_random, *given: Any, dtype: Any = None, device: Any = None, **_: Any
) -> Tensor:
    *low, high, shape = given
    start = low[0] if low else 0
    return start + mode.draw("randint", shape, high - start).to(device, dtype or torch.int64)


def _randint_like(mode: torch_random, x: Tensor, *given: int, **_: Any) -> Tensor:
    return _randint(mode, *given, x.shape, dtype=x.dtype, device=x.device)


def _normal(mode: torch_random, mean: Any, std: Any = 1.0, size: Any = None, **_: Any) -> Tensor:
    like = next((part for part in (mean, std) if isinstance(part, Tensor)), torch.empty(0))
    shape = size or torch.broadcast_shapes(
        *(part.shape for part in (mean, std) if isinstance(part, Tensor))
    )
    return mean + std * mode.draw("randn", shape).to(like)


def _bernoulli(mode: torch_random, share: Tensor, **_: Any) -> Tensor:
    return (mode.draw("rand", share.shape).to(share) < share).to(share)


def _in_place(
    kind: str, shaped: Callable[[Tensor, float, float], Tensor], first: float, second: float
) -> Callable[..., Tensor]:
    def fill(
        mode: torch_random, x: Tensor, a: float = first, b: float = second, **named: Any
    ) -> Tensor:
        a, b = named.get("mean", named.get("from", a)), named.get("std", named.get("to", b))
        return x.copy_(shaped(mode.draw(kind, x.shape).to(x), a, b))

    return fill


def _bernoulli_in_place(mode: torch_random, x: Tensor, p: Any = 0.5, **_: Any) -> Tensor:
    return x.copy_(mode.draw("rand", x.shape).to(x.device) < p)


DRAWS: dict[Any, Callable[..., Tensor]] = {
    torch.randn: _filled("randn"),
    torch.rand: _filled("rand"),
    torch.randn_like: _like("randn"),
    torch.rand_like: _like("rand"),
    torch.randint: _randint,
    torch.randint_like: _randint_like,
    torch.normal: _normal,
    torch.bernoulli: _bernoulli,
    torch.Tensor.normal_: _in_place("randn", lambda z, mean, std: mean + std * z, 0.0, 1.0),
    torch.Tensor.uniform_: _in_place("rand", lambda u, low, high: low + (high - low) * u, 0.0, 1.0),
    torch.Tensor.bernoulli_: _bernoulli_in_place,
}
