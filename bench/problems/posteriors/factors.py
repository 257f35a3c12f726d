"""The exact posterior of a mixture of factor analysers under a linear operator, without covariances of all pixels."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import PerSample, Problem, Random
from bench.problems.posteriors.blocks import Blocks
from bench.problems.posteriors.conditioning import Conditioned, Gram, Hidden
from bench.problems.posteriors.instrument import FactorMixture, Instrument
from bench.problems.posteriors.posterior import perplexity_of, streams_of

T = TypeVar("T")
MOST_VALUES = 2**26  # in the factorisations that are kept, and as many in instruments: 512 MB each
WAYS = {"hidden": Hidden, "gram": Gram, "blocks": Blocks}
MOST_ROWS = 6144  # of a matrix that is factorised for each component: seconds and 300 MB
LEAST_WEIGHT = 1e-14  # of components that enter moments: a smaller one is lost in rounding


class Evidence(NamedTuple):
    """The evidence of one measurement: log w_k p(y; k) (K,) without factors of 2 pi, and its number of values."""

    log_joint: Tensor
    num_seen: int


@dataclass
class Kept(Generic[T]):
    """A cache of the latest results by name, which have at most `most` values together."""

    most: int
    results: OrderedDict[str, tuple[T, int]] = field(default_factory=OrderedDict)

    def get(self, name: str, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return the result of that name, which is made and kept where it is missing; size: its number of values."""
        if name not in self.results:
            made = make()
            self.results[name] = made, size(made)
            while len(self.results) > 1 and sum(n for _, n in self.results.values()) > self.most:
                self.results.popitem(last=False)
        self.results.move_to_end(name)
        return self.results[name][0]


