"""Open a task or a prior of a suite, and make it with the stages of the workflow where it is missing."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.shipped import suite_file
from bench.core.specs import Spec, TaskSpec
from bench.core.types import Prior
from bench.plan import Suite, load
from bench.plan.suite_specs import specs_of
from bench.priors import load_prior
from bench.stages import classifier, data, observe, prior, reference
from bench.task import Task, open_task

# environment variable: the folder for tasks that `load_task` made
CACHE = "POSTERIOR_BENCH_CACHE"


def open_or_make_task(name: str, suite: str, results: Path | None) -> Task:
    """Return a task from `results`, by default from results/<suite>, or else from the cache, made there if missing."""
    plan = load_suite(suite)
    if name not in plan.tasks:
        raise UserError(f"{plan.file}: no task {name}; expected one of {', '.join(plan.tasks)}")
    specs = {str(path): spec for path, spec in specs_of(plan)}
    spec = specs[str(plan.layout.spec("tasks", name))]
    assert isinstance(spec, TaskSpec)
    here = results or Path(plan.root)
    files = Layout(here).task(name)
    if results is None and not (files.measurements.exists() and files.reference.exists()):
        here = cache_folder() / Path(plan.root).name
        with torch.no_grad(), contextlib.redirect_stdout(sys.stderr):
            make_task(plan, spec, here)
    return open_task(replace(spec, root=str(here)), num_samples=2)


def open_or_make_prior(name: str, suite: str, results: Path | None) -> Prior:
    """Return a prior from `results`, by default from results/<suite>, or else from the cache, made there if missing."""
    plan = load_suite(suite)
    if name not in plan.priors:
        raise UserError(f"{plan.file}: no prior {name}; expected one of {', '.join(plan.priors)}")
    family = plan.content["priors"][name]["family"]
    here = Layout(results or Path(plan.root))
    if results is None and not here.prior(name, family).exists():
        here = Layout(cache_folder() / Path(plan.root).name)
        with torch.no_grad(), contextlib.redirect_stdout(sys.stderr):
            make_prior(plan, name, here.root)
    return load_prior(here.prior(name, family))


def load_suite(suite: str) -> Suite:
    """Return a suite, named as in config/ or given as a YAML file, after its checks."""
    return load({"suite": str(suite_file(suite))})


def cache_folder() -> Path:
    """Return the folder for tasks that `load_task` made."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(CACHE) or Path(home) / "posterior-bench")


def make_task(plan: Suite, spec: TaskSpec, root: Path) -> None:
    """Make those of a task's data, prior, classifier, measurements and reference that are missing."""
    make_prior(plan, spec.prior, root)
    for name in plan.classifiers_of_task(spec.task):
        run_stage(
            classifier.main,
            plan,
            plan.layout.spec("classifiers", name),
            root,
            Layout(root).classifier(name),
        )
    path, files = plan.layout.spec("tasks", spec.task), Layout(root).task(spec.task)
    run_stage(observe.main, plan, path, root, files.measurements)
    run_stage(reference.main, plan, path, root, files.reference)


def make_prior(plan: Suite, name: str, root: Path) -> None:
    """Make those of a prior, its data and its teacher that are missing."""
    entry, layout = plan.content["priors"][name], Layout(root)
    run_stage(
        data.main,
        plan,
        plan.layout.spec("data", entry["dataset"]),
        root,
        layout.data(entry["dataset"]),
    )
    if entry.get("teacher"):
        make_prior(plan, entry["teacher"], root)
    run_stage(
        prior.main,
        plan,
        plan.layout.spec("priors", name),
        root,
        layout.prior(name, entry["family"]),
    )


def run_stage(main, plan: Suite, path: Path, root: Path, output: Path) -> None:
    """Run a stage in `root` with the plan's spec of `path`, unless `output` was made from an equal spec."""
    spec: Spec = replace(dict(specs_of(plan))[str(path)], root=str(root))
    here = root / path.relative_to(plan.layout.root)
    if output.exists() and here.exists() and type(spec).read(here) == spec:
        return
    spec.write(here)
    main(str(here))
