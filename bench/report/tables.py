"""The tables of a suite as values: what stands in each cell, whichever way it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.artefacts import Json
from bench.report.results import REFERENCE, Source, Suite, Task
from bench.report.statistics import COSTS, INTERVAL, Summary
from bench.report.text import rounded, shortened

# metric -> what a good sampler does: goes up, goes down, or hits a value; the columns of each task's table
COLUMNS = {
    "psnr_mean": "up",
    "chi2_sample": "= 1",
    "sw2-128": "down",
    "energy": "down",
    "c2st-energy": "= 0.5",
    "mean_error": "down",
    "std_ratio": "= 1",
    "diversity_ratio": "= 1",
    "coverage_exact@0.9": "= 0.9",
    "nfe": "",
    "nfe_vjp": "",
    "seconds_per_sample": "",
}
DISTANCE = "sw2-128"
ROLES = {REFERENCE: "floor", "unconditional": "ceiling"}


@dataclass(frozen=True)
class Cell:
    """A rounded mean with the ends of its interval ("" where there is none), or a reason in words."""

    mean: str
    low: str = ""
    high: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One method; `reason` is set when nothing at all could be measured, and then says why."""

    method: str
    role: str
    cells: tuple[Cell, ...]
    reason: str


@dataclass(frozen=True)
class Table:
    """`title` is a name, `header` says what it is; `columns` are (id, goal)."""

    title: str
    header: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def task_tables(suite: Suite, lines: Sequence[Summary]) -> tuple[Table, ...]:
    """One table per task: reference, oracle, the methods in the order of the config, the ceiling last."""
    found = {(x.task, x.method, x.metric): x for x in lines}
    known = {x.metric for x in lines}
    columns = tuple((metric, goal) for metric, goal in COLUMNS.items() if metric in known)

    def rows(task: str) -> tuple[Row, ...]:
        return tuple(_row(method, [found[task, method, metric] for metric, _ in columns]) for method in ordered(suite))

    return tuple(Table(task.name, task_header(task), columns, rows(task.name)) for task in suite.tasks)


def distance_table(suite: Suite, lines: Sequence[Summary]) -> Table:
    """Tasks down, methods across: distance to the exact posterior."""
    found = {(x.task, x.method): x for x in lines if x.metric == DISTANCE}
    methods = ordered(suite)
    cells = {task.name: tuple(_cell(found.get((task.name, method))) for method in methods) for task in suite.tasks}
    rows = tuple(Row(task, "", of_task, "") for task, of_task in cells.items())
    header = f"{DISTANCE} between the samples of a method and exact draws from the posterior; smaller is better"
    return Table("Distance to the exact posterior", header, tuple((m, ROLES.get(m, "")) for m in methods), rows)


def ordered(suite: Suite) -> tuple[str, ...]:
    """From floor to ceiling: reference, oracle, the methods as configured, unconditional."""
    first = [REFERENCE, *(m for m in suite.methods if m == "oracle")]
    last = [m for m in suite.methods if m == "unconditional"]
    return (*first, *(m for m in suite.methods if m not in (*first, *last)), *last)


def task_header(task: Task) -> str:
    """Operator and parameters, noise, prior, kind of the exact posterior, how many it admits, and its perplexity."""
    seen, exact = task.observations, task.exact
    parameters = ", ".join(f"{name} {value}" for name, value in seen.get("parameters", {}).items())
    parts = [
        f"operator {seen.get('operator')}" + (f" ({parameters})" if parameters else ""),
        f"sigma_y = {seen.get('sigma_y')}",
        f"prior {seen.get('prior')} ({seen.get('family')} on {seen.get('dataset')})",
        f"exact posterior: {exact.get('kind')}",
    ]
    perplexity = [v for v in exact.get("posterior_perplexity") or [] if v is not None]
    if perplexity:
        of = f" {exact['perplexity_of']}" if exact.get("perplexity_of") else ""
        parts.append(f"posterior perplexity {_digits(sum(perplexity) / len(perplexity))}{of} (mean)")
    return "; ".join(parts + _admission(exact))


def notes(suite: Suite, columns: Sequence[str]) -> tuple[str, ...]:
    """What stands beneath a table: sizes, intervals, definitions of its columns, who made it."""
    seeds = f"{len(suite.seeds)} seed" + ("s" if len(suite.seeds) > 1 else "")
    defined = definitions(suite)
    return (
        f"{suite.num_measurements} measurements per task, {suite.num_samples} samples per measurement, {seeds}. "
        f"Mean over measurements; in brackets its {INTERVAL}.",
        "reference: exact posterior draws, as many at a time as a method has samples, measured against a second "
        "set of them: the floor that no sampler can pass; "
        "oracle: exact draws through the same machinery as a method, so it must sit on the floor; "
        "unconditional: draws from the prior that ignore the measurement, the ceiling.",
        *(f"{name}: {defined[name]}" for name in columns if name in defined),
        *made_by(suite.sources),
    )


def definitions(suite: Suite) -> dict[str, str]:
    """What each metric and cost means, in one line each."""
    return {**COSTS, **{name: line for task in suite.tasks for name, line in task.definitions.items()}}


def made_by(sources: Sequence[Source]) -> tuple[str, ...]:
    """The commit behind the artefacts, and a warning when there are several or when sources had been edited."""
    commits = Counter(source.commit for source in sources)
    lines = [f"Made by commit {', '.join(f'{commit[:12]} ({n} files)' for commit, n in commits.most_common())}."]
    return (*lines, *(f"Warning: {text}." for text in impurities(sources)))


def impurities(sources: Sequence[Source]) -> tuple[str, ...]:
    """What forbids publishing: commits that differ or are not known, artefacts of edited sources."""
    commits = sorted({source.commit for source in sources})
    dirty = [source.path for source in sources if source.dirty is not False]
    found = []
    if len(commits) > 1:
        found.append(f"artefacts of {len(commits)} commits are mixed ({', '.join(c[:12] for c in commits)})")
    if "unknown" in commits:
        found.append("the commit of some artefacts is not known")
    if dirty:
        found.append(f"{len(dirty)} of {len(sources)} artefacts were made from uncommitted sources (first: {dirty[0]})")
    return tuple(found)


def _row(method: str, lines: Sequence[Summary]) -> Row:
    measured = [x for x in lines if x.metric not in COSTS]
    reasons = {x.reason for x in measured} if all(x.mean is None for x in measured) else set()
    reason = next(iter(reasons)) if len(reasons) == 1 else ""
    return Row(method, ROLES.get(method, ""), tuple(_cell(x) for x in lines), shortened(reason))


def _cell(line: Summary | None) -> Cell:
    if line is None:
        return Cell("", reason="n/a (not measured)")
    if line.mean is None:
        return Cell("", reason=shortened(line.reason))
    return Cell(*rounded(line.mean, line.low, line.high), reason=shortened(line.reason))


def _admission(exact: Json) -> list[str]:
    admitted = exact.get("admitted") or []
    if all(admitted):
        return []
    reasons = sorted({reason for reason in exact.get("reasons", []) if reason})
    words = f" (not admitted: {shortened('; '.join(reasons))})" if reasons else ""
    return [f"reference admitted for {sum(admitted)} of {len(admitted)} measurements{words}"]


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
