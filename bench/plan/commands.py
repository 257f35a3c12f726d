"""The jobs of a suite as plain commands, in an order in which each finds what it needs: for a machine without Snakemake.

tests/plan/test_commands.py compares them with the jobs that Snakemake plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.plan import Suite, load
from bench.plan.folder import check_artefacts, write_specs


@dataclass(frozen=True)
class Job:
    """One command: the stage, its spec, what it writes, and further arguments. Without outputs it is always due."""

    stage: str
    spec: str
    outputs: tuple[str, ...] = ()
    more: str = ""

    def __str__(self) -> str:
        return f"python -m bench.stages.{self.stage} {self.spec} {self.more}".rstrip()

    @property
    def is_done(self) -> bool:
        """Whether all outputs are newer than the spec; no source file is looked at."""
        asked = Path(self.spec).stat().st_mtime
        paths = [Path(output) for output in self.outputs]
        return bool(paths) and all(path.exists() and path.stat().st_mtime >= asked for path in paths)


def write_commands(suite: str) -> None:
    """Write the specs of a suite and print the commands that are left to do."""
    loaded = load({"suite": suite})
    check_artefacts(loaded.root)
    write_specs(loaded)
    for job in jobs(loaded):
        if not job.is_done:
            print(job, flush=True)


def jobs(suite: Suite) -> Iterator[Job]:
    """Yield all jobs of a suite."""
    root, specs = suite.root, f"{suite.root}/specs"
    for name in suite.datasets:
        yield Job("data", f"{specs}/data/{name}.json", (f"{root}/data/{name}.safetensors",))
    for name in suite.priors:
        yield Job("prior", f"{specs}/priors/{name}.json", (suite.prior_file(name),))
    for name in suite.classifiers:
        yield Job("classifier", f"{specs}/classifiers/{name}.json", (f"{root}/classifiers/{name}/{name}.safetensors",))
    for task in suite.tasks:
        yield Job("observe", f"{specs}/tasks/{task}.json", (f"{root}/tasks/{task}/observations.safetensors",))
        if not suite.timing_only:
            yield Job("reference", f"{specs}/tasks/{task}.json", (f"{root}/tasks/{task}/exact.safetensors",))
    for log in suite.tunings:
        yield Job("tune", f"{specs}/tune/{'/'.join(Path(log).parts[-3:-1])}.json", (log,))
    for name in suite.toys:
        yield Job("toy", f"{specs}/toys/{name}.json", (f"{root}/figures/{name}.csv",))
    yield from jobs_of_runs(suite)
    if suite.tasks:
        yield from jobs_of_pages(suite)


def jobs_of_runs(suite: Suite) -> Iterator[Job]:
    """Yield training, sampling and the clock's visits, the first visits of all runs before the second ones."""
    root, specs = suite.root, f"{suite.root}/specs"
    for task, method, seed in suite.all_runs_of_tasks:
        name = f"{task}/{method}/seed{seed}"
        if states := suite.training(task, method, seed):
            yield Job("train", f"{specs}/train/{name}.json", tuple(states))
        if not suite.timing_only:
            yield Job("sample", f"{specs}/runs/{name}.json", (f"{root}/runs/{name}/samples.safetensors",))
    runs = [Path(timing).parent.relative_to(f"{root}/runs") for timing in suite.timings]
    for visit in range(1, suite.num_visits + 1):
        for name in runs:
            yield Job("clock", f"{specs}/clock/{name}.json", (f"{root}/runs/{name}/visits/{visit}.json",), str(visit))
    for name in runs:
        yield Job("pool", f"{specs}/clock/{name}.json", (f"{root}/runs/{name}/timing.json",))


def jobs_of_pages(suite: Suite) -> Iterator[Job]:
    """Yield what is made of all runs together."""
    if suite.timing_only:
        yield Job("timing", f"{suite.root}/specs/suite.json")
        return
    for stage in ("evaluate", "grid"):
        yield from (Job(stage, f"{suite.root}/specs/evaluate/{task}.json") for task in suite.tasks)
    page = f"{suite.root}/specs/suite.json"
    yield from (Job(stage, page) for stage in ("tables", "published", "claims"))
    yield from (Job("figure", page, more=figure) for figure in suite.figures)
    yield Job("report", page)
