"""Time the denoiser of a mixture of factor analysers, and compare it with the matrix products that it needs.

These are the change to the basis and back (cosines along each side, colours), the products with the loadings of all
components and back, and four products with a vector per component (two for squared distances, two for the diagonal
part of the posterior mean). Its derivative needs the same again. The mixture is random, 48 components of rank 32 at
32 x 32 x 3 pixels; the time does not depend on its values.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.cost.common import Options, Say, at_most, cpu_seconds, format_range
from bench.priors._mfa import MFA
from bench.priors._mfa_basis import Basis

NUM_ROWS, SHAPE, NUM_COMPONENTS, RANK = 256, (3, 32, 32), 48, 32
SIGMAS = (0.01, 0.1, 0.5, 2.0)
MOST = 1.5  # seconds of the denoiser over seconds of its products
MOST_DIFFERENCE = (
    1e-4  # between the denoiser in float32 and in float64, data units, root mean square
)


@dataclass(frozen=True)
class Turns:
    """CPU seconds of the denoiser and of its products alone, one entry per repeat."""

    denoiser: list[float]
    products: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.denoiser) / statistics.median(self.products)


def measure(options: Options, say: Say) -> Json:
    """Return seconds, forward and with the derivative, in both precisions, and how far the two precisions differ."""
    prior = random_mixture(SHAPE, NUM_COMPONENTS, RANK)
    x_t = Rng(("cost", "mfa"), (0,)).randn((NUM_ROWS, *SHAPE))[0]
    content: Json = {}
    for dtype in (torch.float64, torch.float32):
        like = torch.empty(0, dtype=dtype)
        for what in ("forward", "with VJP"):
            turns = compare(prior.to(like), x_t.to(like), what == "with VJP", options.repeats)
            name = f"{what}, {str(dtype).removeprefix('torch.')}"
            content[name] = {"denoiser": turns.denoiser, "products": turns.products}
            say(
                f"mfa, {NUM_ROWS} rows, {name}: {format_range(turns.denoiser)} CPU-s, its products "
                f"{format_range(turns.products)}; ratio {turns.ratio:.2f} ({at_most(turns.ratio, MOST)})"
            )
    errors = {f"{sigma:g}": precision_error(prior, sigma) for sigma in SIGMAS}
    worst = max(errors.values())
    say(
        f"mfa, float32: the denoiser differs from float64 by {worst:.1e} at most in root mean square, of sigma "
        f"{', '.join(errors)} ({at_most(worst, MOST_DIFFERENCE)})"
    )
    return content | {"rms_difference_of_float32": errors}


def precision_error(prior: MFA, sigma: float) -> float:
    """Return the root mean square difference of the denoiser in float32 from float64, on noisy draws of the prior."""
    rng = Rng(("cost", "mfa", "precision"), (0,))
    x = prior.sample(NUM_ROWS, rng)[0]
    x_t = x + sigma * rng.randn(tuple(x.shape))[0]
    single = prior.to(torch.empty(0)).denoise(x_t.float(), torch.tensor(sigma))
    return (single - prior.denoise(x_t, torch.tensor(sigma))).square().mean().sqrt().item()


def random_mixture(shape: tuple[int, ...], num_components: int, rank: int) -> MFA:
    """Return a mixture with random means and factors in a basis of random images."""
    rng = Rng(("cost", "mfa", "mixture"), (0,))
    basis = Basis.fitted(rng.randn((64, *shape))[0])
    means = 0.3 * rng.randn((num_components, *shape))[0]
    size = means[0].numel()
    factors = 0.1 * rng.randn((num_components, size, rank))[0]
    psi = 0.01 + 0.1 * rng.rand((num_components, size))[0]
    return MFA(torch.ones(num_components).double() / num_components, means, factors, psi, basis)


def compare(prior: MFA, x_t: Tensor, with_vjp: bool, repeats: int) -> Turns:
    """Time the denoiser of rows x_t (n, *x) and its products in turns, after one untimed call of each."""
    sigma = torch.tensor(0.5).to(x_t)
    x_t = x_t.clone().requires_grad_(with_vjp)

    def denoise() -> None:
        with torch.set_grad_enabled(with_vjp):
            denoised = prior.denoise(x_t, sigma)
        if with_vjp:
            torch.autograd.grad(denoised, x_t, torch.ones_like(x_t))

    factors = products_of(prior, x_t.detach(), 2 if with_vjp else 1)

    def multiply() -> None:
        for left, right in factors:
            torch.matmul(left, right)

    denoise()
    multiply()
    pairs = [(cpu_seconds(denoise), cpu_seconds(multiply)) for _ in range(repeats)]
    return Turns([of for of, _ in pairs], [of for _, of in pairs])


def products_of(prior: MFA, x: Tensor, times: int) -> list[tuple[Tensor, Tensor]]:
    """Return the two factors of each product in one call on rows x (n, *x), the whole list repeated `times` times."""
    (n, c, h, w), (k, size, rank) = x.shape, prior.factors.shape
    u = x.flatten(1).contiguous()
    loadings, loaded = x.new_ones(size, k * rank), x.new_ones(n, k * rank)
    by_component, share = x.new_ones(k, size), x.new_ones(n, k)
    turned = [
        (u.view(n * c * h, w), x.new_ones(w, w)),
        (u.view(n * c * w, h), x.new_ones(h, h)),
        (prior.basis.colours, u.view(n, c, h * w)),
    ]
    loads = [(u, loadings), (loaded, loadings.T)]
    squares = [(u, by_component.T), (share, by_component)]
    return times * (2 * turned + loads + 2 * squares)
