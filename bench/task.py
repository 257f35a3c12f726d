"""A task: a prior, a problem, its measurements and its reference draws, opened in one place.

Stages open tasks of a suite's folder with it, and so does `bench.load_task`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.core.artefacts import Json, read_header
from bench.core.compute import Compute
from bench.core.layout import Layout
from bench.core.specs import OnTask, ProblemSpec
from bench.core.types import Prior
from bench.priors import load_prior
from bench.problems.inverse_problem import InverseProblem
from bench.problems.measurements import Measurements, first, problem_of, read_measurements
from bench.problems.posteriors import Posterior, posterior_of
from bench.problems.references import ReferenceDraws, read_reference
from bench.problems.reward import Reward
from bench.runtime.devices import prepared

DEFAULT_COMPUTE = Compute()


@dataclass(frozen=True)
class Task:
    """A prior and a problem, with their measurements and reference draws.

    problem: has the exact posterior where there is one. measurements: None for the training of a method. reference:
    independent draws of the posterior, and its moments; None where they are not read. header: facts of the task
    (operator, parameters, sigma_y, hashes). prior_sha256: of the prior's file.
    """

    name: str
    layout: Layout
    prior: Prior
    problem: InverseProblem | Reward
    posterior: Posterior | None
    measurements: Measurements | None
    reference: ReferenceDraws | None
    header: Json
    prior_sha256: str

    @property
    def y(self) -> Tensor:
        """Return the packed measurements (m, *y)."""
        return self.measured.y

    @property
    def x_true(self) -> Tensor:
        """Return the images that were measured (m, *x)."""
        return self.measured.x_true

    @property
    def image_id(self) -> Tensor:
        """Return the number of each image in its data set (m,)."""
        return self.measured.image_id

    @property
    def measured(self) -> Measurements:
        """Return the measurements; raise ValueError if the task was opened without any."""
        if self.measurements is None:
            raise ValueError(f"task {self.name} was opened without measurements")
        return self.measurements

    def __str__(self) -> str:
        about = {
            key: self.header.get(key)
            for key in ("prior", "dataset", "operator", "parameters", "sigma_y", "rate")
        }
        lines = [f"{key}: {value}" for key, value in about.items() if value not in (None, {})]
        if self.measurements is not None:
            lines.append(f"measurements: {len(self.y)} of shape {tuple(self.y.shape[1:])}, packed")
        if self.posterior is not None:
            lines.append(f"posterior: {self.posterior.kind}")
        if self.reference is not None:
            under = f" under {self.reference.under}" if self.reference.under else ""
            num = self.reference.x_a.shape[1]
            lines.append(f"reference draws{under}: twice {num} for each measurement")
        return "\n".join([f"task {self.name}", *(f"  {line}" for line in lines)])

    def first(self, num_measurements: int | None) -> Task:
        """Return the task with its first measurements only; None means all."""
        return replace(self, measurements=first(self.measured, num_measurements))


def open_task(
    spec: OnTask,
    compute: Compute = DEFAULT_COMPUTE,
    device: str | torch.device = "cpu",
    *,
    with_posterior: bool = True,
    all_measurements: bool = False,
    num_samples: int | None = None,
) -> Task:
    """Return a task of a suite's folder, on `device` and in the precision of `compute`.

    with_posterior: look for the exact posterior and hand it to the problem where it offers draws. all_measurements: of
    every test and validation image, in place of those that methods get. num_samples: read the reference, which must
    have that many draws; None leaves it out. Raises ArtefactError, one line, where a file is missing or belongs to
    other measurements.
    """
    files = spec.layout.task(spec.task)
    path = files.all_measurements if all_measurements else files.measurements
    measurements = read_measurements(path, compute.dtype, device)
    prior, sha256 = open_prior(spec, compute, device)
    problem = problem_of(measurements.header, prior.shape, device=device, root=spec.layout.root)
    posterior = posterior_of(prior, problem) if with_posterior else None
    if posterior is not None and posterior.offered:
        problem = replace(problem, posterior=posterior)
    header, reference = measurements.header, None
    if num_samples is not None:
        reference = read_reference(files.reference, header, num_samples)
    return Task(
        spec.task, spec.layout, prior, problem, posterior, measurements, reference, header, sha256
    )


def open_for_training(
    spec: ProblemSpec, compute: Compute = DEFAULT_COMPUTE, device: str | torch.device = "cpu"
) -> Task:
    """Return the prior and the problem of a task without any measurement, as a method is trained on them."""
    prior, sha256 = open_prior(spec, compute, device)
    problem = problem_of(spec.facts, prior.shape, device=device, root=spec.layout.root)
    return Task(spec.task, spec.layout, prior, problem, None, None, None, spec.facts, sha256)


def open_prior(
    spec: OnTask, compute: Compute = DEFAULT_COMPUTE, device: str | torch.device = "cpu"
) -> tuple[Prior, str]:
    """Return a task's prior, its networks as `compute` says, and the sha256 of its file."""
    path = spec.layout.prior(spec.prior, spec.family)
    prior = prepared(load_prior(path, compute.dtype, device), compute)
    return prior, read_header(path)["sha256"]
