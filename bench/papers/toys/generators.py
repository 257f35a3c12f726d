"""Generators x = f(z) in the plane: a flow trained by conditional flow matching, and a one-step map without density.

Lipman et al. 2023, https://arxiv.org/abs/2210.02747; Tong et al. 2024, https://arxiv.org/abs/2302.00482 (pairs by
minibatch optimal transport). The one-step map replaces a GAN: it minimises a generalised energy distance to the data
(Szekely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018), which needs no discriminator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from bench.core.types import Cap, Random
from bench.numerics import training
from bench.numerics.diffusion import rk4
from bench.numerics.nets import MLP, initialise
from bench.papers.toys.densities import Data, Source
from bench.runtime.progress import progress

PAIRED, NUM_PAIRED = 256, 64  # pairs of a minibatch, and minibatches
FLOW_BATCH = 512
EXPONENT = 0.3  # of the energy distance


@dataclass(frozen=True)
class Generator:
    """A prior x = f(z) in the plane with z from `source`; f is one pass through the network."""

    network: nn.Module
    source: Source

    caps: ClassVar[Cap] = Cap.DECODER
    shape: ClassVar[tuple[int, ...]] = (2,)
    latent_shape: ClassVar[tuple[int, ...]] = (2,)
    sigma_range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    @property
    def decode_nfe(self) -> int:
        return 1

    @property
    def sample_nfe(self) -> int:
        return self.decode_nfe

    def decode(self, z: Tensor) -> Tensor:
        return self.network(waves(z.float()), z.new_zeros(len(z)).float()).to(z)

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        draws = [self.source.sample(num_samples, rng.only(i)) for i in range(len(rng))]
        return self.decode(torch.cat(draws)).unflatten(0, (len(rng), num_samples))


@dataclass(frozen=True)
class Flow(Generator):
    """The flow dx = v(x, t) dt from the source at t = 0 to the data at t = 1, by Runge-Kutta steps."""

    num_steps: int = 6

    @property
    def decode_nfe(self) -> int:
        return 4 * self.num_steps

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """Return v(x, t) (n, 2) at x (n, 2), t a scalar or (n,); the network computes in float32."""
        return self.network(waves(x.float()), t.float().expand(len(x))).to(x)

    def times(self, like: Tensor) -> Tensor:
        return torch.linspace(0, 1, self.num_steps + 1, dtype=like.dtype)

    def decode(self, z: Tensor) -> Tensor:
        return rk4(self.velocity, z, self.times(z))

    def paths(self, z: Tensor) -> Tensor:
        """Return the states (n, num_steps + 1, 2) from noise z (n, 2) to data."""
        states = [z]
        for pair in self.times(z).unfold(0, 2, 1):
            states.append(rk4(self.velocity, states[-1], pair))
        return torch.stack(states, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) (n,) = log p_0(z) - integral of div v, along the flow backwards from x (n, 2) to z.

        See Chen et al. 2018, https://arxiv.org/abs/1806.07366.
        """

        def augmented(state: Tensor, t: Tensor) -> Tensor:
            with torch.enable_grad():
                place = state[:, :2].detach().requires_grad_()
                v = self.velocity(place, t)
                rows = [
                    torch.autograd.grad(v[:, i].sum(), place, retain_graph=True)[0][:, i]
                    for i in range(2)
                ]
            return torch.cat([v.detach(), (rows[0] + rows[1])[:, None]], 1)

        start = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        end = rk4(augmented, start, self.times(x).flip(0))
        return self.source.log_prob(end[:, :2]) + end[:, 2]


def fit_flow(source: Source, data: Data, rng: Random, num_iterations: int) -> Flow:
    """Fit v(x_t, t) to x_1 - x_0 along straight lines between optimally paired minibatches."""
    flow = Flow(network(rng), source)
    pairs = torch.cat([optimal_pairs(source, data, rng) for _ in range(NUM_PAIRED)]).float()

    def loss() -> Tensor:
        rows = rng.randint(len(pairs), (FLOW_BATCH,))[0]
        x_0, x_1, t = pairs[rows, 0], pairs[rows, 1], rng.rand((FLOW_BATCH,))[0].float()
        x_t = x_0 + t[:, None] * (x_1 - x_0)
        return (flow.velocity(x_t, t) - (x_1 - x_0)).square().sum(1).mean()

    minimise(loss, flow.network, num_iterations)
    return flow


def optimal_pairs(source: Source, data: Data, rng: Random) -> Tensor:
    """Return noise and data paired with the least sum of squared distances, (PAIRED, 2, 2)."""
    x_0, x_1 = source.sample(PAIRED, rng), data.sample(PAIRED, rng)
    _, partner = linear_sum_assignment(torch.cdist(x_0, x_1).square().numpy())
    return torch.stack([x_0, x_1[partner]], 1)


def fit_generator(
    source: Source, data: Data, rng: Random, num_iterations: int, batch: int = 256
) -> Generator:
    """Minimise 2 E|x - x'|^a - E|x - x''|^a between data x' and generated x, x''; a small a weights detail more."""
    generator = Generator(network(rng), source)

    def powers(x: Tensor, y: Tensor) -> Tensor:
        return (torch.cdist(x, y).square() + 1e-4).pow(EXPONENT / 2)  # smooth where two points meet

    def loss() -> Tensor:
        x = generator.decode(source.sample(batch, rng).float())
        real = data.sample(batch, rng).float()
        return 2 * powers(x, real).mean() - powers(x, x).sum() / (batch * (batch - 1))

    minimise(loss, generator.network, num_iterations)
    return generator


def waves(x: Tensor) -> Tensor:
    """Return x (n, 2) with its sines and cosines at two frequencies, (n, 10): networks learn sharp edges sooner."""
    return torch.cat([x, *(f(k * x) for k in (1, 2) for f in (torch.sin, torch.cos))], 1)


def network(rng: Random) -> nn.Module:
    """Return the network of both generators, initialised."""
    return initialise(MLP(10, 2, width=64, num_layers=3), rng)


def minimise(
    loss: Callable[[], Tensor], network: nn.Module, num_iterations: int, rate: float = 1e-2
) -> None:
    """Minimise by Adam with a rate that falls to zero like a cosine; leaves the network frozen."""
    schedule = training.falling_cosine(rate, num_iterations)
    descent = training.Descent(torch.optim.Adam(network.parameters()), num_iterations, schedule)
    training.minimise(lambda _: loss(), descent, partial(progress, what="fit of a generator"))
    network.requires_grad_(False)
