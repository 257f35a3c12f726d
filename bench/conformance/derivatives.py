"""The check of a denoiser's derivatives in x_t: each way to take one gives the right value, or raises an error.

They are compared with finite differences along random directions, first at one noise level for all rows, then at a
different one for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.conformance.checks import Refused
from bench.core.rng import Rng

# networks are float32 inside: rounding of 1e-7 and curvature cost about as much at this step
STEP = 1e-3
CLOSE = 2e-2  # of the norm

Denoise = Callable[[Tensor], Tensor]


def derivatives_of(prior: Any, x_t: Tensor) -> str:
    """Check derivatives of `prior.denoise` at x_t (n, *x); return those that raise an error, or ""."""
    half, each = torch.tensor(0.5).to(x_t), torch.linspace(0.4, 0.8, len(x_t)).to(x_t)
    refused: list[str] = []
    for sigma in (half, each):
        refused += _checked(lambda x, sigma=sigma: prior.denoise(x, sigma), x_t)
    return "; ".join(dict.fromkeys(refused))


def _checked(denoise: Denoise, x: Tensor) -> list[str]:
    """Return the ways to take a derivative that raise an error; raise Refused where one gives a wrong value."""
    v, w = Rng(("conformance", "directions"), (0, 1), dtype=x.dtype).randn(tuple(x.shape))
    slope = _slope(denoise, x, v)
    # the gradient of <w, D> in x, and its slope along v
    gradient, bend = _vjp(denoise, x, w), _slope(lambda x: _vjp(denoise, x, w), x, v)
    _alike((gradient * v).sum(), (w * slope).sum(), w.norm() * slope.norm(), "the gradient")
    jvp, grad = torch.func.jvp, torch.func.grad
    ways: dict[str, tuple[Callable[[], Tensor], Tensor]] = {
        "functional.jvp": (lambda: torch.autograd.functional.jvp(denoise, x, v)[1], slope),
        "func.jvp": (lambda: jvp(denoise, (x,), (v,))[1], slope),
        "is_grads_batched": (lambda: _batched(denoise, x, w)[1], 2 * gradient),
        "backward twice": (lambda: _twice(denoise, x, w, v), bend),
        "func.jvp of func.grad": (
            lambda: jvp(grad(lambda x: (w * denoise(x)).sum()), (x,), (v,))[1],
            bend,
        ),
    }
    refused = []
    for name, (way, expected) in ways.items():
        try:
            value = way()
        except (RuntimeError, NotImplementedError, ValueError):
            refused.append(f"{name} is refused")
            continue
        # the denoiser of a single Gaussian is linear, so that the expected second derivative is 0
        _alike(value, expected, expected.norm() + 0.01 * slope.norm(), name)
    return refused


def _alike(value: Tensor, expected: Tensor, scale: Tensor, what: str) -> None:
    error = ((value - expected).norm() / scale).item()
    if not error < CLOSE:
        raise Refused(
            f"{what} of denoise differs by {error:.2g} from finite differences; mend it, or raise an error there"
        )


def _slope(function: Denoise, x: Tensor, v: Tensor) -> Tensor:
    return (function(x + STEP * v) - function(x - STEP * v)) / (2 * STEP)


def _vjp(denoise: Denoise, x: Tensor, w: Tensor) -> Tensor:
    point = x.clone().requires_grad_()
    return torch.autograd.grad(denoise(point), point, w)[0]


def _batched(denoise: Denoise, x: Tensor, w: Tensor) -> Tensor:
    point, several = x.clone().requires_grad_(), torch.stack([w, 2 * w])
    return torch.autograd.grad(denoise(point), point, several, is_grads_batched=True)[0]


def _twice(denoise: Denoise, x: Tensor, w: Tensor, v: Tensor) -> Tensor:
    point = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(denoise(point), point, w, create_graph=True)
    return torch.autograd.grad((gradient * v).sum(), point)[0]
