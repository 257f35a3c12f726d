"""The tables of a suite: one for each task, and the distances of all tasks side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache

from bench.core.kinds import by_kind
from bench.core.results import (
    BASELINES,
    DISTANCE,
    DIVERGED,
    INTERACTS,
    OTHER_PRIOR,
    REFERENCE,
    ROLES,
    TOTAL,
    WORTH,
    Ranking,
    Summary,
)
from bench.core.text import rounded, shortened, three_digits
from bench.report.front.columns import DERIVED, LABELS, headline_of, named_columns
from bench.report.front.references import EXACT, NONE, has_reference, modes_of, reference_mode
from bench.report.headers import task_header
from bench.report.table import Cell, Table, cell_of, frame_of, with_methods_down
from bench.stats.comparisons import Comparison, compare, resolution, tied
from bench.stats.ranks import rankings
from bench.stats.results import SuiteResults, TaskResults
from bench.stats.seeds import Spreads, seed_spreads
from bench.stats.spending import above_budget, budget_notes, within_budget, without
from bench.stats.summary import COSTS

# the columns of each task's table, in this order; then those of metrics that are neither here nor in CSV_ONLY
SHOWN = (
    "psnr_mean", "lpips-alex-v0.1@[-1,1]_mean", "lpips-alex-v0.1@[-1,1]_pairwise", "lpips-vgg-v0.1@[-1,1]_mean",
    "lpips-vgg-v0.1@[-1,1]_pairwise", "percept-digits-v1_mean", "percept-digits-v1_pairwise", "chi2_sample", "energy",
    "energy_total", "worth_energy", "worth_mean", "sw2sq-128_white", "sw2-128", "sw2-128_total", "c2st-energy",
    "mean_error", "mean_error_total", "std_ratio", "diversity_ratio", "vendi_ratio", "ksd2-imq", "stein_ratio",
    "coverage_exact@0.9", "log_reward", "class_frechet-digits-convnet-v1-n32",
    "class_frechet_floor-digits-convnet-v1-n32", "class_pairwise-digits-convnet-v1",
    "class_pairwise_floor-digits-convnet-v1", "class_frechet-fashion-convnet-v1-n32",
    "class_frechet_floor-fashion-convnet-v1-n32", "class_pairwise-fashion-convnet-v1",
    "class_pairwise_floor-fashion-convnet-v1", "frechet-digits-cnn-v1-n32", "frechet_floor-digits-cnn-v1-n32", "nfe",
    "nfe_vjp", "seconds_per_sample", "train_seconds", "train_nfe",
)  # fmt: skip
# patterns of the names of metrics that are shown in summary.csv, in figures or in sets.md only
CSV_ONLY = (
    "psnr_sample", "ssim-*", "ppc-*", "lpips-*_sample", "lpips-*_ratio", "percept-*_sample", "percept-*_ratio",
    "std_error", "diversity*", "pairwise-*", "ds6-*",
    "vendi*", "coverage*", "sbc*", "tarp*", "rhat*", "ess_*", "worth_per_*", "sw2sq-128", "*_floor*", "fid-*", "kid-*",
    "precision-*", "recall-*", "density-*", "train_nfe_vjp",
)  # fmt: skip
# parts of the names of metrics that only some problems and priors have; without any number they get no column
OPTIONAL = (
    "psnr_mean",
    "lpips",
    "percept",
    "chi2_sample",
    "_total",
    "log_reward",
    "frechet",
    "ksd2",
    "stein",
)
MOST_ACROSS = (
    24  # methods that are columns of the table of distances; if there are more, they are its rows
)
OF_SEEDS = (DISTANCE, WORTH, "worth_mean", "mean_error")  # columns that show the spread over seeds
TRAINING = ("train_seconds", "train_nfe")
# parts of the names of columns that measure how unlike samples are
DIVERSITY = ("diversity_ratio", "pairwise")
NOTHING = Cell(reason="n/a")
DISTANCES = (
    f"{DISTANCE}: unbiased energy distance between the samples of a method and reference draws of the posterior; "
    f"smaller is better, and exact draws have 0 in expectation. ({OTHER_PRIOR}): the method is not compared with the "
    "others of its task, because it saw the denoiser or the density of the map's teacher and not the map; names that "
    "end with total are distances to the teacher's posterior. Last come the mean rank with its 95 % interval over "
    "tasks, of methods that ran on half of the tasks or more, each pair compared on the tasks where both ran (bold: "
    "cannot be told from the best of these), and the cost of training, summed over the tasks where a method ran"
)

Lines = dict[tuple[str, str, str], Summary]  # by task, method, metric
Bold = Collection[tuple[str, str, str]]  # the same keys


def task_tables(
    suite: SuiteResults, lines: Sequence[Summary], comparisons: Sequence[Comparison]
) -> tuple[Table, ...]:
    """Return one table per task: reference, oracle, the methods in the order of the suite, the ceiling last.

    Rows above the suite's budget are not compared with the others, as in the table of distances.
    """
    within = within_budget(suite)
    comparisons = comparisons if within is suite else compare(within)
    known, bold = {(x.task, x.method, x.metric): x for x in lines}, tied(comparisons)
    headline, tables = headline_of(suite, lines), []
    for task in suite.tasks:
        columns = _columns_of_task(task, lines, headline, named_columns(suite, lines))
        goals = {name: goal_of(name, suite) for name in columns}
        table = _task_table(task, suite, goals, known, bold)
        resolved = resolution(
            comparisons, {name: (task.name, name) for name, goal in goals.items() if goal}
        )
        tables.append(replace(table, resolution=resolved))
    return tuple(tables)


def distance_table(
    suite: SuiteResults, lines: Sequence[Summary], comparisons: Sequence[Comparison]
) -> Table:
    """Return the headline (distances to the posterior), tasks down and methods across, then mean ranks and training."""
    headline = headline_of(suite, lines)
    compared, above, comparisons = at_budget(suite, comparisons, headline)
    known, bold = {(x.task, x.method, x.metric): x for x in lines}, tied(comparisons)
    methods, marks = shown_methods(suite), _marks(suite)
    rows = [row for x in suite.tasks for row in _distance_rows(x, suite, known, bold, headline)]
    rows += _rank_rows(rankings(compared, (headline,)), methods)
    spent = {cost: _sums(lines, cost) for cost in TRAINING}
    rows += [
        (f"{cost}, all tasks", [spent[cost].get(method, NOTHING) for method in methods])
        for cost in TRAINING
    ]
    keys = {task.name: (task.name, headline) for task in suite.tasks}
    title, header = _of_headline(suite, headline)
    table = Table(
        title,
        ". ".join((header, *budget_notes(suite.budget_rows, above))),
        frame_of(rows, methods),
        goals={x: "‡" if x in above else marks.get(x, "") for x in methods},
        methods_across=True,
        resolution=resolution(comparisons, keys),
        kinds=shown_kinds(suite),
    )
    return with_methods_down(table) if len(methods) > MOST_ACROSS else table


def at_budget(
    suite: SuiteResults, comparisons: Sequence[Comparison], headline: str
) -> tuple[SuiteResults, dict[str, float], Sequence[Comparison]]:
    """Return the results within the budget, the rows above it with what they need, and the others' comparisons."""
    above = above_budget(suite, suite.budget_rows)
    compared = without(suite, above, headline) if above else suite
    return compared, above, compare(compared) if above else comparisons


