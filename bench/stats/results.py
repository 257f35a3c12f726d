"""What a suite has left on disk, read once and checked to belong together."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.core.artefacts import ArtefactError, Json, read_csv, read_header, read_json
from bench.core.layout import Layout
from bench.core.specs import SuiteSpec

REFERENCE = "reference"  # pseudo method: one set of exact draws against the other
ALL = "all"  # in place of an observation: a number of the samples of all measurements
BASELINES = (REFERENCE, "oracle", "unconditional")  # no method that somebody would choose
Better = Literal["higher", "lower"] | float  # or the value that a perfect sampler has in expectation


@dataclass(frozen=True)
class Score:
    """One line of metrics.csv; `value` is None where there is a `reason` instead.

    observation: None for a number of all measurements together.
    """

    method: str
    seed: int
    observation: int | None
    metric: str
    value: float | None
    reason: str


@dataclass(frozen=True)
class Run:
    """Header of one run's samples and its cost.json."""

    method: str
    seed: int
    header: Json
    cost: Json


@dataclass(frozen=True)
class Task:
    """Everything the tables say about one task; `definitions` maps metric ids to one line each.

    better: which way each metric is better. left_out: the methods that the suite does not run here. of_sets: the scores
    of all measurements together.
    """

    name: str
    observations: Json
    exact: Json
    scores: tuple[Score, ...]
    definitions: dict[str, str]
    better: dict[str, Better]
    runs: tuple[Run, ...]
    left_out: frozenset[str] = frozenset()
    of_sets: tuple[Score, ...] = ()


@dataclass(frozen=True)
class Source:
    """Which commit made an artefact, and whether its source files had been edited since (None: not known)."""

    path: str
    commit: str
    dirty: bool | None


@dataclass(frozen=True)
class Suite:
    """The results of one suite under `root`; `timings` are the contents of timing.json of the runs that were clocked."""

    root: Path
    name: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    num_measurements: int
    num_samples: int
    tasks: tuple[Task, ...]
    sources: tuple[Source, ...]
    timings: tuple[Json, ...] = ()


def load(spec_path: str | Path) -> Suite:
    """Read the results that specs/suite.json lists.

    Raises ArtefactError when a file is missing, edited, or was made from other measurements than its task's.
    """
    spec = SuiteSpec.read(spec_path)
    layout, methods, seeds = spec.layout, spec.methods, spec.seeds
    sources: list[Source] = []
    left_out = set(spec.left_out)
    tasks = []
    for name in spec.tasks:
        chosen = tuple(method for method in methods if (name, method) not in left_out)
        tasks.append(_load_task(layout, name, chosen, seeds, sources, frozenset(methods) - set(chosen)))
    numbers = spec.num_measurements, spec.num_samples
    timings = [read_json(layout.run(*timed).timing) for timed in spec.timed]
    return Suite(layout.root, spec.name, methods, seeds, *numbers, tuple(tasks), tuple(sources), tuple(timings))


def num_measured(header: Json, num_measurements: int) -> int:
    """On how many of the task's measurements a run was made: the first ones, all where its header has no number."""
    return header.get("num_measurements", num_measurements)


def source(path: str | Path, header: Json) -> Source:
    """The commit that an artefact's header names."""
    made = header.get("provenance", {})
    return Source(str(path), made.get("commit", "unknown"), made.get("dirty"))


def in_words(status: str, reason: str) -> str:
    """`n/a (needs DECODER)` or `failed (ValueError: ...)`, in one line; a reason already in words stays as it is."""
    reason = " ".join(str(reason).split())
    return reason if reason.startswith(("n/a", "failed")) else f"{status} ({reason or 'no reason given'})"


def _load_task(
    layout: Layout, task: str, methods: tuple, seeds: tuple, sources: list[Source], left_out: frozenset[str]
) -> Task:
    files = layout.task(task)
    text, info = read_csv(files.metrics)
    headers = {path: read_header(path) for path in (files.measurements, files.reference)}
    observations, exact = headers.values()
    runs = []
    for method in methods:
        for seed in seeds:
            run = layout.run(task, method, seed)
            headers[run.samples] = read_header(run.samples)
            runs.append(Run(method, seed, headers[run.samples], read_json(run.cost)))
            if run.state.exists():
                sources.append(source(run.state, read_header(run.state)))
    headers[files.metrics] = info
    _refuse_mixed_measurements(files.measurements, headers)
    sources.extend(source(path, header) for path, header in headers.items())
    scores = _scores(text)
    of_each = tuple(score for score in scores if score.observation is not None)
    of_sets = tuple(score for score in scores if score.observation is None)
    return Task(task, observations, exact, of_each, *_about(info), tuple(runs), left_out, of_sets)


def _refuse_mixed_measurements(observations: Path, headers: dict[Path, Json]) -> None:
    expected = headers[observations].get("observations_sha256")
    for path, header in headers.items():
        found = header.get("observations_sha256")
        if found is None or found != expected:
            raise ArtefactError(
                f"{path}: observations_sha256 is {str(found)[:12]}, but {observations} has {str(expected)[:12]}: "
                "results of other measurements are not mixed in one table; delete the file and run the workflow again"
            )


def _about(info: Json) -> tuple[dict[str, str], dict[str, Better]]:
    return info.get("definitions", {}), info.get("better", {})


def _scores(text: str) -> tuple[Score, ...]:
    return tuple(
        Score(
            row["method"],
            int(row["seed"]),
            None if row["observation"] == ALL else int(row["observation"]),
            row["metric"],
            float(row["value"]) if row["value"] else None,
            row["reason"] or "",
        )
        for row in csv.DictReader(io.StringIO(text))
    )
