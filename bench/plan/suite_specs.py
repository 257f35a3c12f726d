"""The specs of a suite's jobs: one file for each, which holds all that the job's command needs to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.core.compute import compute_of
from bench.core.papers import NAME as PAPER
from bench.core.published_suites import published_record
from bench.core.registry import find
from bench.core.source import read_source
from bench.core.specs import (
    Budget,
    ClassifierSpec,
    Clock,
    ClockSpec,
    DataSpec,
    EvaluateSpec,
    Limits,
    PriorSpec,
    Run,
    RunSpec,
    Spec,
    SuiteSpec,
    TaskSpec,
    ToySpec,
    TrainSpec,
    Tune,
    TuneSpec,
)
from bench.plan.config import (
    PRIOR_KEYS,
    TASK_KEYS,
    limits_of,
    module_of,
    settings_of,
)
from bench.plan.entries import num_measurements_of
from bench.plan.inputs import Inputs
from bench.plan.metrics import COLUMNS, HEADLINE, metrics_of_task
from bench.plan.packages import packages_of
from bench.plan.papers import paper_spec
from bench.plan.schema import dataset_plugin
from bench.plan.suite import Suite

CLOCK_KEYS = ("num_samples", "repeats", "visits", "patience")
TUNE_KEYS = ("seconds", "num_measurements", "num_samples")


def specs_of(suite: Suite) -> Iterator[tuple[str, Spec]]:
    """Yield path and content of each spec of a suite."""
    path = suite.layout.spec
    for dataset in suite.datasets:
        yield str(path("data", dataset)), data_spec(suite, dataset)
    for prior in suite.content["priors"]:
        yield str(path("priors", prior)), prior_spec(suite, prior)
    for classifier in suite.classifiers:
        yield (
            str(path("classifiers", classifier)),
            ClassifierSpec(root=suite.root, classifier=classifier),
        )
    for task in suite.tasks:
        yield str(path("tasks", task)), task_spec(suite, task)
        yield from specs_of_runs(suite, task)
    for task, method, seed in suite.timed:
        yield str(path("clock", task, method, f"seed{seed}")), clock_spec(suite, task, method, seed)
    for task, method in suite.tuned:
        yield str(path("tune", task, method)), tune_spec(suite, task, method)
    for toy, parameters in suite.content.get("toys", {}).items():
        yield str(path("toys", toy)), ToySpec(root=suite.root, toy=toy, parameters=parameters)
    if suite.tasks:
        yield str(path("suite")), suite_spec(suite)
    if spec := paper_spec(suite):
        yield str(path(PAPER)), spec


def specs_of_runs(suite: Suite, task: str) -> Iterator[tuple[str, Spec]]:
    """Yield the specs of a task's evaluation, runs and trainings; only trainings in a suite that is timing_only."""
    runs = [(method, seed) for method in suite.methods_on(task) for seed in suite.seeds_of(method)]
    path = suite.layout.spec
    if not suite.timing_only:
        yield str(path("evaluate", task)), evaluate_spec(suite, task, runs)
    for method, seed in runs:
        name = (task, method, f"seed{seed}")
        if not suite.timing_only:
            yield str(path("runs", *name)), RunSpec(**run_fields(suite, task, method, seed))
        if suite.trains(method):
            fields = problem_fields(suite, task) | row_fields(suite, task, method, seed)
            yield str(path("train", *name)), TrainSpec(**fields)


def data_spec(suite: Suite, dataset: str) -> DataSpec:
    """Return the spec of a data set."""
    parameters = dict(suite.content["datasets"][dataset] or {})
    return DataSpec(
        root=suite.root, dataset=dataset, plugin=dataset_plugin(dataset, {}), parameters=parameters
    )


def prior_spec(suite: Suite, prior: str) -> PriorSpec:
    """Return the spec of a prior."""
    entry, teacher = suite.content["priors"][prior], suite.teacher_of(prior)
    return PriorSpec(
        root=suite.root,
        prior=prior,
        family=entry["family"],
        dataset=entry["dataset"],
        parameters={key: value for key, value in entry.items() if key not in PRIOR_KEYS},
        teacher=teacher,
        teacher_family=suite.family(teacher) if teacher else None,
        # random weights have no quality, and draws of large networks would take hours on a CPU
        quality=not suite.timing_only and not _is_foreign(entry["family"]),
    )


def _is_foreign(family: str) -> bool:
    """Return whether a family opens networks that others trained, as its class variable `foreign` says."""
    file = find("prior", family)
    source = read_source(file) if file else None
    return source is not None and source.constant("foreign") is True


def task_spec(suite: Suite, task: str) -> TaskSpec:
    """Return the spec of a task: its problem and its counts."""
    published = published_record(suite.beside) if suite.beside else {}
    hashes = published.get("observations_sha256", {})
    return TaskSpec(
        **problem_fields(suite, task),
        truth=suite.content["tasks"][task].get("truth", "data"),
        reference=suite.content["tasks"][task].get("reference", ""),
        num_measurements=num_measurements_of(suite.content, task),
        num_reference=suite.content["num_reference"],
        num_particles=suite.content.get("num_particles"),
        perplexity=not suite.timing_only,
        published_sha256=hashes.get(task, ""),
    )