def _of_headline(suite: SuiteResults, headline: str) -> tuple[str, str]:
    """Return title and header of the table of the headline."""
    if headline == DISTANCE and has_reference(suite):
        word = "exact" if EXACT in modes_of(suite.tasks) else "reference"
        return f"Distance to the {word} posterior", DISTANCES
    label = LABELS.get(headline, headline)
    better = {"up": "larger is better", "down": "smaller is better"}.get(
        goal_of(headline, suite), ""
    )
    return (
        f"{label[0].upper()}{label[1:]}",
        f"{headline}: mean over measurements; {better or 'by task'}",
    )


def _marks(suite: SuiteResults) -> dict[str, str]:
    """Return the marks after the names of methods: roles, and whether rows interact or diverged on any task."""
    interacting = {method for task in suite.tasks for method in task.interacting}
    diverged = {method for task in suite.tasks for method in task.diverged}
    return ROLES | dict.fromkeys(interacting, INTERACTS) | dict.fromkeys(diverged, DIVERGED)


def _distance_rows(
    task: TaskResults, suite: SuiteResults, known: Lines, bold: Bold, headline: str
) -> list[tuple[str, list[Cell]]]:
    """Return the distances of all methods on a task, and those to the teacher's posterior where there are any."""
    spreads, rows = seed_spreads(task, suite), []
    for name, metric in ((task.name, headline), (f"{task.name}, total", headline + TOTAL)):
        cells = []
        for method in shown_methods(suite):
            key = (task.name, method, metric)
            remark = _remark(task, method, metric) or seeds_text(known.get(key), spreads)
            cells.append(replace(cell_of(known.get(key), key in bold), remark=remark))
        if metric == headline or any(cell.mean for cell in cells):
            rows.append((name, cells))
    return rows


