"""The tables of a suite as values: what stands in each cell, whichever way it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.core.results import DISTANCE, REFERENCE, ROLES, Ranking, Summary
from bench.core.text import rounded, shortened
from bench.report.headers import task_header
from bench.stats.comparisons import BOLD, ONE_SEED, SEVERAL_SEEDS, Comparison, resolution, tied
from bench.stats.ranks import rankings
from bench.stats.results import Origin, SuiteResults, TaskResults
from bench.stats.summary import COSTS, EFFECTIVE, INTERVAL

# metric -> what a good sampler does: goes up, goes down, or hits a value; the columns of each task's table
COLUMNS = {
    "psnr_mean": "up",
    "lpips-alex-v0.1@[-1,1]_mean": "down",
    "lpips-alex-v0.1@[-1,1]_pairwise": "up",
    "lpips-vgg-v0.1@[-1,1]_mean": "down",
    "lpips-vgg-v0.1@[-1,1]_pairwise": "up",
    "percept-digits-v1_mean": "down",
    "percept-digits-v1_pairwise": "up",
    "chi2_sample": "= 1",
    "sw2-128": "down",
    "sw2-128_total": "down",
    "energy": "down",
    "energy_total": "down",
    "c2st-energy": "= 0.5",
    "mean_error": "down",
    "mean_error_total": "down",
    "std_ratio": "= 1",
    "diversity_ratio": "= 1",
    "vendi_ratio": "= 1",
    "ksd2-imq": "down",
    "stein_ratio": "= 1",
    "coverage_exact@0.9": "= 0.9",
    "log_reward": "up",
    "frechet-digits-cnn-v1-n32": "down",
    "frechet_floor-digits-cnn-v1-n32": "",
    "nfe": "",
    "nfe_vjp": "",
    "seconds_per_sample": "",
    "train_seconds": "",
    "train_nfe": "",
}
# what only some problems and priors have: no column without a number
OPTIONAL = ("psnr_mean", "lpips", "percept", "chi2_sample", "_total", "log_reward", "frechet", "ksd2", "stein")
TOTAL = "_total"  # ends the id of what is measured against the posterior under a distilled map's teacher
TRAINING = ("train_seconds", "train_nfe")


@dataclass(frozen=True)
class Cell:
    """A rounded mean with the ends of its interval ("" where there is none), or a reason in words.

    tied: with the best of its column (methods down) or row (methods across). remark: what the mean is of.
    """

    mean: str
    low: str = ""
    high: str = ""
    reason: str = ""
    tied: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Row:
    """One method; `reason` is set when nothing at all could be measured, and then says why."""

    method: str
    role: str
    cells: tuple[Cell, ...]
    reason: str


@dataclass(frozen=True)
class Table:
    """`title` is a name, `header` says what it is; `columns` are (id, goal), where `methods_across` (method, role).

    resolution: the smallest differences that its numbers can resolve, in words.
    """

    title: str
    header: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    methods_across: bool = False
    resolution: str = ""

    @property
    def daggers(self) -> tuple[str, ...]:
        """What the marks in its cells mean: a mean over some of the measurements, and whose."""
        whose: dict[str, list[str]] = {}
        for row in self.rows:
            for (column, _), cell in zip(self.columns, row.cells, strict=True):
                if cell.mean and cell.reason:
                    names = whose.setdefault(cell.reason, [])
                    name = column if self.methods_across else row.method
                    names += [] if name in names else [name]
        return tuple(f"{', '.join(names)}: {reason}" for reason, names in whose.items())


DIVERSITY = ("diversity_ratio", "pairwise")  # in the ids of the columns that say how unlike each other samples are
IN_CHAINS = (
    "Samples that are states of chains depend on each other: beside their diversity stands how many independent "
    "samples they are worth (ess_bulk, mean over measurements), ? where that is not known. States that alternate "
    "around their mean may be worth more than their number."
)
COLLAPSE = (
    "Collapse, the vice of reverse-KL training, shows in two columns at once: diversity_ratio well below 1 (samples "
    "too much alike) and coverage_exact@0.9 well below 0.9 (their intervals miss what the posterior allows)."
)


def task_tables(suite: SuiteResults, lines: Sequence[Summary], comparisons: Sequence[Comparison]) -> tuple[Table, ...]:
    """One table per task: reference, oracle, the methods in the order of the config, the ceiling last.

    Totals, and what needs an operator or a reward, have a column where there is a number.
    """
    found = {(x.task, x.method, x.metric): x for x in lines}
    methods, bold = ordered(suite), tied(comparisons)

    def table(task: TaskResults) -> Table:
        of_task = [x for x in lines if x.task == task.name]
        measured = {x.metric for x in of_task if x.mean is not None or not _is_optional(x.metric)}
        columns = tuple((metric, goal) for metric, goal in COLUMNS.items() if metric in measured)
        rows = tuple(_row(m, [found[task.name, m, metric] for metric, _ in columns], bold) for m in methods)
        worth = {m: _effective(suite, task, m, found.get((task.name, m, EFFECTIVE))) for m in methods}
        rows = tuple(_with_effective(row, columns, worth[row.method]) for row in rows)
        resolved = resolution(comparisons, {metric: (task.name, metric) for metric, goal in columns if goal})
        return Table(task.name, task_header(task), columns, rows, resolution=resolved)

    return tuple(table(task) for task in suite.tasks)


def distance_table(suite: SuiteResults, lines: Sequence[Summary], comparisons: Sequence[Comparison]) -> Table:
    """Tasks down, methods across: distance to the exact posterior, and what training took beneath."""
    found = {(x.task, x.method, x.metric): x for x in lines}
    methods, bold = ordered(suite), tied(comparisons)

    def row(name: str, task: str, metric: str) -> Row:
        return Row(name, "", tuple(_cell(found.get((task, method, metric)), bold) for method in methods), "")

    rows = []
    for task in suite.tasks:
        rows.append(row(task.name, task.name, DISTANCE))
        total = row(f"{task.name}, total", task.name, DISTANCE + TOTAL)
        rows += [total] if any(cell.mean for cell in total.cells) else []
    rows += [_rank_row(ranking, methods) for ranking in rankings(suite, (DISTANCE,))]
    for cost in TRAINING:
        rows.append(Row(f"{cost}, all tasks", "", tuple(_sum(lines, method, cost) for method in methods), ""))
    header = (
        f"{DISTANCE} between the samples of a method and exact draws from the posterior; smaller is better. "
        "Below: mean rank among the methods with its 95 % interval over tasks (bold: not told from the best), and the "
        "cost of training, the sum over the tasks where a method ran"
    )
    columns = tuple((method, ROLES.get(method, "")) for method in methods)
    resolved = resolution(comparisons, {task.name: (task.name, DISTANCE) for task in suite.tasks})
    title = "Distance to the exact posterior"
    return Table(title, header, columns, tuple(rows), methods_across=True, resolution=resolved)


def columns_of(tables: Sequence[Table]) -> tuple[str, ...]:
    """Every column of the tasks' tables once, in the order of COLUMNS."""
    present = {name for table in tables for name, _ in table.columns}
    return tuple(name for name in COLUMNS if name in present)


