"""The checks that every metric passes: columns, goal, direction, independence of measurements.

The measurements are of N(0, 0.25) pixels seen under noise, so that the posterior is a Gaussian in closed form. The
"perfect" samples are draws of it; the others are collapsed, too wide, off, or those of another posterior.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor

from bench.conformance.checks import Check, require
from bench.conformance.plugin import PLUGIN_CHECKS, PluginCase
from bench.core import registry
from bench.core.metric import Column, Context, Likelihood, Metric, Truth
from bench.core.rng import stream
from bench.core.types import Cap
from bench.metrics._evaluation import Evaluation, open_metric

M, S, E, SHAPE, SIGMA_Y = 48, 32, 128, (1, 8, 8), 0.5
PRIOR_VARIANCE = 0.25
VARIANCE = 1 / (1 / PRIOR_VARIANCE + 1 / SIGMA_Y**2)  # of the posterior
SCALE = VARIANCE / SIGMA_Y**2  # its mean is SCALE y
NUM_CHAINS, NUM_REAL = 4, 300
STANDARD_ERRORS, BIAS = (
    5,
    0.02,
)  # deviations by chance stay below; the bias of a square root does, too
BIAS_OF_CHAINS = 0.2  # of a maximum over several statistics of chains with eight states
Values = dict[str, dict[str, Tensor]]  # by sampler, by column


@dataclass(frozen=True)
class Denoising:
    """The problem y = x + sigma_y n with x ~ N(0, PRIOR_VARIANCE)."""

    caps: Cap = Cap.RESIDUAL | Cap.LINEAR | Cap.GRAD
    sigma_y: float = SIGMA_Y

    @staticmethod
    def operator(x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the upper half of the image: the lower half is the null space that `NullSpace` needs."""
        return x[..., : SHAPE[1] // 2, :]

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(y | x) up to a constant."""
        return (y - x).square().flatten(1).sum(1) / (-2 * self.sigma_y**2)

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        """Return y - x."""
        return y - x

    def num_measured_values(self, y: Tensor) -> Tensor:
        """Return the number of values, (m,)."""
        return torch.full((len(y),), y[0].numel(), dtype=y.dtype)


@dataclass(frozen=True)
class RewardedDenoising(Denoising):
    """The same posterior from a reward; its features are the first rows of an image."""

    caps: Cap = Cap.GRAD

    def log_reward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log likelihood."""
        return self.log_likelihood(x, y)

    def features(self, x: Tensor) -> Tensor:
        """Return the first row of pixels."""
        return x[:, 0, 0]

    def real_features(self, y: Tensor) -> SimpleNamespace:
        """Return the moments of the features of the posterior."""
        mean, width = SCALE * y[:, 0, 0], y.shape[-1]
        covariance = (VARIANCE * torch.eye(width, dtype=y.dtype)).expand(len(y), width, width)
        return SimpleNamespace(mean=mean, covariance=covariance, floor=torch.ones_like(mean[:, 0]))


class Pixels:
    """A classifier without weights: activations and features of images are their pixels."""

    def activations(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return one map of two channels, (n, 2, h, w)."""
        return (torch.cat([x + 2, 1 - x], 1),)

    def features(self, x: Tensor) -> Tensor:
        """Return averages over blocks of 4 x 4 pixels, (n, 4)."""
        return torch.nn.functional.avg_pool2d(x, 4).flatten(1)


def normal(name: str, *shape: int) -> Tensor:
    """Return fixed standard normal numbers, float64."""
    return torch.from_numpy(stream("conformance", name).standard_normal(shape))


def images() -> dict[str, Tensor]:
    """Return images of the prior, as a data set has them."""
    spread = math.sqrt(PRIOR_VARIANCE)
    counts = {"train": 3 * NUM_REAL, "test": NUM_REAL, "validation": NUM_REAL}
    return {part: spread * normal(part, num, *SHAPE).float() for part, num in counts.items()}


def truth(rewarded: bool = False) -> Truth:
    """Return M measurements, with everything that a metric may need."""
    x_true = math.sqrt(PRIOR_VARIANCE) * normal("x_true", M, *SHAPE)
    y = x_true + SIGMA_Y * normal("noise", M, *SHAPE)
    mean, std = SCALE * y, torch.full_like(y, math.sqrt(VARIANCE))
    draws = mean[:, None] + math.sqrt(VARIANCE) * normal("reference", M, E, *SHAPE)
    context = Context("digits", SHAPE, M, S, lambda name: Pixels(), images)
    problem = cast(Likelihood, RewardedDenoising() if rewarded else Denoising())
    own = Truth(problem, x_true, y, draws, mean, std, context)
    return dataclasses.replace(
        own, teacher=own, score=lambda x, y: -(x - SCALE * y) / VARIANCE, num_chains=NUM_CHAINS
    )


def samplers(known: Truth) -> dict[str, Tensor]:
    """Return samples (M, S, *x) of a perfect sampler and of flawed ones."""
    mean, noise = known.mean[:, None], math.sqrt(VARIANCE) * normal("samples", M, S, *SHAPE)
    perfect = mean + noise
    simplex = torch.linalg.qr(normal("simplex", M, math.prod(SHAPE), S)).Q.mT.unflatten(2, SHAPE)
    steps = normal("steps", M, S // NUM_CHAINS, NUM_CHAINS, *SHAPE).cumsum(1).flatten(1, 2)
    return {
        "perfect": perfect,
        "collapsed": mean + 0.05 * noise,
        "wide": mean + 2 * noise,
        "off": perfect + 1.0,
        "unrelated": math.sqrt(PRIOR_VARIANCE) * normal("unrelated", M, S, *SHAPE) - mean,
        "equidistant": mean + math.sqrt(VARIANCE * math.prod(SHAPE)) * simplex,
        "walking": mean + 0.3 * steps,  # chains that do not mix
    }


@dataclass(frozen=True)
class Results:
    """The values of a metric for each sampler on one task. kind: "an operator" or "a reward"."""

    kind: str
    known: Truth
    evaluation: Evaluation
    values: Values

    @property
    def expected(self) -> list[Column]:
        """Return the columns that must have a value."""
        unmet, why_empty = self.evaluation.unmet, self.evaluation.why_empty
        return [
            c for c in self.evaluation.columns if not unmet.get(c.needs) and c.id not in why_empty
        ]

    @property
    def expected_of_measurements(self) -> list[Column]:
        """Return those of the expected columns that have a value for each measurement."""
        return [column for column in self.expected if column.extent == "measurement"]


@dataclass(frozen=True)
class MetricCase(PluginCase):
    """A metric's file, and its values on a task with an operator and on one with a reward."""

    @cached_property
    def results(self) -> list[Results]:
        return [results_of(self.instance, rewarded) for rewarded in (False, True)]


def results_of(metric: Metric, rewarded: bool) -> Results:
    """Return a metric's values for each sampler on the task with an operator, or on that with a reward."""
    known = truth(rewarded)
    operator, reward = ("n/a (reward)", "") if rewarded else ("", "n/a (operator)")
    unmet = {"operator": operator, "reward": reward, "reference": "", "teacher": "", "score": ""}
    evaluation = Evaluation((metric,), known.context, [known], unmet)
    metric.prepare(known.context)
    values = {name: evaluation.values(x, NUM_CHAINS) for name, x in samplers(known).items()}
    return Results("a reward" if rewarded else "an operator", known, evaluation, values)


def column_faults(results: Results) -> Iterator[str]:
    """Yield faults of names and definitions."""
    ids = [column.id for column in results.evaluation.columns]
    if not ids:
        yield "there are no columns, expected one or more"
    for column in results.evaluation.columns:
        if ids.count(column.id) > 1:
            yield f"{column.id}: given twice"
        if not column.definition or "\n" in column.definition:
            yield f"{column.id}: definition: expected one line of text"
    for name in registry.names("metric"):
        other = registry.load("metric", name)
        if other.__qualname__ != type(results.evaluation.metrics[0]).__qualname__:
            columns = open_metric(name, other.tiny).columns(results.known.context)
            for id in {column.id for column in columns} & set(ids):
                yield f"{id}: is a column of the metric {name}, too"


def computed_faults(results: Results) -> Iterator[str]:
    """Yield columns without a value, and what breaks a rule of what metrics return."""
    evaluation, x = results.evaluation, samplers(results.known)["perfect"]
    values = evaluation.values(x, NUM_CHAINS)
    numbers = evaluation.of_task(x.float(), values, NUM_CHAINS) | evaluation.of_real_images()
    yield from (f"{id}: {reason}" for id, reason in evaluation.raised.items())
    for column in results.expected:
        value = values.get(column.id)
        if column.extent != "measurement":
            if column.id not in numbers:
                yield f"{column.id}: has no number for the {column.extent}"
        elif value is None:
            yield f"{column.id}: has no value on a task with {results.kind}"
        elif column.id in evaluation.raised:
            continue
        elif not value.isfinite().all() and not column.not_finite:
            yield f"{column.id}: is not finite for a perfect sampler, and has no reason `not_finite`"


def batch_faults(results: Results) -> Iterator[str]:
    """Yield columns whose value for a measurement depends on the others."""
    x, together = samplers(results.known)["perfect"], results.values["perfect"]
    for i in (0, M - 1):
        one = dataclasses.replace(results.evaluation, truths=[only(results.known, i)])
        for id, value in one.values(x[i : i + 1], NUM_CHAINS).items():
            if not torch.allclose(
                value, together[id][i : i + 1], rtol=1e-5, atol=1e-7, equal_nan=True
            ):
                yield f"{id}: measurement {i} alone gives {value.item():.6g}, with others {together[id][i].item():.6g}"


def only(known: Truth, i: int) -> Truth:
    """Return `known` with measurement i alone."""
    parts = {
        name: getattr(known, name)[i : i + 1]
        for name in ("x_true", "y", "reference", "mean", "std")
    }
    teacher = only(known.teacher, i) if known.teacher else None
    return dataclasses.replace(known, **parts, teacher=teacher, cache={})


def goal_faults(results: Results) -> Iterator[str]:
    """Yield columns of measurements that miss their goal for a perfect sampler."""
    for column in results.expected_of_measurements:
        if isinstance(column.better, float | int):
            x = results.values["perfect"][column.id]
            bias = BIAS_OF_CHAINS if column.needs == "chain" else BIAS
            mean, error = x.mean().item(), STANDARD_ERRORS * (x.std() / math.sqrt(M)).item()
            tolerance = error + bias * max(1, abs(column.better))
            if abs(mean - column.better) > tolerance:
                yield f"{column.id}: {mean:.4g} for a perfect sampler, expected {column.better} +- {tolerance:.2g}"


def orientation_faults(results: Results) -> Iterator[str]:
    """Yield columns that rate no flawed sampler worse than the perfect one, or that rate the shifted one better.

    Only the shifted sampler ("off") can serve for the second: a collapsed one repeats the mean of the posterior, which
    is closer to x_true than a draw is, and a wide one has the larger spread.
    """
    for column in results.expected_of_measurements:
        if column.better is None:
            continue
        compared = {
            name: of_all[column.id] if column.average == "arithmetic" else 1 / of_all[column.id]
            for name, of_all in results.values.items()
        }
        better = column.better if column.average == "arithmetic" else "lower"
        perfect, off = compared["perfect"], compared["off"]
        flawed = [values for name, values in compared.items() if name != "perfect"]
        of_real_images_alone = len(perfect.unique()) == 1 and all(
            torch.equal(x, perfect) for x in flawed
        )
        if of_real_images_alone or not perfect.isfinite().all():
            continue
        if not any(is_worse(x, perfect, better) for x in flawed):
            yield f"{column.id}: better = {column.better!r}, but no flawed sampler is worse than a perfect one"
        if column.needs and is_worse(perfect, off, better):
            yield f"{column.id}: better = {column.better!r}, but samples that are off are better than perfect ones"


def is_worse(values: Tensor, perfect: Tensor, better: str | float) -> bool:
    """Return whether values (M,) are worse than those of a perfect sampler beyond chance, or not finite."""
    if not values.isfinite().all():
        return True
    if isinstance(better, str):
        loss = (perfect - values) * (1 if better == "higher" else -1)
    else:
        loss = (values - better).abs() - (perfect - better).abs()
    return loss.mean().item() > STANDARD_ERRORS * (loss.std() / math.sqrt(M)).item()


def refuse(faults: Callable[[Results], Iterator[str]]) -> Callable[[MetricCase], str]:
    """Return a check that raises Refused with the faults on both tasks."""

    def run(case: MetricCase) -> str:
        lines = list(dict.fromkeys(line for results in case.results for line in faults(results)))
        require(not lines, "; ".join(lines))
        return ""

    return run


def is_metric(case: MetricCase) -> str:
    require(
        issubclass(case.cls, Metric), f"derive {case.cls.__name__} from bench.core.metric.Metric"
    )
    return ", ".join(column.id for column in case.results[0].evaluation.columns)


CHECKS = (
    *PLUGIN_CHECKS,
    Check("it is a Metric, and can be computed", is_metric, gate=True),
    Check("columns have names of their own and definitions", refuse(column_faults)),
    Check(
        "what is computed are the columns, with finite numbers or reasons",
        refuse(computed_faults),
        gate=True,
    ),
    Check("measurements are independent", refuse(batch_faults)),
    Check("a perfect sampler has the value that `better` says", refuse(goal_faults)),
    Check("`better` has the right direction", refuse(orientation_faults)),
)
CASE = MetricCase
