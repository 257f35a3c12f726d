"""`python -m bench.stages.reference specs/tasks/<task>.json`: two independent sets of reference draws, checked.

Where the prior learned from a teacher with an exact posterior, the file also has two sets of draws from the teacher's
posterior. Where there is no other reference, these are the reference.
"""

from __future__ import annotations

import dataclasses
import sys

import torch
from torch import Tensor

from bench.core.artefacts import read_header, write_tensors
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.rng import Rng
from bench.core.specs import TaskSpec
from bench.numerics.distances import energy_distance, mean_distance_within
from bench.problems.measurements import Measurements, read_size
from bench.problems.posteriors import (
    LatentSMC,
    NoPosterior,
    Posterior,
    TemperedSMC,
    teacher_posterior,
)
from bench.problems.posteriors.particles import Particles, convergence
from bench.problems.reference_mode import stated_cost, wanted_posterior
from bench.runtime.containment import Ending
from bench.runtime.job import run
from bench.task import Task, open_task

# energy distance of the two sets of e draws over twice the mean distance within one, less 1 / e
MAX_ENERGY_SHARE = 0.003
# distance of two means in standard errors of e independent draws each, all pixels together
MAX_SHIFT = 4.0
MAX_RHAT = 1.01  # Vehtari et al. 2021, https://arxiv.org/abs/1903.08008
MIN_ESS = (
    200.0  # gives an expectation an error of 0.07 deviations; 64 independent samples have 0.125
)
NUM_TRIES = 2  # the second with twice the particles, for measurements whose draws were not admitted
BY_PARTICLES = (TemperedSMC, LatentSMC)


@dataclasses.dataclass(frozen=True)
class Sets:
    """Two sets of draws (m, e, *x), mean and std (m, *x), and the checks of each measurement."""

    x_a: Tensor
    x_b: Tensor
    mean: Tensor
    std: Tensor
    checks: list[dict]

    def tensors(self, names: tuple[str, str, str, str]) -> dict[str, Tensor]:
        values = (self.x_a, self.x_b, self.mean, self.std)
        return {name: value.float() for name, value in zip(names, values, strict=True)}

    @property
    def reasons(self) -> list[str]:
        return [reason(check, self.x_a.shape[1]) for check in self.checks]


def main(spec_path: str) -> None:
    spec = TaskSpec.read(spec_path)
    task = open_task(spec)
    teacher = teacher_posterior(task.prior, task.problem)
    measurements, posterior = task.measured, announced(spec, task, teacher)
    counts = (spec.num_reference, spec.num_particles)
    sets = two_sets(posterior, measurements, *counts, "reference")
    header = {
        "task": spec.task,
        "kind": posterior.kind,
        "admitted": [not text for text in sets.reasons],
        "reasons": sets.reasons,
        "checks": by_name(sets.checks),
        "posterior_perplexity": perplexity(posterior, measurements.y, sets.x_a),
        "perplexity_of": posterior.perplexity_of,
        "observations_sha256": measurements.header["observations_sha256"],
        "prior_sha256": task.prior_sha256,
    }
    tensors = sets.tensors(("x_a", "x_b", "mean", "std"))
    if posterior is teacher:
        header["under"] = read_header(spec.layout.prior(spec.prior, spec.family))["teacher"]
    elif teacher is not None and not isinstance(posterior, NoPosterior):
        taught = two_sets(teacher, measurements, *counts, "teacher's reference")
        tensors |= taught.tensors(("teacher_a", "teacher_b", "teacher_mean", "teacher_std"))
        header |= {"teacher_reasons": taught.reasons, "teacher_checks": by_name(taught.checks)}
    write_tensors(
        spec.layout.task(spec.task).reference, tensors, header | {"provenance": provenance()}
    )