def problem_fields(suite: Suite, task: str) -> dict[str, Any]:
    """Return the fields of a ProblemSpec."""
    entry, prior = suite.content["tasks"][task], suite.prior_of(task)
    return {
        "root": suite.root,
        "task": task,
        "prior": prior,
        "family": suite.family(prior),
        "dataset": suite.dataset_of(prior),
        "operator": entry["operator"],
        "parameters": {key: value for key, value in entry.items() if key not in TASK_KEYS},
        "sigma_y": entry.get("sigma_y"),
        "rate": entry.get("rate"),
    }


def row_fields(suite: Suite, task: str, method: str, seed: int) -> dict[str, Any]:
    """Return the fields of a spec that describe a row on a task; training also depends on prior and problem only."""
    limits = limits_of(suite.content, method)
    return {
        "method": method,
        "module": module_of(suite.content, method),
        "settings": settings_of(suite.content, task, method),
        "seed": seed,
        "compute": compute_of(suite.content),
        "packages": packages_of(Inputs(suite).method_sources(method)),
        "limits": Limits(**limits) if limits else None,
    }


def method_fields(suite: Suite, task: str, method: str, seed: int) -> dict[str, Any]:
    """Return the fields of a MethodSpec, and the size of chunks."""
    prior = suite.prior_of(task)
    names = {"root": suite.root, "task": task, "prior": prior, "family": suite.family(prior)}
    return (
        names
        | row_fields(suite, task, method, seed)
        | {"rows_per_chunk": suite.content["rows_per_chunk"]}
    )


def run_fields(suite: Suite, task: str, method: str, seed: int) -> dict[str, Any]:
    """Return the fields of a RunSpec."""
    budget = suite.content.get("budget")
    return method_fields(suite, task, method, seed) | {
        "trains": suite.trains(method),
        "num_measurements": suite.restriction(method).get("num_measurements"),
        "num_samples": suite.content["num_samples"],
        "budget": Budget(**budget) if budget else None,
    }


def clock_spec(suite: Suite, task: str, method: str, seed: int) -> ClockSpec:
    """Return the spec of a run that is timed."""
    entry = suite.content["clock"]
    given: dict[str, Any] = {key: entry[key] for key in CLOCK_KEYS if key in entry}
    given["num_samples"] = tuple(entry["num_samples"])
    clock = Clock(**given, bare=suite.timing_only, worth=not suite.timing_only)
    return ClockSpec(**run_fields(suite, task, method, seed), clock=clock)


def tune_spec(suite: Suite, task: str, method: str) -> TuneSpec:
    """Return the spec of a search for a row's settings."""
    fields = method_fields(suite, task, method, 0)
    fields.pop("compute")
    return TuneSpec(**fields, tune=Tune(**{key: suite.content["tune"][key] for key in TUNE_KEYS}))


def evaluate_spec(suite: Suite, task: str, runs: Sequence[tuple[str, int]]) -> EvaluateSpec:
    """Return the spec of the evaluation of all runs on a task."""
    prior = suite.prior_of(task)
    return EvaluateSpec(
        root=suite.root,
        task=task,
        prior=prior,
        family=suite.family(prior),
        runs=tuple(Run(method, seed) for method, seed in runs),
        num_samples=suite.content["num_samples"],
        metrics=metrics_of_task(suite.content, task),
    )


def suite_spec(suite: Suite) -> SuiteSpec:
    """Return the spec of tables, figures and the page."""
    of_suite = suite.content["num_measurements"]
    num_measured = {task: num_measurements_of(suite.content, task) for task in suite.tasks}
    return SuiteSpec(
        root=suite.root,
        name=suite.content["name"],
        seeds=tuple(suite.seeds),
        training_seeds={
            row: seeds
            for row in suite.methods
            if (seeds := tuple(suite.seeds_of(row))) != tuple(suite.seeds)
        },
        num_measurements=of_suite,
        num_samples=suite.content["num_samples"],
        tasks=tuple(suite.tasks),
        methods=tuple(suite.methods),
        left_out=tuple(suite.left_out),
        timed=tuple(suite.timed),
        figures={}
        if suite.timing_only
        else {name: dict(own) for name, own in suite.figures.items()},
        compares=not suite.timing_only,
        beside=suite.beside,
        num_measured={task: num for task, num in num_measured.items() if num != of_suite},
        claims=suite.tests_claims,
        budget_rows=suite.content.get("budget_rows"),
        headline=suite.content.get("metrics", {}).get(HEADLINE, ""),
        columns=tuple(suite.content.get("metrics", {}).get(COLUMNS, ())),
    )
