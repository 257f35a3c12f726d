"""Read the results of a suite from disk, and check that they belong together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from bench.core.artefacts import ArtefactError, Json, read_csv, read_header, read_json
from bench.core.kinds import KINDS, OTHER
from bench.core.results import FIGURES, TOTAL, figures_of
from bench.core.specs import SuiteSpec
from bench.stats.examinations import failed_examinations
from bench.stats.scores import Score, read_scores

# or the value that a perfect sampler has in expectation
Better = Literal["higher", "lower"] | float
T = TypeVar("T")


@dataclass(frozen=True)
class RunRecord:
    """Header of one run's samples and its cost.json."""

    method: str
    seed: int
    header: Json
    cost: Json

    @property
    def is_published(self) -> bool:
        """Return whether the row was published and not drawn here, so that it has numbers but no samples."""
        return bool(self.header.get("published"))


@dataclass(frozen=True)
class TaskResults:
    """Everything that tables say about one task.

    measurements, reference: headers of the two files. definitions: metric id -> one line. better: which way each metric
    is better, of those that have a direction. left_out: methods that the suite does not run here. of_sets: scores of
    all measurements together. harmonic: metrics whose mean over measurements is the harmonic one.
    num_measurements: None where there are as many as the suite says.
    """

    name: str
    measurements: Json
    reference: Json
    scores: Sequence[Score]
    definitions: dict[str, str]
    better: dict[str, Better]
    runs: tuple[RunRecord, ...]
    left_out: frozenset[str] = frozenset()
    of_sets: tuple[Score, ...] = ()
    num_measurements: int | None = None
    harmonic: frozenset[str] = frozenset()

    @property
    def is_well_specified(self) -> bool:
        """Return whether x_true is a draw of the prior, for which an exact sampler is calibrated."""
        return self.measurements.get("truth") == "prior"

    @cached_property
    def unranked(self) -> frozenset[str]:
        """Return the methods that saw another prior than the one whose posterior they are compared with here.

        They saw the denoiser or the density of a distilled map's teacher, so they are compared with each other by the
        teacher's posterior (metrics that end with TOTAL), and not with the methods that saw the map.
        """
        return frozenset(run.method for run in self.runs if run.header.get("borrowed"))

    @cached_property
    def interacting(self) -> frozenset[str]:
        """Return the methods whose samples depend on what was computed beside them, and so on the size of a batch."""
        return frozenset(run.method for run in self.runs if run.header.get("interacts"))

    @cached_property
    def diverged(self) -> frozenset[str]:
        """Return the methods with samples that are finite but far outside the range of images."""
        return frozenset(run.method for run in self.runs if run.header.get("diverged"))

    def compares(self, method: str, metric: str) -> bool:
        """Return whether a method is compared with others in a metric: if it saw the prior that the metric is about."""
        return (method in self.unranked) == metric.endswith(TOTAL)


@dataclass(frozen=True)
class Origin:
    """The commit that made an artefact, and whether its source files had been edited since (None: not known)."""

    path: str
    commit: str
    dirty: bool | None


