"""Specs: all that one job has to do, as a frozen dataclass per kind of job, stored as JSON with a hash.

A job's command is `python -m bench.stages.<rule> <spec>`. A spec says what to do in full, so that a job reads no suite
and a job whose spec did not change does not rerun: a field that has its default is left out of the file.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from bench.core.artefacts import Json, read_json, write_json
from bench.core.compute import Compute
from bench.core.errors import UserError
from bench.core.layout import Layout

Settings = dict[str, Any]
PROBLEM_FACTS = ("task", "prior", "family", "dataset", "operator", "parameters", "sigma_y")
RUN_FACTS = ("task", "method", "module", "settings", "seed")
AGAIN = "delete the file and run the same command again"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The fields that all specs have. root: the suite's folder, `results/<suite>`."""

    root: str

    @property
    def layout(self) -> Layout:
        return Layout(Path(self.root))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return the spec in a file; ArtefactError or UserError, one line, when it is none of this kind."""
        content = {key: value for key, value in read_json(path).items() if key != "sha256"}
        return cls.from_content(content, str(path))

    @classmethod
    def from_content(cls, content: Json, where: str = "spec") -> Self:
        """Return the spec that `content` describes, with its lists as tuples and its parts as dataclasses."""
        from pydantic import TypeAdapter, ValidationError

        unknown = [
            key for key in content if key not in {item.name for item in dataclasses.fields(cls)}
        ]
        if unknown:
            raise UserError(f"{where}: {unknown[0]}: unknown field of a {cls.__name__}; {AGAIN}")
        try:
            return TypeAdapter(cls).validate_python(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "spec"
            raise UserError(f"{where}: {key}: {first['msg'].lower()}; {AGAIN}") from None

    def write(self, path: str | Path) -> None:
        """Write the spec, atomically."""
        write_json(path, self.content())

    def content(self) -> Json:
        """Return what is stored: the required fields, and those that differ from their default."""
        return _content_of(self)


@dataclass(frozen=True, kw_only=True)
class DataSpec(Spec):
    """A data set; `plugin` is its module in bench/datasets, `parameters` are that dataclass's fields."""

    dataset: str
    plugin: str
    parameters: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PriorSpec(Spec):
    """A prior; `family` is its module in bench/priors. quality: whether its card compares draws with test images."""

    prior: str
    family: str
    dataset: str
    parameters: Settings = field(default_factory=dict)
    teacher: str | None = None
    teacher_family: str | None = None
    quality: bool = True


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec(Spec):
    """A classifier, by the name of its definition."""

    classifier: str


@dataclass(frozen=True, kw_only=True)
class OnTask(Spec):
    """A spec of a job on one task, with the names of the task and of its prior."""

    task: str
    prior: str
    family: str


@dataclass(frozen=True, kw_only=True)
class ProblemSpec(OnTask):
    """A prior and a problem: all that training depends on, so no count of measurements or samples.

    operator: a module in bench/operators, or `class` for a reward, which has no sigma_y. rate: of Poisson noise, which
    has no sigma_y either.
    """

    dataset: str
    operator: str
    parameters: Settings = field(default_factory=dict)
    sigma_y: float | None = None
    rate: float | None = None

    @property
    def facts(self) -> Json:
        """Return what the header of a task's measurements says of prior and problem."""
        noise = {} if self.rate is None else {"rate": self.rate}
        return {name: getattr(self, name) for name in PROBLEM_FACTS} | noise


@dataclass(frozen=True, kw_only=True)
class TaskSpec(ProblemSpec):
    """A task with its counts. perplexity: whether that of each posterior is computed, where there is a formula.

    truth: whether test images are measured, or draws of the prior. published_sha256: hash of the measurements whose
    published rows are shown beside those of the suite; "" for none. reference: how reference draws are to be made, or
    "none"; "" for the best way that there is.
    """

    num_measurements: int
    num_reference: int
    num_particles: int | None = None  # None: the number that the reference chooses
    perplexity: bool = True
    published_sha256: str = ""
    truth: Literal["data", "prior"] = "data"
    reference: Literal["", "none", "particles", "exact"] = ""


@dataclass(frozen=True)
class Limits:
    """What the process of a run may take: seconds of the wall, and memory that is resident; None is no limit."""

    seconds: float | None = None
    memory_gib: float | None = None


