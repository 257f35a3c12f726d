"""Particles carried from the prior to the posterior through tempered likelihoods, all measurements in one batch.

Del Moral, Doucet & Jasra 2006, https://doi.org/10.1111/j.1467-9868.2006.00553.x, with Hamiltonian moves as Buchholz,
Chopin & Jacob 2021, https://arxiv.org/abs/1808.07730
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.types import Problem, Random
from bench.numerics import diagnostics as chains
from bench.numerics import mcmc, smc
from bench.numerics.tempering import Numbers, Tempered, hmc_move, root_of_metric

MAX_TEMPERATURES = 200
NUM_DIRECTIONS = 8  # principal directions of the draws, along which convergence is judged
RESOLUTION = 1e-4  # data units: values that differ by less are ties
FIRST_STEP = 0.3
# rows through the network at once: more are no faster, and take more memory
CPU_ROWS, GPU_ROWS = 256, 2**14

# positions (k, n, D), measurements (k, *y) -> the state there
Model = Callable[[Tensor, Tensor], Tempered]


@dataclass(frozen=True)
class Particles:
    """One run: n particles after each of its last T moves, images (n, T, *x) and log likelihoods (n, T), shuffled.

    ancestor (n,): which of the draws from the prior a particle descends from.
    """

    x: Tensor
    log_likelihood: Tensor
    ancestor: Tensor

    def draws(self, num_samples: int) -> Tensor:
        """Return (num_samples, *x): all particles after the last move, then after the one before it, and so on."""
        return self.x.transpose(0, 1).flip(0).flatten(0, 1)[:num_samples]


class Cloud(NamedTuple):
    """Particles of k measurements on the way from the prior to the posterior.

    rows (k,): numbers of the measurements. y: (k, *y). streams, state: of their particles. ancestor: (k, n), as in
    `Particles`. beta (k,): powers of the likelihood. step (k,): of the moves.
    """

    rows: Tensor
    y: Tensor
    streams: list[Random]
    state: Tempered
    ancestor: Tensor
    beta: Tensor
    step: Tensor

    def of(self, which: Tensor) -> Cloud:
        """Return the particles of the measurements in a mask (k,)."""
        streams = [rng for rng, chosen in zip(self.streams, which.tolist(), strict=True) if chosen]
        parts = (self.rows, self.y, self.ancestor, self.beta, self.step)
        index, y, ancestor, beta, step = (part[which] for part in parts)
        return Cloud(index, y, streams, self.state.of(which), ancestor, beta, step)

    def resampled(self, ess_share: float) -> Cloud:
        """Return the particles at the next powers, resampled by weight; never copied across measurements."""
        likelihood = possible(self.state.log_likelihood)
        beta = smc.next_temperature(likelihood, self.beta, ess_share)
        weights = ((beta - self.beta)[:, None] * likelihood).softmax(1)
        uniform = torch.cat([rng.rand(()) for rng in self.streams])
        index = smc.systematic_resample(weights, uniform)
        state, ancestor = self.state.gather(index), self.ancestor.gather(1, index)
        return self._replace(state=state, ancestor=ancestor, beta=beta)

    def moved(self, model: Model, num_leapfrog: int) -> Cloud:
        """Return the particles after one move, with steps adapted to its acceptance."""
        root = root_of_metric(self.state.position, self.state.gradient(self.beta).nan_to_num(0))
        numbers = Numbers(*self._numbers())
        state, acceptance = hmc_move(
            self.state,
            lambda position: model(position, self.y),
            self.beta,
            self.step,
            root,
            num_leapfrog,
            numbers,
        )
        goal = mcmc.HMC_ACCEPTANCE
        step = mcmc.adapted_step(self.step, acceptance.mean(1), rate=1.0, goal=goal)
        return self._replace(state=state, step=step)

    def _numbers(self) -> Iterator[Tensor]:
        _, n, dim = self.state.position.shape
        yield torch.cat([rng.randn((n, dim)) for rng in self.streams])
        for _ in ("jitter", "decision"):
            yield torch.cat([rng.rand((n,)) for rng in self.streams])


@dataclass(frozen=True)
class Schedule:
    """How particles are carried.

    num_moves: at each power. num_leapfrog: steps of a move. num_final_moves: at the posterior; the particles are kept
    after the last num_kept of them. ess_share: effective sample size that the next power keeps, as a share.
    """

    num_moves: int
    num_leapfrog: int
    num_final_moves: int
    num_kept: int
    ess_share: float

    def carry(self, model: Model, cloud: Cloud) -> list[Cloud]:
        """Return the particles of all measurements after each of the kept moves, with measurements in any order.

        Measurements whose particles reach the posterior leave the batch; those whose particles cannot are left out.
        """
        arrived = [cloud.of(cloud.beta > 1)]  # none
        for done in range(MAX_TEMPERATURES):
            if not len(cloud.rows):
                break
            cloud = cloud.resampled(self.ess_share) if done else cloud
            for _ in range(self.num_moves):
                cloud = cloud.moved(model, self.num_leapfrog)
            arrived.append(cloud.of(cloud.beta == 1))
            cloud = cloud.of(
                (cloud.beta < 1) & possible(cloud.state.log_likelihood).isfinite().any(1)
            )
        return self._final(model, joined(arrived))

    def _final(self, model: Model, cloud: Cloud) -> list[Cloud]:
        states = [cloud]
        for _ in range(self.num_final_moves if len(cloud.rows) else 0):
            states.append(states[-1].moved(model, self.num_leapfrog))
        return states[-self.num_kept :]


def begin(
    model: Model,
    bank: Tensor,
    surveyed: tuple[Tensor, Tensor],
    y: Tensor,
    rng: Random,
    n: int,
) -> Cloud:
    """Return n draws of the bank for each measurement, at the first power.

    bank: positions (B, D) drawn from the prior. surveyed: what `survey` returns for them. The draws are weighted by the
    power of the likelihood at which they are worth n draws: one large bank, evaluated once, replaces the first
    temperatures of all measurements. They are resampled in the order of their place along a leading direction, so that
    the particles are spread along it as the weights are (Gerber, Chopin & Whiteley 2019,
    https://arxiv.org/abs/1708.09739). Measurements under which no draw is possible are left out.
    """
    log_likelihood, place = surveyed
    order = place.argsort()
    likelihood = possible(log_likelihood)[:, order]
    rows = likelihood.isfinite().any(1).nonzero().flatten()
    streams, likelihood, y = [rng.only(int(i)) for i in rows], likelihood[rows], y[rows]
    zero = likelihood.new_zeros(len(rows))
    beta = smc.next_temperature(likelihood, zero, min(1.0, n / len(bank)))
    weights = (beta[:, None] * likelihood).softmax(1)
    uniform = torch.cat([zero[:0], *[stream.rand(()) for stream in streams]])
    ancestor = order[smc.systematic_resample(weights, uniform, n)]
    position = bank[ancestor]
    state = model(position, y) if len(rows) else Tempered(position, zero, zero, position, position)
    return Cloud(rows, y, streams, state, ancestor, beta, zero + FIRST_STEP)


def leading_direction(x: Tensor) -> Tensor:
    """Return an approximate first principal direction (D,) of rows x (B, D), from the first few hundred of them."""
    few = x[:CPU_ROWS] - x[:CPU_ROWS].mean(0)
    return few.T @ torch.linalg.eigh(few @ few.T).eigenvectors[:, -1]


def survey(
    problem: Problem, images: Callable[[Tensor], Tensor], bank: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return log likelihoods (m, B) of a bank (B, D), and where its images lie along their leading direction, (B,)."""
    likelihoods, places, direction = [], [], None
    for part in pieces(1, len(bank), bank.device):
        x = images(bank[part])
        direction = leading_direction(x.flatten(1)) if direction is None else direction
        places.append(x.flatten(1) @ direction)
        rows = [problem.log_likelihood(x, one.expand(len(x), *one.shape)) for one in y]
        likelihoods.append(torch.stack(rows))
    return torch.cat(likelihoods, 1), torch.cat(places)


def joined(clouds: list[Cloud]) -> Cloud:
    """Return the particles of several batches as one."""
    streams = [rng for cloud in clouds for rng in cloud.streams]
    index, y, ancestor, beta, step = (
        torch.cat(parts)
        for parts in zip(*((c.rows, c.y, c.ancestor, c.beta, c.step) for c in clouds), strict=True)
    )
    states = zip(*(cloud.state for cloud in clouds), strict=True)
    state = Tempered(*(torch.cat(parts) for parts in states))
    return Cloud(index, y, streams, state, ancestor, beta, step)


def evaluated(
    log_likelihood: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], position: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return log likelihoods (m, n) and their gradients (m, n, D) at positions (m, n, D), some rows at a time.

    log_likelihood: positions (k, D), measurements (k, *y) -> (k,), (k, D). On a CPU a piece holds rows of one
    measurement, so that its rounding does not depend on the others.
    """
    m, n, _ = position.shape
    rows, repeated = position.flatten(0, 1), y.repeat_interleave(n, 0)
    found = [log_likelihood(rows[part], repeated[part]) for part in pieces(m, n, rows.device)]
    values, gradients = zip(*found, strict=True)
    return torch.cat(values).view(m, n), torch.cat(gradients).view_as(position)


def pieces(m: int, n: int, device: torch.device) -> list[slice]:
    """Return the rows that are evaluated at once, of m measurements with n rows each."""
    if device.type != "cpu":
        return [slice(i, i + GPU_ROWS) for i in range(0, m * n, GPU_ROWS)]
    return [
        slice(start + i, min(start + i + CPU_ROWS, start + n))
        for start in range(0, m * n, n)
        for i in range(0, n, CPU_ROWS)
    ]


def possible(log_likelihood: Tensor) -> Tensor:
    """Return log likelihoods with NaN replaced by -inf, impossible."""
    return log_likelihood.nan_to_num(nan=-torch.inf, neginf=-torch.inf)


def particles_of(
    clouds: list[Cloud], images: Callable[[Tensor], Tensor], m: int, shape: tuple[int, ...]
) -> list[Particles]:
    """Return the particles of m measurements, in order; NaN, which is never admitted, for measurements left out.

    clouds: as `Schedule.carry` returns them. images: positions (k, D) -> (k, *x). shape: of one image.
    """
    last = clouds[-1]
    n, num_kept = last.ancestor.shape[1], len(clouds)
    nothing = last.y.new_full((n, num_kept), torch.nan)
    ancestor = torch.zeros(n, dtype=torch.long, device=last.y.device)
    empty = Particles(
        nothing.view(n, num_kept, *[1] * len(shape)).expand(-1, -1, *shape), nothing, ancestor
    )
    found = [empty] * m
    for k, i in enumerate(last.rows.tolist()):
        order = last.streams[k].rand((n,)).flatten().argsort()
        x = [images(cloud.state.position[k, order]) for cloud in clouds]
        likelihood = [possible(cloud.state.log_likelihood[k, order]) for cloud in clouds]
        found[i] = Particles(torch.stack(x, 1), torch.stack(likelihood, 1), last.ancestor[k, order])
    return found


def convergence(a: Particles, b: Particles) -> dict[str, float]:
    """Return the largest R-hat between two runs and their smallest joint effective sample size.

    Both are taken over the log likelihood and the images along their leading principal directions, as normal scores of
    ranks. Images are used, since they are what is compared, and not z, where a decoder may have symmetries.
    """
    x = torch.stack([a.x, b.x]).flatten(3).nan_to_num(0, 0, 0)  # (2, n, T, D)
    likelihood = torch.stack([a.log_likelihood, b.log_likelihood]).nan_to_num()
    centred = x - x.flatten(0, 2).mean(0)
    directions = torch.linalg.eigh(centred.flatten(0, 2).T @ centred.flatten(0, 2)).eigenvectors[
        :, -NUM_DIRECTIONS:
    ]
    projections = ((centred @ directions) / RESOLUTION).round().movedim(-1, 0)
    values = torch.cat([likelihood[None], projections])  # (F, 2, n, T)
    scores = chains.rank_normalise(values.flatten(1, 2)).view_as(values)
    sizes = [
        chains.clustered_effective_sample_size(scores[:, k], particles.ancestor)
        for k, particles in enumerate((a, b))
    ]
    return {
        "rhat": chains.nested_rhat(scores).max().item(),
        "ess": (sizes[0] + sizes[1]).min().item(),
    }
