"""Compare a suite with its published results: `python -m bench.stages.reproduce results/<suite>/specs/suite.json`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from bench.core.artefacts import write_csv
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.provenance import provenance
from bench.core.results import LEFT_OUT, REFERENCE
from bench.core.specs import SuiteSpec
from bench.report.published_values import values_frame
from bench.report.reproduction_page import Reproduction
from bench.runtime.job import run
from bench.stats.counterparts import only_on_one_side, other_measurements
from bench.stats.published_rows import PublishedRows, published_rows, summary_of
from bench.stats.reproduction import DIFFERS, UNTESTED, Cell, compare_exactly, compare_values
from bench.stats.results import SuiteResults, load

COUNTS = ("nfe", "nfe_vjp", "train_nfe")  # compared exactly
RUNS = "nfe"  # what each run has that ended well; "n/a" where a method cannot run


def main(spec_path: str) -> None:
    """Write tables/reproduction.csv and .md and print a line; exit status 1 unless all that is published is reproduced.

    It is not where a cell differs, none can be tested, or a published row is absent.

    Raises UserError, one line, when the suite is not finished, nothing is published, or nothing can be compared.
    """
    if not Path(spec_path).exists():
        raise UserError(f"{spec_path}: is missing; run the suite first (posterior-bench run SUITE)")
    spec = SuiteSpec.read(spec_path)
    published = published_rows(spec.name)
    if not spec.compares:
        raise UserError(f"suite {spec.name} only measures times, which are not compared")
    found = compared(load(spec_path), published)
    layout = Layout(Path(spec.root))
    about = {"suite": spec.name, "published": published.commit, "provenance": provenance()}
    page = {"reproduction.md": found.page().encode()}
    write_csv(layout.table("reproduction.csv"), found.csv(), about, page)
    print("\n".join([found.summary(), *found.gaps, str(layout.table("reproduction.md"))]))
    if not found.is_reproduced:
        sys.exit(1)


def compared(suite: SuiteResults, published: PublishedRows) -> Reproduction:
    """Return the comparison of results with published ones, on the tasks whose measurements are the same."""
    hashes = {task.name: task.measurements["observations_sha256"] for task in suite.tasks}
    same, gaps = other_measurements(published.record["observations_sha256"], hashes)
    if not same:
        raise UserError(
            f"suite {suite.name}: no task has the measurements of the published results; nothing to compare"
        )
    old, new = published.values, values_frame(suite)
    other = [task for task in hashes if task not in same]
    kept = [side.loc[~side["task"].isin(other)] for side in (old, new)]
    gaps += only_on_one_side(kept[0], kept[1])
    trained = {
        (task.name, made.method)
        for task in suite.tasks
        for made in task.runs
        if made.cost.get("train_nfe")
    }
    before, now = published.summary, summary_of(Layout(suite.root).table("summary.csv"))
    old, new, before, now = (side.loc[side["task"].isin(same)] for side in (old, new, before, now))
    harmonic = {metric for task in suite.tasks for metric in task.harmonic}
    cells = [*compare_values(old, new, trained, harmonic), *compare_exactly(before, now, COUNTS)]
    cells = _with_failures(cells, before, now)
    cells = (*cells, *_without_values(cells, old, now))
    if not cells:
        raise UserError(
            f"suite {suite.name}: no row has the name of a published one, so nothing can be compared"
        )
    absent = _absent(published.summary, now)
    return Reproduction(suite.name, published.commit, cells, tuple(gaps), absent)


def _absent(published: pd.DataFrame, here: pd.DataFrame) -> int:
    """Return on how many tasks a published row has no run here, or one of other measurements."""
    runs = published.loc[(published["metric"] == RUNS) & published["mean"].notna()]
    made = here.loc[(here["metric"] == RUNS) & (here["reason"] != LEFT_OUT)]
    return len(set(_pairs(runs)) - set(_pairs(made)))


def _pairs(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    return zip(frame["task"], frame["method"], strict=True)


def _with_failures(
    cells: Collection[Cell], published: pd.DataFrame, here: pd.DataFrame
) -> list[Cell]:
    """Return the cells, with those that failed on one side and have a number on the other as not reproduced."""
    keys = ["task", "method", "metric"]
    both = published.merge(here, on=keys, suffixes=("_published", "_here"))
    known = {(cell.task, cell.method, cell.metric): cell for cell in cells}
    for side, other in (("here", "published"), ("published", "here")):
        failed = both.loc[(both[f"num_failed_{side}"] > 0) & both[f"mean_{other}"].notna()]
        for line in failed.to_dict(orient="records"):
            key = (line["task"], line["method"], line["metric"])
            reason = f"{side}: {line[f'reason_{side}']}"
            known[key] = replace(known.get(key, Cell(*key)), verdict=DIFFERS, reason=reason)
    return list(known.values())


def _without_values(
    cells: Collection[Cell], published: pd.DataFrame, here: pd.DataFrame
) -> Iterator[Cell]:
    """Yield a cell for each published one of a row that this suite has, too, and that has no value here.

    A row that does not run any more is not reproduced. A single metric without a number (chains that have not mixed,
    absent weights) cannot be tested.
    """
    keys = ["task", "method", "metric"]
    known = {(cell.task, cell.method, cell.metric) for cell in cells}
    lines = {tuple(line[key] for key in keys): line for line in here.to_dict(orient="records")}
    for task, method, metric in published[keys].drop_duplicates().itertuples(index=False):
        run = lines.get((task, method, RUNS))
        if run is None or run["reason"] == LEFT_OUT or (task, method, metric) in known:
            continue
        runs_no_more = method != REFERENCE and str(run["reason"]).startswith("n/a")
        line = run if runs_no_more else lines.get((task, method, metric), {})
        reason = f"here: {line.get('reason') or 'no such metric'}"
        verdict = DIFFERS if runs_no_more else UNTESTED
        yield Cell(task, method, metric, verdict=verdict, reason=reason)


if __name__ == "__main__":
    run(main)
