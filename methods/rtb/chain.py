"""The prior's ancestral chain, and one whose steps a network corrects: states and densities of paths."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from bench.core.types import Cap, Prior, Problem
from bench.numerics.diffusion import karras_sigmas
from bench.numerics.gradients import gradient
from bench.numerics.nets import MLP

if TYPE_CHECKING:
    from . import RTB

GAIN = 10.0  # factor on the table of gains, for which Adam's steps would otherwise be too small
Moments = tuple[Tensor, Tensor]  # mean and standard deviation


class Path(NamedTuple):
    """n paths over N noise levels: states x_t and E[x | x_t] (n, N, d), and the guide's shifts of E (n, N - 1, d)."""

    state: Tensor
    denoised: Tensor
    shift: Tensor


class Correction(nn.Module):
    """The correction of a step, in units of the prior's spread given x_t; without training, the guide's shift."""

    def __init__(
        self, num_steps: int, dim: int, num_inputs: int, width: int, num_layers: int
    ) -> None:
        super().__init__()
        self.mlp = MLP(num_inputs, dim, width, num_layers)
        self.gain = nn.Parameter(torch.zeros(num_steps))

    def forward(self, level: Tensor, shift: Tensor, inputs: Tensor) -> Tensor:
        """Return the shift (n, d) of E[x | x_t] at levels (n,) int64; `shift` (n, d) is the guide's."""
        time = level.to(inputs) / len(self.gain)
        return (1 + GAIN * self.gain[level, None]) * shift + self.mlp(inputs, time)