def columns_of(tables: Sequence[Table]) -> tuple[str, ...]:
    """Return every column of the tasks' tables once, in their order."""
    present = dict.fromkeys(name for table in tables for name in table.frame.columns)
    return (
        *(name for name in SHOWN if name in present),
        *(name for name in present if name not in SHOWN),
    )


def metrics_across(suite: SuiteResults, lines: Sequence[Summary]) -> tuple[str, ...]:
    """Return the metrics and costs that the rows of the table of distances are numbers of."""
    measured = {x.metric for x in lines if x.mean is not None}
    headline = headline_of(suite, lines)
    return tuple(name for name in (headline, headline + TOTAL, *TRAINING) if name in measured)


def ordered_methods(suite: SuiteResults) -> tuple[str, ...]:
    """Return the methods from floor to ceiling: reference, oracle, those of the suite by kind, unconditional."""
    first = [REFERENCE, *(m for m in suite.methods if m == "oracle")]
    last = [m for m in suite.methods if m == "unconditional"]
    others = by_kind((m for m in suite.methods if m not in (*first, *last)), suite.kinds)
    return (*first, *others, *last)


def shown_methods(suite: SuiteResults) -> tuple[str, ...]:
    """Return `ordered_methods`, without the reference if no task has one."""
    return tuple(m for m in ordered_methods(suite) if m != REFERENCE or has_reference(suite))


def shown_kinds(suite: SuiteResults) -> dict[str, str]:
    """Return the kinds of the methods between floor and ceiling; {} if they have only one kind."""
    kinds = {m: kind for m, kind in suite.kinds.items() if m not in BASELINES}
    return kinds if len(set(kinds.values())) > 1 else {}


def goal_of(metric: str, suite: SuiteResults) -> str:
    """Return the better direction of a metric, "up", "down" or "= 0.9"; "" for costs and floors."""
    better = next((task.better[metric] for task in suite.tasks if metric in task.better), None)
    if better is None or "_floor" in metric:
        return ""
    return {"higher": "up", "lower": "down"}[better] if isinstance(better, str) else f"= {better:g}"


@cache
def is_shown(metric: str) -> bool:
    """Return whether a metric has a column in the tables of tasks, where it has a number."""
    return metric in SHOWN or not any(fnmatch(metric, pattern) for pattern in CSV_ONLY)


def _columns_of_task(
    task: TaskResults, lines: Sequence[Summary], headline: str, chosen: Sequence[str]
) -> list[str]:
    """Return the headline and the columns that the suite names, else those of SHOWN and of metrics that a suite adds.

    OPTIONAL columns, and all columns of a task without reference draws, are shown where any method has a number.
    """
    of_task = [x for x in lines if x.task == task.name]
    measured = dict.fromkeys(x.metric for x in of_task if x.mean is not None)
    always = {x.metric for x in of_task if not any(part in x.metric for part in OPTIONAL)}
    always = always if reference_mode(task) != NONE else set()
    if chosen:
        known = dict.fromkeys(x.metric for x in of_task)
        return [x for x in dict.fromkeys((headline, *chosen)) if x in known and x not in DERIVED]
    added = [name for name in measured if name not in SHOWN and is_shown(name)]
    shown = [*(name for name in SHOWN if name in measured or name in always), *added]
    return sorted(shown, key=lambda name: name != headline)


