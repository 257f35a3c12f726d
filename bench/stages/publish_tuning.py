"""Copy a suite's logs of tuning to where they are committed, and put their winners in a table:
`python -m bench.stages.publish_tuning results/<suite> [folder]`, by default into results/reference/tuning.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.artefacts import Json, read_csv, write_bytes
from bench.core.errors import UserError
from bench.report.tables import impurities
from bench.runtime.job import run
from bench.stats.results import origin_of

INTO = "results/reference/tuning"
COLUMNS = ("task", "method", "settings", "energy score", "tuned settings", "energy score", "difference")
COLUMNS += ("trials", "CPU-s")


def main(folder: str, into: str = INTO) -> None:
    """Refuses logs of edited sources or of several commits."""
    paths = sorted(Path(folder).glob("tuning/*/*/trials.csv"))
    if not paths:
        raise UserError(f"{folder}: has no tuning/<task>/<method>/trials.csv; run its tuning first: snakemake tuned")
    logs = {path: read_csv(path) for path in paths}
    faults = impurities([origin_of(path, info) for path, (_, info) in logs.items()])
    if faults:
        raise UserError(f"{folder}: {'; '.join(faults)}; commit, remove {folder}/tuning and tune again")
    for path in paths:
        task, method, name = path.parts[-3:]
        for suffix in ("", ".info.json"):
            write_bytes(Path(into) / task / f"{method}.csv{suffix}", Path(f"{path}{suffix}").read_bytes())
    text = table([row_of(read_rows(text), info) for text, info in logs.values()])
    write_bytes(Path(into) / "winners.md", text.encode())
    print(text, end="")


def read_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def row_of(rows: Sequence[Mapping[str, str]], info: Json) -> list[str]:
    """What was, what won and by how much, when both were scored again to confirm."""
    won, searched = info["winner"], json.loads(rows[0]["settings"])
    confirmed = {int(row["trial"]): row for row in rows if row["stage"] == "confirm"}
    end = [str(sum(row["stage"] == "search" for row in rows)), f"{info['seconds']:.0f}"]
    if won is None:
        return [info["task"], info["method"], in_words(searched), rows[0]["reason"], "", "", "", *end]
    first, best = confirmed[0], confirmed[won["trial"]]
    start = [info["task"], info["method"], in_words(searched), score(first)]
    if won["trial"] == 0:
        return [*start, "the same", "", "", *end]
    changed = {name: value for name, value in won["settings"].items() if value != searched[name]}
    return [*start, in_words(changed), score(best), difference(best), *end]


def in_words(settings: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def score(row: Mapping[str, str]) -> str:
    return "failed" if row["reason"] else f"{float(row['energy_score']):.3f} +- {float(row['standard_error']):.3f}"


def difference(row: Mapping[str, str]) -> str:
    if not row["difference"]:
        return ""
    return f"{float(row['difference']):+.3f} +- {float(row['difference_error']):.3f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    lines = [COLUMNS, [":--"] * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    run(main)