@dataclass(frozen=True, eq=False)
class Chain:
    """The corrected chain of a prior and a problem; all states are flat, (n, d), in the dtype of the measurements.

    sigmas: noise levels, falling, (N,). of_x: mean and standard deviation of a pixel, (). of_y: those of the numbers
    of a measurement, (p,). guided: whether steps follow the likelihood's gradient.
    """

    prior: Prior
    problem: Problem
    net: Correction
    sigmas: Tensor
    of_x: Moments
    of_y: Moments
    guided: bool

    @property
    def moments(self) -> tuple[Tensor, ...]:
        return (*self.of_x, *self.of_y)

    @cached_property
    def spread(self) -> Tensor:
        """Return the standard deviation of x given x_t, were the pixels of x independent and normal, (N,)."""
        return self.sigmas / (1 + (self.sigmas / self.of_x[1]).square()).sqrt()

    @cached_property
    def kept(self) -> Tensor:
        """Return the share of x_t - E[x | x_t] that a step keeps, (N - 1,)."""
        return (self.sigmas[1:] / self.sigmas[:-1]).square()

    @cached_property
    def std(self) -> Tensor:
        """Return the standard deviation of a step's noise, (N - 1,)."""
        return self.sigmas[1:] * (1 - self.kept).sqrt()

    @cached_property
    def scale(self) -> Tensor:
        """Return the standard deviation of a number of x_t, (N,)."""
        return (self.sigmas.square() + self.of_x[1].square()).sqrt()

    @cached_property
    def reach(self) -> Tensor:
        """Return by how many standard deviations of a step's noise E[x | x_t] moves it, per spread, (N - 1,)."""
        return (1 - self.kept) * self.spread[:-1] / self.std

    def denoise(self, x: Tensor, level: Tensor) -> Tensor:
        """Return E[x | x_t] at levels () or (n,), (n, d)."""
        image = x.unflatten(1, self.prior.shape)
        return self.prior.denoise(image, self.sigmas.take(level)).flatten(1)

    def shift(self, denoised: Tensor, level: Tensor, y: Tensor) -> Tensor:
        """Return by how much the guide moves E[x | x_t] at levels (n,), in units of the spread, (n, d).

        The move is along the likelihood's gradient. Its length is right where x given x_t is normal with that spread
        and A A^T = I; without Gaussian noise it is the gradient times the squared spread.
        """
        if not self.guided:
            return torch.zeros_like(denoised)
        images, spread = denoised.unflatten(1, self.prior.shape), self.spread[level, None]
        pull = self._pull(images, y).flatten(1)
        length = spread.square()
        if Cap.RESIDUAL in self.problem.caps:
            length = length / (1 + length / self.problem.sigma_y**2)
        return length / spread * pull

    def _pull(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of the log likelihood in images x (n, *x); A^T (y - A(x)) / sigma_y^2 needs no graph."""
        if Cap.LINEAR not in self.problem.caps:
            return gradient(self.problem.log_likelihood, x, y)
        residual = self.problem.residual(x, y)
        return self.problem.operator.adjoint(residual, y) / self.problem.sigma_y**2

    def seen(self, y: Tensor) -> Tensor:
        """Return measurements y (n, *y), flat and standardised, as the network gets them, (n, p)."""
        return (y.flatten(1) - self.of_y[0]) / self.of_y[1].clamp_min(1e-3)

    def control(
        self, x: Tensor, denoised: Tensor, shift: Tensor, level: Tensor, seen: Tensor
    ) -> Tensor:
        """Return by how much the mean of a step is moved, in standard deviations of its noise, (n, d)."""
        mean, std = self.of_x
        scaled = (x - mean) / self.scale[level, None]
        inputs = torch.cat([scaled, (denoised - mean) / std, shift, seen], 1)
        moved = self.net(level, shift.float(), inputs.float()).to(x)
        return self.reach[level, None] * moved

    def walk(self, y: Tensor, noise: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield x_t, E[x | x_t] and the guide's shift at each level, from N noises (n, d); the last shift is zero."""
        x, last, seen = self.sigmas[0] * next(noise), len(self.sigmas) - 1, self.seen(y)
        for i in range(last + 1):
            level = torch.full((len(x),), i, device=x.device)
            denoised = self.denoise(x, level[0])  # one level for all rows is faster
            if i == last:
                yield x, denoised, torch.zeros_like(x)
                return
            shift = self.shift(denoised, level, y)
            yield x, denoised, shift
            moved = self.control(x, denoised, shift, level, seen) + next(noise)
            x = torch.lerp(denoised, x, self.kept[i]) + self.std[i] * moved

    @torch.no_grad()
    def end(self, y: Tensor, noise: Iterator[Tensor]) -> Tensor:
        """Return the images (n, *x) in which paths end; only the last state is held."""
        ((_, images, _),) = deque(self.walk(y, noise), maxlen=1)
        return images.unflatten(1, self.prior.shape)

    @torch.no_grad()
    def rollout(self, y: Tensor, noise: Iterator[Tensor]) -> Path:
        """Return paths of the corrected chain for rows y (n, *y)."""
        state, denoised, shift = (
            torch.stack(part, 1) for part in zip(*self.walk(y, noise), strict=True)
        )
        return Path(state, denoised, shift[:, :-1])

    @torch.no_grad()
    def noised(self, x: Tensor, y: Tensor, noise: Tensor) -> Path:
        """Return paths of noise added to images x (n, d), from noise (n, N, d)."""
        added = torch.cat([self.sigmas.square(), self.sigmas.new_zeros(1)]).diff().neg().sqrt()
        state = x[:, None] + (added[:, None] * noise).flip(1).cumsum(1).flip(1)
        levels = torch.arange(len(self.sigmas), device=x.device).expand(len(x), -1)
        denoised = self.denoise(state.flatten(0, 1), levels.flatten()).view_as(state)
        rows = y.repeat_interleave(len(self.sigmas) - 1, 0)
        shift = self.shift(denoised[:, :-1].flatten(0, 1), levels[:, :-1].flatten(), rows)
        return Path(state, denoised, shift.view_as(state[:, :-1]))

    def imbalance(self, path: Path, y: Tensor) -> Tensor:
        """Return log density of the corrected chain less that of the prior's, less the log likelihood, (n,)."""
        before, denoised = path.state[:, :-1], path.denoised[:, :-1]
        levels = torch.arange(len(self.kept), device=y.device).repeat(len(before))
        x, x_0, shift = (part.flatten(0, 1) for part in (before, denoised, path.shift))
        seen = self.seen(y).repeat_interleave(len(self.kept), 0)
        moved = self.control(x, x_0, shift, levels, seen).view_as(before)
        mean = torch.lerp(denoised, before, self.kept[:, None])
        drawn = (path.state[:, 1:] - mean) / self.std[:, None]
        log_ratio = (moved * drawn - moved.square() / 2).sum((1, 2))
        images = path.denoised[:, -1].unflatten(1, self.prior.shape)
        return log_ratio - self.problem.log_likelihood(images, y).detach()


def build(method: RTB, prior: Prior, problem: Problem, of_x: Moments, of_y: Moments) -> Chain:
    """Return a chain whose network is yet to be initialised or loaded, on the device of the moments."""
    std, dim = of_x[1], math.prod(prior.shape)
    low, high = prior.sigma_range
    # the ends are cut to the prior's range, not the levels: two equal ones would be a step without noise
    ends = max(low, method.sigma_min), min(high, method.sigma_max)
    sigmas = karras_sigmas(method.num_steps, *ends, std.dtype)[:-1].to(std.device)
    guided = method.drift == "guided" and Cap.GRAD in problem.caps
    with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when made
        net = Correction(
            method.num_steps - 1, dim, 3 * dim + len(of_y[0]), method.width, method.num_layers
        )
    return Chain(prior, problem, net.to(std.device), sigmas, of_x, of_y, guided)
