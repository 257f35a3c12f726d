"""`python -m bench.plan.alone config/<suite>.yaml`: all jobs of a suite one after another, on a machine without Snakemake.

The same commands with the same specs as in the workflow. A job whose outputs are newer than its spec is left out; no
source file is looked at, so after an edit delete what is to be made again. `--only clock` does the jobs of one verb.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import UserError
from bench.plan import Suite, load
from bench.plan.folder import check_artefacts, claim, write_specs
from bench.runtime.job import run

# verb, spec, outputs (none where it is done whenever it is asked for), and what the command is told beside its spec
Job = tuple[str, str, list[str]] | tuple[str, str, list[str], str]


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.plan.alone", description=__doc__.splitlines()[0])
    parser.add_argument("suite", help="a suite's YAML file, or its name in config/")
    parser.add_argument("--only", help="a verb: prepare, fit, observe, train, sample, clock, ...")
    options = parser.parse_args(arguments)
    suite = load({"suite": options.suite})
    claim(suite.root)
    check_artefacts(suite.root)
    write_specs(suite)
    for verb, spec, outputs, *more in jobs(suite):
        if options.only in (None, verb) and not is_done(spec, outputs):
            words = " ".join([f"python -m bench.{verb} {spec}", *more])
            print(words, flush=True)
            if subprocess.run([sys.executable, "-m", f"bench.{verb}", spec, *more]).returncode:
                raise UserError(f"{words} failed; its message is above")


def is_done(spec: str, outputs: list[str]) -> bool:
    made, asked = [Path(output) for output in outputs], Path(spec).stat().st_mtime
    return bool(made) and all(path.exists() and path.stat().st_mtime >= asked for path in made)


def jobs(suite: Suite) -> Iterator[Job]:
    """In an order in which each finds what it needs."""
    root, specs = suite.root, f"{suite.root}/specs"
    for name in suite.datasets:
        yield "prepare", f"{specs}/data/{name}.json", [f"{root}/data/{name}.safetensors"]
    for name in suite.priors:
        yield "fit", f"{specs}/priors/{name}.json", [suite.prior_file(name)]
    for name in suite.classifiers:
        yield "teach", f"{specs}/classifiers/{name}.json", [f"{root}/classifiers/{name}/{name}.safetensors"]
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
        yield "timings", f"{suite.root}/specs/suite.json", []
        return
    for verb in ("evaluate", "picture"):
        yield from ((verb, f"{suite.root}/specs/evaluate/{task}.json", []) for task in suite.tasks)
    for verb in ("tabulate", "quote", "claim", "draw", "compose"):
        yield verb, f"{suite.root}/specs/suite.json", []


if __name__ == "__main__":
    run(main, leased=False)
