"""The jobs of a suite as plain commands, one after another, for a machine without Snakemake.

`posterior-bench commands SUITE | sh -e` runs them. They are the commands of the workflow with the same specs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.plan import Suite, begin, load

# rule, spec, outputs, and what the command is told beside its spec
Job = tuple[str, str, list[str]] | tuple[str, str, list[str], str]


def write_commands(suite_file: str) -> None:
    """Write a suite's specs and print the commands of its jobs, each on a line."""
    suite = load({"suite": suite_file})
    begin(suite)
    for rule, spec, _, *more in jobs(suite):
        print(" ".join([f"python -m bench.stages.{rule} {spec}", *more]))


def jobs(suite: Suite) -> Iterator[Job]:
    """In an order in which each finds what it needs."""
    root, specs = suite.root, f"{suite.root}/specs"
    for name in suite.datasets:
        yield "data", f"{specs}/data/{name}.json", [f"{root}/data/{name}.safetensors"]
    for name in suite.priors:
        yield "prior", f"{specs}/priors/{name}.json", [suite.prior_file(name)]
    for name in suite.classifiers:
        yield "classifier", f"{specs}/classifiers/{name}.json", [f"{root}/classifiers/{name}/{name}.safetensors"]
    for task in suite.tasks:
        yield "observe", f"{specs}/tasks/{task}.json", [f"{root}/tasks/{task}/observations.safetensors"]
        if not suite.timing_only:
            yield "reference", f"{specs}/tasks/{task}.json", [f"{root}/tasks/{task}/exact.safetensors"]
    for name in suite.toys:
        yield "toy", f"{specs}/toys/{name}.json", [f"{root}/figures/{name}.csv"]
    yield from jobs_of_runs(suite)
    if suite.tasks:
        yield from jobs_of_pages(suite)


def jobs_of_runs(suite: Suite) -> Iterator[Job]:
    root, specs = suite.root, f"{suite.root}/specs"
    for task, method, seed in suite.all_runs_of_tasks:
        name = f"{task}/{method}/seed{seed}"
        if states := suite.training(task, method, seed):
            yield "train", f"{specs}/train/{name}.json", states
        if not suite.timing_only:
            yield "sample", f"{specs}/runs/{name}.json", [f"{root}/runs/{name}/samples.safetensors"]
    runs = [Path(timing).parent.relative_to(f"{root}/runs") for timing in suite.timings]
    for visit in range(1, suite.num_visits + 1):
        for name in runs:
            yield "clock", f"{specs}/clock/{name}.json", [f"{root}/runs/{name}/visits/{visit}.json"], str(visit)
    for name in runs:
        yield "pool", f"{specs}/clock/{name}.json", [f"{root}/runs/{name}/timing.json"]


def jobs_of_pages(suite: Suite) -> Iterator[Job]:
    """What is made of all runs together."""
    if suite.timing_only:
        yield "timing", f"{suite.root}/specs/suite.json", []
        return
    for rule in ("evaluate", "grid"):
        yield from ((rule, f"{suite.root}/specs/evaluate/{task}.json", []) for task in suite.tasks)
    for rule in ("tables", "published", "claims", "figures", "report"):
        yield rule, f"{suite.root}/specs/suite.json", []
