"""Copy the logs of a suite's tuning to where they are committed, and put their winners in a table.

A search whose winner is at an end of its range is refused, since better settings may lie beyond.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.core.artefacts import Json, read_csv, write_bytes
from bench.core.errors import UserError
from bench.core.text import format_settings, markdown, markdown_table
from bench.report.origins import faults_of
from bench.report.search_ends import end_faults
from bench.runtime.run_method import attempt, load_method
from bench.stats.results import origin_of

COLUMNS = (
    "task",
    "method",
    "settings",
    "energy score",
    "tuned settings",
    "energy score",
    "difference",
)
COLUMNS += ("trials", "CPU-s")

KINDS = {"trials.csv": "", "grid.csv": "grid"}  # of logs -> folder where they are committed


def publish_tuning(folder: Path, into: Path) -> str:
    """Copy tuning/<task>/<method>/trials.csv to `into`/<task>/<method>.csv, and write and return winners.md.

    The table has the winners of all logs in `into`, also of those published before, and of this suite's grids by hand,
    grid.csv, which go to `into`/grid/<task>/<method>.csv. Raises UserError, one line, when there is no log, or
    logs are of edited sources or of several commits, or a winner is at the end of what was searched.
    """
    paths = sorted(path for name in KINDS for path in folder.glob(f"tuning/*/*/{name}"))
    if not paths:
        raise UserError(
            f"{folder}: has no tuning/<task>/<method>/trials.csv; run its tuning first: snakemake tuned"
        )
    logs = {path: read_csv(path) for path in paths}
    faults = faults_of([origin_of(path, info) for path, (_, info) in logs.items()])
    if faults:
        raise UserError(
            f"{folder}: {'; '.join(faults)}; commit, remove {folder}/tuning and tune again"
        )
    for path, (_, info) in logs.items():
        for fault in end_faults(info, partial(accepts, info)):
            raise UserError(f"{path}: {fault}")
    for path in paths:
        task, method, name = path.parts[-3:]
        for suffix in ("", ".info.json"):
            copy = into / KINDS[name] / task / f"{method}.csv{suffix}"
            write_bytes(copy, Path(f"{path}{suffix}").read_bytes())
    published = [read_csv(path) for path in sorted(into.glob("*/*.csv"))]
    grids = [log for path, log in logs.items() if KINDS[path.name]]
    table = markdown_table(COLUMNS, [winner_row(*log) for log in published + grids]) + "\n"
    write_bytes(into / "winners.md", table.encode())
    return table


def accepts(info: Json, settings: Mapping[str, object]) -> bool:
    """Return whether the method of a log takes these settings."""
    return attempt(lambda: load_method(info["module"], dict(settings))).status == "ok"


def winner_row(log: str, info: Json) -> list[str]:
    """Return the settings before and after tuning, their energy scores when both were scored again, and the effort."""
    trials = list(csv.DictReader(io.StringIO(log)))
    winner, start = info["winner"], json.loads(trials[0]["settings"])
    effort = [str(sum(trial["stage"] == "search" for trial in trials)), f"{info['seconds']:.0f}"]
    before = [info["task"], info["method"], format_settings(start)]
    if winner is None:
        return [*before, markdown(trials[0]["reason"]), "", "", "", *effort]
    confirmed = {int(trial["trial"]): trial for trial in trials if trial["stage"] == "confirm"}
    before.append(_score(confirmed[0]))
    if winner["trial"] == 0:
        return [*before, "the same", "", "", *effort]
    changed = {name: value for name, value in winner["settings"].items() if value != start[name]}
    best = confirmed[winner["trial"]]
    gain = (
        _plus_minus(best["difference"], best["difference_error"], "+") if best["difference"] else ""
    )
    return [*before, format_settings(changed), _score(best), gain, *effort]


def _score(trial: Mapping[str, str]) -> str:
    return (
        "failed" if trial["reason"] else _plus_minus(trial["energy_score"], trial["standard_error"])
    )


def _plus_minus(value: str, error: str, sign: str = "") -> str:
    return f"{float(value):{sign}.3f} +- {float(error):.3f}"