@dataclass(frozen=True, eq=False)
class FactorConjugate:
    """Mixture of factor analysers, linear operator, Gaussian noise: the posterior is a Gaussian mixture again.

    The factorisation for a component is shared by all measurements with the same operator and mask, and kept within
    MOST_VALUES; weights and moments of a measurement are computed once. A draw is a draw from the prior, plus the shift
    of the posterior mean for the difference between y and a measurement of that draw (Matheron's rule). All in float64.
    """

    prior: FactorMixture
    problem: Problem

    kind: ClassVar[str] = "closed form"
    perplexity_of: ClassVar[str | None] = "components"
    offered: ClassVar[bool] = True

    @cached_property
    def refusal(self) -> str:
        """Return why the factorisations for a measurement are too large for this posterior; "" where they are not."""
        if math.prod(self.prior.shape) <= MOST_ROWS:
            return ""
        x = self._means[:1]
        y = self.problem.simulate(x, Rng(("size of factorisations",), (0,)))
        rows = Instrument.of(self._mixture, self.problem, y).size
        if rows <= MOST_ROWS:
            return ""
        return (
            f"a posterior of {' x '.join(map(str, self.prior.shape))} images would take a factorisation of {rows} x "
            f"{rows} numbers for each component, {MOST_ROWS} at most are affordable: take smaller images, or the prior "
            "`atoms`"
        )

    def weights(self, y: Tensor) -> Tensor:
        """Return the posterior weights of the components, (m, K) float64."""
        return torch.stack([known.log_joint for known in self._known(y)]).softmax(1)

    def log_z(self, y: Tensor) -> Tensor:
        known, log_sigma = self._known(y), math.log(self.problem.sigma_y)
        values = [each.log_joint.logsumexp(0) + each.num_seen * log_sigma for each in known]
        return torch.stack(values).to(y)

    def perplexity(self, y: Tensor) -> Tensor:
        return perplexity_of(self.weights(y)).to(y)

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        streams_of(rng, num_samples)
        rows = zip(y.double().split(1), self.weights(y), strict=True)
        draws = [
            self._draws(row, weights, rng.only(i).per_sample)
            for i, (row, weights) in enumerate(rows)
        ]
        return torch.cat(draws).to(y)

    def moments(self, y: Tensor) -> tuple[Tensor, Tensor]:
        for group in self._new(y, self._moments):
            found = self._moments_of(group)
            self._moments.update(zip(map(_name, group), zip(*found, strict=True), strict=True))
        mean, std = zip(*(self._moments[_name(row)] for row in y.double()), strict=True)
        return torch.stack(mean).to(y), torch.stack(std).to(y)

    def _known(self, y: Tensor) -> list[Evidence]:
        """Return the evidence of measurements y (m, *y), computed for those that are new."""
        for group in self._new(y, self._evidence):
            log_joint = torch.stack(
                [
                    weight.log() + self._condition(group, k).log_evidence(self._residual(group, k))
                    for k, weight in enumerate(self._mixture.weights)
                ],
                1,
            )
            num_seen = self._instrument(group).num_seen
            for row, log_joint_of_row in zip(group, log_joint, strict=True):
                self._evidence[_name(row)] = Evidence(log_joint_of_row, num_seen)
        return [self._evidence[_name(row)] for row in y.double()]

    def _moments_of(self, group: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and std (n, *x) of measurements y (n, *y) with one instrument."""
        weights = self.weights(group)
        mean, square = group.new_zeros(2, len(group), *self.prior.shape)
        for k in (weights > LEAST_WEIGHT).any(0).nonzero()[:, 0].tolist():
            rows = (weights[:, k] > LEAST_WEIGHT).nonzero()[:, 0]
            condition, share = self._condition(group, k), weights[rows, k].view(-1, 1, 1, 1)
            residual = self._residual(group[rows], k)
            centre = self._means[k] + condition.shift(residual)
            mean[rows] += share * centre
            square[rows] += share * (condition.variances() + centre.square())
        return mean, (square - mean.square()).clamp_min(0).sqrt()

    def _draws(self, y: Tensor, weights: Tensor, streams: PerSample) -> Tensor:
        """Return draws for one measurement y (1, *y) by its weights (K,), (1, s, *x)."""
        mixture, problem = self._mixture, self.problem
        clean = problem.operator.measured_shape(self.prior.shape)
        _, size, rank = mixture.factors.shape
        uniform = streams.rand(())[0].double()
        pick = torch.searchsorted(weights.cumsum(0), uniform).clamp_max(len(weights) - 1)
        noise = streams.randn((rank + size + math.prod(clean),))[0].double()
        x = noise.new_empty(len(noise), *self.prior.shape)
        seen = self._instrument(y).seen.view(clean)
        for k in pick.unique().tolist():
            rows = (pick == k).nonzero()[:, 0]
            common, own, of_y = noise[rows].split([rank, size, math.prod(clean)], 1)
            u = mixture.centres[k] + common @ mixture.factors[k].T + own * mixture.psi[k].sqrt()
            drawn = mixture.images(u)
            missing = problem.residual(drawn, y.expand(len(rows), *y.shape[1:]))
            missing = missing - problem.sigma_y * seen * of_y.unflatten(1, clean)
            x[rows] = drawn + self._condition(y, k).shift(missing)
        return x[None]

    def _residual(self, y: Tensor, k: int) -> Tensor:
        """Return y - A mu_k, (n, *clean)."""
        return self.problem.residual(self._means[k].expand(len(y), *self.prior.shape), y)

    def _condition(self, y: Tensor, k: int) -> Conditioned:
        """Return component k under the instrument of measurements y (n, *y), which have it in common."""
        return self._conditions.get(
            f"{self._side(y[0])}/{k}",
            lambda: condition(self._instrument(y), k),
            lambda made: made.num_values,
        )

    def _instrument(self, y: Tensor) -> Instrument:
        return self._instruments.get(
            self._side(y[0]),
            lambda: Instrument.of(self._mixture, self.problem, y[:1]),
            lambda made: made.num_values,
        )

    def _new(self, y: Tensor, known: dict[str, T]) -> list[Tensor]:
        """Return the measurements that are not in `known`, as float64, one tensor for each instrument."""
        groups: dict[str, dict[str, Tensor]] = {}
        for row in y.double():
            if _name(row) not in known:
                groups.setdefault(self._side(row), {})[_name(row)] = row
        return [torch.stack(list(rows.values())) for rows in groups.values()]

    def _side(self, row: Tensor) -> str:
        """Return a name for what distinguishes the instrument of y (*y): its mask, packed after the values."""
        num_channels = self.problem.operator.measured_shape(self.prior.shape)[0]
        return _name(row[num_channels:])

    @cached_property
    def _mixture(self) -> FactorMixture:
        return self.prior.to(self.prior.weights.double())

    @cached_property
    def _means(self) -> Tensor:
        return self._mixture.images(self._mixture.centres)

    @cached_property
    def _evidence(self) -> dict[str, Evidence]:
        return {}

    @cached_property
    def _moments(self) -> dict[str, tuple[Tensor, Tensor]]:
        return {}

    @cached_property
    def _conditions(self) -> Kept[Conditioned]:
        return Kept(MOST_VALUES)

    @cached_property
    def _instruments(self) -> Kept[Instrument]:
        return Kept(MOST_VALUES)


def condition(on: Instrument, k: int) -> Conditioned:
    """Return component k under an instrument."""
    return WAYS[on.way].of(on, k)


def _name(values: Tensor) -> str:
    return hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest()