def shown_across(lines: Sequence[Summary]) -> tuple[str, ...]:
    """What the lines of the table of distances are numbers of."""
    measured = {x.metric for x in lines if x.mean is not None}
    return tuple(name for name in (DISTANCE, DISTANCE + TOTAL, *TRAINING) if name in measured)


def ordered(suite: SuiteResults) -> tuple[str, ...]:
    """From floor to ceiling: reference, oracle, the methods as configured, unconditional."""
    first = [REFERENCE, *(m for m in suite.methods if m == "oracle")]
    last = [m for m in suite.methods if m == "unconditional"]
    return (*first, *(m for m in suite.methods if m not in (*first, *last)), *last)


def notes(suite: SuiteResults, columns: Sequence[str]) -> tuple[str, ...]:
    """What stands beneath a table: sizes, intervals, definitions of its columns, who made it."""
    seeds = f"{len(suite.seeds)} seed" + ("s" if len(suite.seeds) > 1 else "")
    defined = definitions(suite)
    return (
        f"{suite.num_measurements} measurements per task, {suite.num_samples} samples per measurement, {seeds}. "
        f"Mean over measurements; in brackets its {INTERVAL}.",
        SEVERAL_SEEDS if len(suite.seeds) > 1 else ONE_SEED,
        BOLD,
        "reference: exact posterior draws, as many at a time as a method has samples, measured against a second "
        "set of them: the floor that no sampler can pass; "
        "oracle: exact draws through the same machinery as a method, so it must sit on the floor; "
        "unconditional: draws from the prior that ignore the measurement, the ceiling.",
        *((COLLAPSE,) if "diversity_ratio" in columns else ()),
        *((IN_CHAINS,) if _has_chains(suite) and any(_is_diversity(name) for name in columns) else ()),
        *(f"{name}: {defined[name]}" for name in columns if name in defined),
        *made_by(suite.origins),
    )


