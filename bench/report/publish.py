"""Copy the tables and figures of a suite to where they are committed, with a record of who made them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.core.artefacts import Json, read_csv, read_json, write_bytes, write_csv, write_json
from bench.core.errors import UserError
from bench.core.kinds import OTHER
from bench.core.layout import REPRODUCTION_TABLES, Layout
from bench.core.papers import is_rehearsal
from bench.core.provenance import provenance
from bench.core.results import LEFT_OUT
from bench.report.cost_table import those_with_times
from bench.report.origins import refuse_faults
from bench.report.published_values import publish_values
from bench.report.timing_table import timing_csv
from bench.stats.results import Origin, SuiteResults, origin_of
from bench.stats.summary import summarise, summary_csv

LARGEST = 1_500_000  # bytes of a committed file


def publish_suite(
    suite: SuiteResults,
    figures: Sequence[str],
    into: Path,
    allow_dirty: bool,
    unchanged: bool = False,
) -> None:
    """Copy tables, values, figures and their provenance into the folder `into`, which is emptied first.

    Raises UserError, one line, when the tables are older than the metrics, when a figure is missing, and when artefacts
    are of edited sources or of several commits, unless allow_dirty. unchanged: several commits are no fault, since the
    workflow of this commit would make none of them again.
    """
    refuse_rehearsal(suite.root)
    layout = Layout(suite.root)
    summary = layout.table("summary.csv")
    if read_csv(summary)[0] != summary_csv(summarise(suite)):
        raise UserError(f"{summary}: is older than the metrics; run the workflow again")
    made = [summary, *(layout.figure(figure, "csv") for figure in figures)]
    origins = [*suite.origins, *(origin_of(path, read_csv(path)[1]) for path in made)]
    faults = refuse_faults(origins, str(suite.root), allow_dirty, unchanged)
    shutil.rmtree(into, ignore_errors=True)
    _copy_tables(summary.parent, into, faults)
    for figure in figures:
        for kind in ("png", "csv", "csv.info.json"):
            path = layout.figure(figure, kind)
            copied(path, into / "figures" / path.name)
    record = {
        "observations_sha256": {x.name: x.measurements["observations_sha256"] for x in suite.tasks},
        "num_samples": suite.num_samples,
        "other_prior": {x.name: sorted(x.unranked) for x in suite.tasks if x.unranked},
        "kinds": {x: kind for x, kind in suite.kinds.items() if kind != OTHER},
        "made_on": suite.tasks[0].runs[0].header.get("provenance", {}),
        "unchanged_since_they_were_made": unchanged,
    }
    write_record(into, suite.name, origins, faults, record | publish_values(suite, into))


def refuse_rehearsal(root: Path) -> None:
    """Raise UserError, one line, for the results of networks of random weights."""
    if is_rehearsal(root):
        raise UserError(
            f"{root}: is a rehearsal, with networks of random weights; run the suite itself"
        )


def publish_times(
    layout: Layout, name: str, timed: Sequence[Sequence], into: Path, allow_dirty: bool
) -> None:
    """Copy the tables of a suite that only measures times; timed: (task, method, seed) of its runs. Errors as above."""
    refuse_rehearsal(layout.root)
    paths = [layout.run(*run).timing for run in timed]
    timings, table = [read_json(path) for path in paths], layout.table("timing.csv")
    if read_csv(table)[0] != timing_csv(timings):
        raise UserError(
            f"{table}: is older than the times; run python -m bench.stages.timing again"
        )
    origins = [origin_of(path, timing) for path, timing in zip(paths, timings, strict=True)]
    faults = refuse_faults(origins, str(layout.root), allow_dirty)
    shutil.rmtree(into, ignore_errors=True)
    for path in (table, table.with_name("timing.csv.info.json")):
        copied(path, into / path.name)
    _copy_page(table.with_name("timing.md"), into, faults)
    machines = [timing["machine"] for timing in those_with_times(timings)]
    distinct = [machine for i, machine in enumerate(machines) if machine not in machines[:i]]
    write_record(into, name, origins, faults, {"made_on": distinct})


def one_grid_per_prior(suite: SuiteResults) -> list[str]:
    """Return the figures `grid-<task>` of the first task of each prior."""
    first = {task.measurements.get("prior"): task.name for task in reversed(suite.tasks)}
    return [f"grid-{task.name}" for task in suite.tasks if task.name in first.values()]


def _copy_tables(tables: Path, into: Path, faults: Sequence[str]) -> None:
    """Copy every csv, without the rows of pairs that the suite leaves out, and every page.

    Tables that compare the suite with results published before are not copied.
    """
    for path in sorted(set(tables.glob("*.csv")) - {tables / REPRODUCTION_TABLES[0]}):
        text, info = read_csv(path)
        kept = [
            line for line in text.splitlines(keepends=True) if not line.endswith(f",{LEFT_OUT}\n")
        ]
        left_out = f"{len(text.splitlines()) - len(kept)} of pairs that are {LEFT_OUT}"
        info = {key: value for key, value in info.items() if key != "files"}
        write_csv(into / path.name, "".join(kept), {**info, "rows_left_out": left_out})
    for path in sorted(set(tables.glob("*.md")) - {tables / REPRODUCTION_TABLES[1]}):
        _copy_page(path, into, faults)


def _copy_page(path: Path, into: Path, faults: Sequence[str]) -> None:
    note = f"- Published with --allow-dirty: {'; '.join(faults)}.\n" if faults else ""
    write_bytes(into / path.name, (path.read_text() + note).encode())


def copied(path: Path, to: Path) -> None:
    """Copy a file unless it is larger than what is committed; UserError, one line, where it is missing."""
    if not path.exists():
        raise UserError(f"{path}: is missing; run the workflow again, or name other --figures")
    if path.stat().st_size > LARGEST:
        print(f"{path}: left out, {path.stat().st_size} bytes are more than {LARGEST}")
    else:
        write_bytes(to, path.read_bytes())


def write_record(
    into: Path, suite: str, origins: Sequence[Origin], faults: Sequence[str], more: Json
) -> None:
    """Write provenance.json: the commits of the artefacts, their faults, and the entries of `more`."""
    commits = sorted({origin.commit for origin in origins})
    record = {
        "suite": suite,
        "commits": commits,
        "faults": list(faults),
        "num_artefacts": len(origins),
    }
    write_json(into / "provenance.json", record | more | {"published_by": provenance()})