@dataclass(frozen=True)
class SuiteResults:
    """The results of one suite under `root`.

    methods: rows in the suite's order. num_measurements: of a task, unless that says otherwise. origins: of all
    artefacts. timings: contents of timing.json of the runs that were clocked. figures: file stem -> parameters, of all
    figures of the suite in the order of the page. budget_rows: rows per sample, with training, at which the table of
    distances compares. beside: a sentence on published rows among the methods; "" where there are none.
    headline, columns: metrics that the suite's file says to lead; "" and () where it does not. examinations: by file of
    a prior whose checkpoint failed its examination, the facts that do not hold.
    """

    root: Path
    name: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    num_measurements: int
    num_samples: int
    tasks: tuple[TaskResults, ...]
    origins: tuple[Origin, ...]
    timings: tuple[Json, ...] = ()
    figures: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: dict.fromkeys(FIGURES, {})
    )
    training_seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    budget_rows: float | None = None
    beside: str = ""
    headline: str = ""
    columns: tuple[str, ...] = ()
    examinations: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    # results of `once`; a copy by `replace` starts with an empty one
    cache: dict[Hashable, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return make(), called the first time that `key` is asked for."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    def once_of(self, task: TaskResults, key: Hashable, make: Callable[[], T]) -> T:
        """Return make() in the same way for a task; of a task that is not one of the suite's, nothing is kept."""
        is_own = any(task is other for other in self.tasks)
        return self.once((key, id(task)), make) if is_own else make()

    def seeds_of(self, method: str) -> tuple[int, ...]:
        """Return the seeds of a row: methods that are trained may have more than the others."""
        return self.training_seeds.get(method, self.seeds)

    @property
    def kinds(self) -> dict[str, str]:
        """Return the kind of each method, as its runs say; `other` where they do not."""
        runs = [run for task in self.tasks for run in task.runs]
        said = {run.method: run.header.get("kind", OTHER) for run in runs}
        return {m: kind if (kind := said.get(m)) in KINDS else OTHER for m in self.methods}

    def num_measured(self, task: TaskResults) -> int:
        """Return the number of measurements of a task."""
        return task.num_measurements or self.num_measurements


def load(spec_path: str | Path) -> SuiteResults:
    """Return the results that specs/suite.json lists, without the published rows that it may name.

    Raises ArtefactError when a file is missing, edited, or was made from other measurements than its task's.
    """
    spec = SuiteSpec.read(spec_path)
    origins: list[Origin] = []
    left_out = set(spec.left_out)
    tasks = []
    for task in spec.tasks:
        chosen = [method for method in spec.methods if (task, method) not in left_out]
        tasks.append(_load_task(spec, task, chosen, origins))
    timings = tuple(read_json(spec.layout.run(*run).timing) for run in spec.timed)
    return SuiteResults(
        spec.layout.root,
        spec.name,
        spec.methods,
        spec.seeds,
        spec.num_measurements,
        spec.num_samples,
        tuple(tasks),
        tuple(origins),
        timings,
        spec.figures or figures_of({}, bool(spec.timed)),
        spec.training_seeds,
        spec.budget_rows,
        headline=spec.headline,
        columns=spec.columns,
        examinations=failed_examinations(spec.layout, (task.measurements for task in tasks)),
    )


def num_measured(header: Json, num_measurements: int) -> int:
    """Return on how many measurements a run was made: the first ones, all where its header has no number."""
    return header.get("num_measurements", num_measurements)


def origin_of(path: str | Path, header: Json) -> Origin:
    """Return the commit that an artefact's header names."""
    made = header.get("provenance", {})
    return Origin(str(path), made.get("commit", "unknown"), made.get("dirty"))


def format_reason(status: str, reason: str) -> str:
    """Return `n/a (needs DECODER)` or `failed (ValueError: ...)`, one line; a reason of that form stays as it is."""
    reason = " ".join(str(reason).split())
    return (
        reason
        if reason.startswith(("n/a", "failed"))
        else f"{status} ({reason or 'no reason given'})"
    )


def _load_task(
    spec: SuiteSpec, task: str, methods: Iterable[str], origins: list[Origin]
) -> TaskResults:
    """Return the results of `methods` on a task, and add where its files come from to `origins`."""
    layout, files = spec.layout, spec.layout.task(task)
    text, info = read_csv(files.metrics)
    headers, runs = {p: read_header(p) for p in (files.measurements, files.reference)}, []
    for method in methods:
        for seed in spec.seeds_of(method):
            run = layout.run(task, method, seed)
            headers[run.samples] = read_header(run.samples)
            runs.append(RunRecord(method, seed, headers[run.samples], read_json(run.cost)))
            if run.state.exists():  # made before any measurement was seen: no hash of those in it
                origins.append(origin_of(run.state, read_header(run.state)))
    headers[files.metrics] = info
    _refuse_mixed_measurements(files.measurements, headers)
    origins.extend(origin_of(path, header) for path, header in headers.items())
    scores, of_sets = read_scores(text)
    return TaskResults(
        task,
        headers[files.measurements],
        headers[files.reference],
        scores=scores,
        definitions=info.get("definitions", {}),
        better=info.get("better", {}),
        runs=tuple(runs),
        left_out=frozenset(spec.methods) - frozenset(methods),
        of_sets=of_sets,
        harmonic=frozenset(info.get("harmonic", ())),
        num_measurements=spec.num_measured.get(task),
    )


def _refuse_mixed_measurements(measurements: Path, headers: dict[Path, Json]) -> None:
    expected = headers[measurements].get("observations_sha256")
    for path, header in headers.items():
        actual = header.get("observations_sha256")
        if actual is None or actual != expected:
            raise ArtefactError(
                f"{path}: observations_sha256 is {str(actual)[:12]}, but {measurements} has {str(expected)[:12]}: "
                "results of other measurements are not mixed in one table; delete the file and run the workflow again"
            )