def definitions(suite: SuiteResults) -> dict[str, str]:
    """What each metric and cost means, in one line each."""
    return {**COSTS, **{name: line for task in suite.tasks for name, line in task.definitions.items()}}


def made_by(sources: Sequence[Origin]) -> tuple[str, ...]:
    """The commit behind the artefacts, and a warning when there are several or when sources had been edited."""
    commits = Counter(source.commit for source in sources)
    lines = [f"Made by commit {', '.join(f'{commit[:12]} ({n} files)' for commit, n in commits.most_common())}."]
    return (*lines, *(f"Warning: {text}." for text in impurities(sources)))


def impurities(sources: Sequence[Origin]) -> tuple[str, ...]:
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


def _is_optional(metric: str) -> bool:
    return any(part in metric for part in OPTIONAL)


def _sum(lines: Sequence[Summary], method: str, cost: str) -> Cell:
    """Over the tasks where the method ran."""
    means = [x.mean for x in lines if (x.method, x.metric) == (method, cost) and x.mean is not None]
    return Cell(rounded(sum(means), None, None)[0]) if means else Cell("", reason="n/a")


def _rank_row(ranking: Ranking, methods: Sequence[str]) -> Row:
    cells = dict.fromkeys(methods, Cell("", reason="n/a"))
    numbers = zip(ranking.methods, ranking.mean, ranking.low, ranking.high, strict=True)
    for method, mean, low, high in numbers:
        is_tied = ranking.can_tell and mean - ranking.mean[0] <= ranking.critical
        cells[method] = Cell(*rounded(mean, low, high), tied=is_tied)
    return Row(f"mean rank, {len(ranking.tasks)} of {ranking.num_tasks} tasks", "", tuple(cells.values()), "")


def _row(method: str, lines: Sequence[Summary], bold: frozenset[tuple[str, str, str]]) -> Row:
    measured = [x for x in lines if x.metric not in COSTS]
    reasons = {x.reason for x in measured} if all(x.mean is None for x in measured) else set()
    reason = next(iter(reasons)) if len(reasons) == 1 else ""
    return Row(method, ROLES.get(method, ""), tuple(_cell(x, bold) for x in lines), shortened(reason))


def _with_effective(row: Row, columns: Sequence[tuple[str, str]], remark: str) -> Row:
    """The row with a remark at its diversity."""
    pairs = zip(columns, row.cells, strict=True)
    cells = tuple(replace(cell, remark=remark) if _is_diversity(name) else cell for (name, _), cell in pairs)
    return replace(row, cells=cells)


def _effective(suite: SuiteResults, task: TaskResults, method: str, line: Summary | None) -> str:
    """`11 of 64 effective` for a method whose samples are states of chains; `line` is its ess_bulk."""
    if not any(run.method == method and run.header["joint"] == "chain" for run in task.runs):
        return ""
    if line is None or line.mean is None:
        return f"? of {suite.num_samples} effective"
    return f"{line.mean:.0f} of {suite.num_samples} effective" + (f", {_extent(line.reason)}" if line.reason else "")


def _extent(reason: str) -> str:
    """`over 3 of 16 measurements` of the reason of a mean over some."""
    return reason.split(":")[0]


def _has_chains(suite: SuiteResults) -> bool:
    return any(run.header["joint"] == "chain" for task in suite.tasks for run in task.runs)


def _is_diversity(metric: str) -> bool:
    return any(part in metric for part in DIVERSITY)


def _cell(line: Summary | None, bold: frozenset[tuple[str, str, str]]) -> Cell:
    if line is None:
        return Cell("", reason="n/a (not measured)")
    if line.mean is None:
        return Cell("", reason=shortened(line.reason))
    is_tied = (line.task, line.method, line.metric) in bold and bool(COLUMNS[line.metric])
    return Cell(*rounded(line.mean, line.low, line.high), reason=shortened(line.reason), tied=is_tied)