def announced(spec: TaskSpec, task: Task, teacher: Posterior | None) -> Posterior:
    """Return the posterior that the suite asks for, or the best one; print how long a reference by particles will take.

    teacher: the posterior under the prior from which the task's learned, the best where its own is not known.
    """
    best = task.posterior
    assert best is not None  # a task is opened with its posterior unless asked not to
    if isinstance(best, NoPosterior) and teacher is not None:
        best = teacher
    posterior = wanted_posterior(spec.reference, best, task.prior, task.problem, spec.task)
    if isinstance(posterior, BY_PARTICLES):
        cost = stated_cost(posterior, task.y, spec.num_reference, spec.num_particles)
        print(f"{spec.task}: reference draws by {posterior.kind}: {cost}", flush=True)
    return posterior


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write draws that are not admitted, and why, so that metrics without need of a reference still have numbers.

    The next run tries again unless the failure is another job's.
    """
    spec = TaskSpec.read(spec_path)
    files = spec.layout.task(spec.task)
    num, x_shape, measured = read_size(files.measurements)
    header = {"task": spec.task, "kind": "none", "posterior_perplexity": [None] * num}
    header |= {"perplexity_of": None, "checks": {}, "admitted": [False] * num}
    header |= {"reasons": [ending.reason] * num, "provenance": provenance()}
    header["observations_sha256"] = measured["observations_sha256"]
    draws = torch.full((num, spec.num_reference, *x_shape), torch.nan)
    tensors = {"x_a": draws, "x_b": draws, "mean": draws[:, 0], "std": draws[:, 0]}
    write_tensors(files.reference, tensors, header)
    note_failure(files.reference, ending.reason, not ending.is_inherited)


def two_sets(
    posterior: Posterior,
    measurements: Measurements,
    num_draws: int,
    num_particles: int | None,
    what: str,
) -> Sets:
    # moments of all measurements come first, since they compute what the draws of each measurement reuse
    moments = posterior.moments(measurements.y)
    x_a, x_b, checks = draw(posterior, measurements, num_draws, what, num_particles)
    mean, std = moments or (x_a.mean(1), x_a.std(1))
    sets = Sets(x_a, x_b, mean, std, checks)
    for i, text in enumerate(sets.reasons):
        if text:
            print(
                f"{measurements.header['task']}: {what} of measurement {i} not admitted: {text}",
                file=sys.stderr,
            )
    return sets


def perplexity(posterior: Posterior, y: Tensor, x: Tensor) -> list[float | None]:
    """Return the effective number of components or atoms in each posterior; None where the prior has neither."""
    values = posterior.perplexity(y)
    # there is no formula: estimate the weights of the components from the draws
    if values is None and isinstance(posterior, TemperedSMC):
        shares = torch.stack([posterior.prior.log_joint(draws).softmax(1).mean(0) for draws in x])
        values = torch.special.entr(shares).sum(1).exp()
    return [None] * len(y) if values is None else values.tolist()


def by_name(checks: list[dict]) -> dict[str, list]:
    return {name: [check.get(name) for check in checks] for name in checks[0]}


def draw(
    posterior: Posterior,
    measurements: Measurements,
    num_draws: int,
    what: str = "reference",
    num_particles: int | None = None,
) -> tuple[Tensor, Tensor, list[dict]]:
    """Return two sets (m, num_draws, *x) and the checks of each measurement.

    A particle reference may be tried again with more particles, unless `num_particles` is given.
    """
    if num_particles and isinstance(posterior, BY_PARTICLES):
        posterior = dataclasses.replace(posterior, num_particles=num_particles)
    is_by_particles = isinstance(posterior, BY_PARTICLES)
    pairs: dict[int, tuple[Tensor, Tensor]] = {}
    checks: dict[int, dict] = {}
    left = list(range(len(measurements.y)))
    for attempt in range(NUM_TRIES if is_by_particles and not num_particles else 1):
        # particles of all measurements are one batch; draws by formula might not fit into memory all at once
        for rows in [left] if is_by_particles else [[i] for i in left]:
            found = draw_pairs(posterior, measurements, rows, num_draws, (what, attempt))
            for i, (a, b, check) in zip(rows, found, strict=True):
                pairs[i], checks[i] = (a, b), check
        left = [i for i in left if reason(checks[i], num_draws)]
        if not left or not isinstance(posterior, BY_PARTICLES):
            break
        posterior = dataclasses.replace(posterior, num_particles=2 * posterior.size(num_draws))
    order = sorted(pairs)
    x_a, x_b = (torch.cat([pairs[i][k] for i in order]) for k in (0, 1))
    return x_a, x_b, [checks[i] for i in order]


def draw_pairs(
    sampler: Posterior,
    measurements: Measurements,
    rows: list[int],
    num_draws: int,
    axes: tuple[str, int],
) -> list[tuple[Tensor, Tensor, dict]]:
    """Return for each of the rows two sets (1, num_draws, *x) and their checks."""
    (what, attempt), y = axes, measurements.y[rows]
    ids = measurements.image_id[rows].tolist()
    streams = [
        Rng((what, measurements.header["task"], name, attempt), ids, range(num_draws))
        for name in "ab"
    ]
    if isinstance(sampler, LatentSMC):
        runs = zip(*(sampler.run(y, num_draws, rng) for rng in streams), strict=True)
        return [of_runs(a, b, num_draws) for a, b in runs]
    sets = zip(*(sampler.sample(y, num_draws, rng).split(1) for rng in streams), strict=True)
    why = {"why": sampler.why} if isinstance(sampler, NoPosterior) else {}
    return [
        (a, b, compare(a, b, sampler.moments(y[i : i + 1])) | why) for i, (a, b) in enumerate(sets)
    ]


def of_runs(a: Particles, b: Particles, num_draws: int) -> tuple[Tensor, Tensor, dict]:
    """Return the draws of two runs (1, num_draws, *x) each, and their checks."""
    x_a, x_b = (run.draws(num_draws)[None] for run in (a, b))
    check = compare(x_a, x_b, None) | convergence(a, b) | {"num_particles": len(a.ancestor)}
    return x_a, x_b, check


def compare(x_a: Tensor, x_b: Tensor, moments: tuple[Tensor, Tensor] | None) -> dict[str, float]:
    """Return how far two sets of e draws (1, e, *x) are from each other and, where there is a formula, from its mean.

    A shift is |difference of means| over its root mean square for independent draws, so about 1 for correct draws.
    """
    a, b = x_a.flatten(2), x_b.flatten(2)
    within_b, num_draws = mean_distance_within(b), a.shape[1]
    mean_variance = ((a.var(1) + b.var(1)) / 2).sum() / num_draws + 1e-12
    check = {
        "energy_share": (energy_distance(a, b, within_b) / (2 * within_b.clamp_min(1e-12))).item(),
        "shift": ((a.mean(1) - b.mean(1)).norm() / (2 * mean_variance).sqrt()).item(),
    }
    if moments is not None:
        mean = moments[0].flatten(1)
        check["shift_from_formula"] = max(
            ((x.mean(1) - mean).norm() / mean_variance.sqrt()).item() for x in (a, b)
        )
    return check


def reason(check: dict, num_draws: int) -> str:
    """Return why draws are not admitted, or "". Draws from a formula are exact; their shifts are only recorded."""
    if "why" in check or "shift_from_formula" in check:
        return check.get("why", "")
    most = {"energy_share": MAX_ENERGY_SHARE + 1 / num_draws, "shift": MAX_SHIFT, "rhat": MAX_RHAT}
    broken = [name for name in most if not check.get(name, 0.0) <= most[name]]  # NaN is broken, too
    words = [f"{name} {_digits(check[name])} above {_digits(most[name])}" for name in broken]
    if not check.get("ess", MIN_ESS) >= MIN_ESS:
        words.append(f"effective sample size {check['ess']:.0f} below {MIN_ESS:.0f}")
    return f"two sets of draws differ: {', '.join(words)}" if words else ""


def _digits(value: float) -> str:
    # an R-hat differs from its limit in the third decimal only
    return f"{value:.3f}" if 1 <= value < 1.1 else f"{value:.3g}"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main, failed=write_failed)