@dataclass(frozen=True, kw_only=True)
class MethodSpec(OnTask):
    """A row of a suite on a task: `method` is the row's name, `module` its plug-in, `settings` its fields.

    packages: versions of what the plug-in imports beside numpy and torch. limits: of its process; no number depends on
    them.
    """

    method: str
    module: str
    settings: Settings = field(default_factory=dict)
    seed: int = 0
    compute: Compute = Compute()
    packages: dict[str, str] = field(default_factory=dict)
    limits: Limits | None = None

    @property
    def run_facts(self) -> Json:
        """Return what the files of a run say of it."""
        return {name: getattr(self, name) for name in RUN_FACTS}


@dataclass(frozen=True, kw_only=True)
class TrainSpec(MethodSpec, ProblemSpec):
    """The training of a method for a prior and a problem."""


@dataclass(frozen=True)
class Budget:
    """What a run may spend: network rows per sample, seconds and MiB in all; None is no limit."""

    nfe: float | None = None
    seconds: float | None = None
    mib: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunSpec(MethodSpec):
    """A run. num_measurements: the first ones only; None means all. rows_per_chunk: a number, or "auto"."""

    num_samples: int
    rows_per_chunk: int | str
    trains: bool = False
    num_measurements: int | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class Clock:
    """How a run is timed. bare: also time the same network calls alone. worth: also estimate how many independent
    exact draws the samples are worth."""

    num_samples: tuple[int, ...]
    repeats: int
    visits: int = 1
    patience: float | None = None
    bare: bool = False
    worth: bool = True


@dataclass(frozen=True, kw_only=True)
class ClockSpec(RunSpec):
    """A run that is timed."""

    clock: Clock


@dataclass(frozen=True)
class Tune:
    """A search. seconds: its budget. num_measurements: validation measurements of a trial, and as many to confirm."""

    seconds: float
    num_measurements: int
    num_samples: int


@dataclass(frozen=True, kw_only=True)
class TuneSpec(MethodSpec):
    """A row of a suite whose settings are searched on a task's validation measurements."""

    rows_per_chunk: int | str
    tune: Tune


@dataclass(frozen=True)
class Run:
    """A run on a task: the name of its row, and its seed."""

    method: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class EvaluateSpec(OnTask):
    """All runs on a task. metrics: plug-ins beside the built-in ones, with parameters."""

    runs: tuple[Run, ...]
    num_samples: int
    metrics: dict[str, Settings] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(Spec):
    """A suite with its counts, for tables, figures and the page.

    left_out: pairs (task, method) that do not run. timed: runs (task, method, seed) that are. figures: all of them in
    the order of the page, with their parameters. compares: False for a suite that only measures times. num_measured:
    for tasks with another number of measurements than the suite. training_seeds: for rows with others than `seeds`.
    claims: whether the papers' claims are tested on it. budget_rows: rows per sample at which the table of distances
    compares. beside: a suite whose published rows are shown among those of this one; "" for none. headline, columns:
    metrics that lead tables and the page; "" and () for the default ones.
    """

    name: str
    seeds: tuple[int, ...]
    num_measurements: int
    num_samples: int
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    timed: tuple[tuple[str, str, int], ...] = ()
    figures: dict[str, Settings] = field(default_factory=dict)
    compares: bool = True
    beside: str = ""
    num_measured: dict[str, int] = field(default_factory=dict)
    training_seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    claims: bool = False
    budget_rows: float | None = None
    headline: str = ""
    columns: tuple[str, ...] = ()

    def seeds_of(self, method: str) -> tuple[int, ...]:
        """Return the seeds of a row."""
        return self.training_seeds.get(method, self.seeds)


@dataclass(frozen=True, kw_only=True)
class ToySpec(Spec):
    """A figure in the plane: `toy` is a scene in bench/papers/toys, `parameters` its fields and `ods` the method's."""

    toy: str
    parameters: Settings = field(default_factory=dict)


def _content_of(value: Any) -> Any:
    """Return a value as JSON stores it; a dataclass as its required fields and those that differ from their default."""
    if dataclasses.is_dataclass(value):
        content = {}
        for item in dataclasses.fields(value):
            part = getattr(value, item.name)
            if part != (item.default_factory() if callable(item.default_factory) else item.default):
                content[item.name] = _content_of(part)
        return content
    if isinstance(value, (tuple, list)):
        return [_content_of(part) for part in value]
    return value
