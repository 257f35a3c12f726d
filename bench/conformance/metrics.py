"""Checks that every metric passes, ours and a user's alike: `check(metric)` returns what is wrong with it, line by line.

The measurements are of N(0, 0.25) pixels seen under noise, so that the posterior is a Gaussian in closed form: "perfect"
samples are draws of it, the others are collapsed, too wide, off, or any image at all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from bench.core import registry
from bench.core.metric import Column, Context, Metric, Truth
from bench.core.rng import stream
from bench.core.types import Cap
from bench.metrics._evaluation import Evaluation, open_metric

M, S, E, SHAPE, SIGMA_Y = 48, 32, 128, (1, 8, 8), 0.5
PRIOR_VARIANCE = 0.25
VARIANCE = 1 / (1 / PRIOR_VARIANCE + 1 / SIGMA_Y**2)  # of the posterior
SCALE = VARIANCE / SIGMA_Y**2  # its mean is SCALE y
NUM_CHAINS, NUM_REAL = 4, 300
STANDARD_ERRORS, BIAS = 5, 0.02  # beyond chance; a root is biased by less
BIAS_OF_CHAINS = 0.2  # of the largest of several statistics of eight states a chain
Values = dict[str, dict[str, Tensor]]  # by sampler, by column


@dataclass(frozen=True)
class Denoising:
    """y = x + sigma_y n with x ~ N(0, PRIOR_VARIANCE)."""

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

    def num_observed(self, y: Tensor) -> Tensor:
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
    own = Truth(RewardedDenoising() if rewarded else Denoising(), x_true, y, draws, mean, std, context)
    return dataclasses.replace(own, teacher=own, score=lambda x, y: -(x - SCALE * y) / VARIANCE, num_chains=NUM_CHAINS)


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


def check(metric: Metric) -> list[str]:
    """Return the faults of a metric, one line each; [] when it passes."""
    faults: list[str] = []
    for rewarded in (False, True):
        known = truth(rewarded)
        evaluation = Evaluation((metric,), known.context, [known], unmet(rewarded))
        metric.prepare(known.context)
        values = {name: evaluation.values(x, NUM_CHAINS) for name, x in samplers(known).items()}
        of_columns = list(column_faults(evaluation, values["perfect"], rewarded))
        faults += of_columns
        if of_columns:
            continue
        faults += batch_faults(evaluation, known, values["perfect"])
        faults += value_faults(evaluation, values)
        faults += orientation_faults(evaluation, values)
    return list(dict.fromkeys(faults))


def unmet(rewarded: bool) -> dict[str, str]:
    """Return the reasons by need on the task with an operator, or on that with a reward."""
    operator, reward = ("n/a (reward)", "") if rewarded else ("", "n/a (operator)")
    return {"operator": operator, "reward": reward, "reference": "", "teacher": "", "score": ""}


def expected(evaluation: Evaluation) -> Iterator[Column]:
    """Yield the columns of measurements and of the task that must have a value."""
    for column in evaluation.columns:
        met = column.needs in ("", "chain") or not evaluation.unmet[column.needs]
        if met and column.id not in evaluation.why_empty:
            yield column


def column_faults(evaluation: Evaluation, values: Mapping[str, Tensor], rewarded: bool) -> Iterator[str]:
    """Yield faults of names, definitions and what is computed for them."""
    ids = [column.id for column in evaluation.columns]
    if not ids:
        yield "columns: none; expected one or more"
    for column in evaluation.columns:
        if ids.count(column.id) > 1:
            yield f"{column.id}: given twice"
        if not column.definition or "\n" in column.definition:
            yield f"{column.id}: definition: expected one line of text"
    for id in values:
        if id not in ids:
            yield f"{id}: is computed, but not among the columns"
    x = samplers(evaluation.truths[0])["perfect"].float()
    numbers = evaluation.of_task(x, values, NUM_CHAINS) | evaluation.of_real_images()
    for column in expected(evaluation):
        if column.extent == "measurement":
            if column.id not in values:
                yield f"{column.id}: has no value on a task with {'a reward' if rewarded else 'an operator'}"
            elif values[column.id].shape != (M,):
                yield f"{column.id}: expected a value for each measurement, ({M},), got {tuple(values[column.id].shape)}"
            elif not values[column.id].isfinite().all() and not column.not_finite:
                yield f"{column.id}: is not finite for a perfect sampler, and has no reason `not_finite`"
        elif column.id not in numbers:
            yield f"{column.id}: has no number for the {column.extent}"


def batch_faults(evaluation: Evaluation, known: Truth, together: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield columns whose value for a measurement depends on the others."""
    x = samplers(known)["perfect"]
    for i in (0, M - 1):
        one = dataclasses.replace(evaluation, truths=[only(known, i)])
        for id, value in one.values(x[i : i + 1], NUM_CHAINS).items():
            if not torch.allclose(value, together[id][i : i + 1], rtol=1e-5, atol=1e-7, equal_nan=True):
                yield f"{id}: measurement {i} alone gives {value.item():.6g}, with others {together[id][i].item():.6g}"


def only(known: Truth, i: int) -> Truth:
    """Return what is known of measurement i alone."""
    parts = {name: getattr(known, name)[i : i + 1] for name in ("x_true", "y", "reference", "mean", "std")}
    teacher = only(known.teacher, i) if known.teacher else None
    return dataclasses.replace(known, **parts, teacher=teacher, cache={})


def value_faults(evaluation: Evaluation, values: Values) -> Iterator[str]:
    """Yield columns of measurements that miss their goal for a perfect sampler."""
    for column in expected(evaluation):
        if column.extent == "measurement" and not isinstance(column.better, str):
            x = values["perfect"][column.id]
            bias = BIAS_OF_CHAINS if column.needs == "chain" else BIAS
            error = STANDARD_ERRORS * (x.std() / math.sqrt(M)).item() + bias * max(1, abs(column.better))
            if abs(x.mean().item() - column.better) > error:
                yield f"{column.id}: {x.mean().item():.4g} for a perfect sampler, expected {column.better} +- {error:.2g}"


def orientation_faults(evaluation: Evaluation, values: Values) -> Iterator[str]:
    """Yield columns of measurements by which no flawed sampler is worse than the perfect one, or one is better.

    Only samples that are off can be no better by any column: the mean of the posterior, of a collapsed sampler, is closer
    to x_true than a draw is, and the spread of a wide one is larger.
    """
    for column in expected(evaluation):
        if column.extent == "measurement" and values["perfect"][column.id].isfinite().all():
            flawed = [values[name][column.id] for name in values if name != "perfect"]
            perfect = values["perfect"][column.id]
            if len(perfect.unique()) == 1 and all(torch.equal(x, perfect) for x in flawed):
                continue  # it depends on real images alone
            if not any(is_worse(x, perfect, column.better) for x in flawed):
                yield f"{column.id}: better = {column.better!r}, but no flawed sampler is worse than a perfect one"
            if column.needs and is_worse(perfect, values["off"][column.id], column.better):
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


def plugins() -> list[Metric]:
    """Return every metric there is, ours and the user's, with the parameters of its class variable `tiny`."""
    return [open_metric(name, registry.load("metric", name).tiny) for name in registry.names("metric")]