def _task_table(
    task: TaskResults, suite: SuiteResults, goals: dict[str, str], known: Lines, bold: Bold
) -> Table:
    rows, reasons, spreads = [], {}, seed_spreads(task, suite)
    has_floor = reference_mode(task) != NONE
    methods = [m for m in ordered_methods(suite) if m != REFERENCE or has_floor]
    for method in sorted(methods, key=task.unranked.__contains__):
        of_method = [known[task.name, method, metric] for metric in goals]
        worth = _worth_of_samples(known.get((task.name, method, WORTH)))
        cells = []
        for line in of_method:
            cell = cell_of(
                line, bool(goals[line.metric]) and (task.name, method, line.metric) in bold
            )
            is_diversity = any(part in line.metric for part in DIVERSITY)
            remark = worth if is_diversity else seeds_text(line, spreads)
            cells.append(replace(cell, remark=remark))
        rows.append((method, cells))
        if reason := _reason_for_all(of_method):
            reasons[method] = shortened(reason)
    roles = ROLES | dict.fromkeys(task.unranked, OTHER_PRIOR)
    roles |= dict.fromkeys(task.interacting, INTERACTS) | dict.fromkeys(task.diverged, DIVERGED)
    frame, kinds = frame_of(rows, goals), shown_kinds(suite)
    return Table(task.name, task_header(task), frame, goals, roles, reasons, kinds=kinds)


def seeds_text(line: Summary | None, spreads: Spreads) -> str:
    """Return `seeds 0.012`, the spread over seeds beside the mean of a leading metric; "" where there is none."""
    if line is None or line.mean is None or line.metric.removesuffix(TOTAL) not in OF_SEEDS:
        return ""
    spread = spreads.get((line.method, line.metric))
    return "" if spread is None else f"seeds {spread:.2g}"


def _reason_for_all(lines: Sequence[Summary]) -> str:
    """Return the reason why a method has no number in any metric, if it is the same for all; costs do not count."""
    measured = [x for x in lines if x.metric not in COSTS]
    reasons = {x.reason for x in measured}
    return reasons.pop() if len(reasons) == 1 and all(x.mean is None for x in measured) else ""


def _worth_of_samples(line: Summary | None) -> str:
    """Return `worth 11 exact draws`, of all samples of a measurement by their energy distance; "" if not known."""
    if line is None or line.mean is None:
        return ""
    over_some = f", {line.reason.split(':')[0]}" if line.reason else ""
    return f"worth {three_digits(line.mean)} exact draws{over_some}"


def _remark(task: TaskResults, method: str, metric: str) -> str:
    """Return the remark after a number of a method that is not compared with the others; "" for the others."""
    return OTHER_PRIOR if metric == DISTANCE and method in task.unranked else ""


def _rank_rows(rankings: Sequence[Ranking], methods: Sequence[str]) -> list[tuple[str, list[Cell]]]:
    """Return a row of mean ranks; where there are budgets, each method is ranked among the rows of its budget."""
    cells = dict.fromkeys(methods, NOTHING)
    for ranking in rankings:
        counts = zip(ranking.methods, ranking.num_tasks_of, strict=True)
        of = {m: f"{num} tasks" if num < len(ranking.tasks) else "" for m, num in counts}
        numbers = zip(ranking.methods, ranking.mean, ranking.low, ranking.high, strict=True)
        for method, mean, low, high in numbers:
            is_tied = ranking.can_tell and mean - ranking.mean[0] <= ranking.critical
            cells[method] = Cell(*rounded(mean, low, high), tied=is_tied, remark=of[method])
    if not rankings:
        return []
    words = "mean rank in its budget" if any(x.budget for x in rankings) else "mean rank"
    name = f"{words}, {len(rankings[0].tasks)} of {rankings[0].num_tasks} tasks"
    return [(name, list(cells.values()))]


def _sums(lines: Sequence[Summary], cost: str) -> dict[str, Cell]:
    """Return the sum of a cost over tasks, by method."""
    means: dict[str, list[float]] = {}
    for x in lines:
        if x.metric == cost and x.mean is not None:
            means.setdefault(x.method, []).append(x.mean)
    return {method: Cell(three_digits(sum(own))) for method, own in means.items()}
