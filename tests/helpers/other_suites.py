"""Suites of other shapes, made of the synthetic one: no reference draws, one task, one method, twenty methods."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

from bench.core.artefacts import (
    read_csv,
    read_json,
    read_tensors,
    write_csv,
    write_json,
    write_tensors,
)
from bench.core.text import csv_text
from helpers.synthetic_results import TASKS, edit_spec, write_results

WITHOUT = "n/a (reference not admitted: the suite asks for none)"
OF_REFERENCE = (
    "energy", "worth", "sw2", "c2st", "mean_error", "std_ratio", "diversity_ratio", "vendi", "coverage_exact",
)  # fmt: skip
COLUMNS = ("task", "method", "seed", "observation", "metric", "value", "reason")


def write_without_reference(root: Path, tasks: tuple[str, ...] = tuple(TASKS)) -> Path:
    """Write the synthetic suite as if these tasks had no reference draws; return its spec."""
    spec = write_results(root)
    for task in tasks:
        path = root / "tasks" / task / "exact.safetensors"
        tensors, header = read_tensors(path)
        num = len(header["admitted"])
        none = {
            "kind": "none",
            "admitted": [False] * num,
            "reasons": ["the suite asks for none"] * num,
        }
        kept = {key: tensor * float("nan") for key, tensor in tensors.items()}
        write_tensors(path, kept, {key: x for key, x in header.items() if key != "sha256"} | none)

        def edited(row: dict[str, str]) -> tuple[str, str]:
            needs = row["method"] == "reference" or row["metric"].startswith(OF_REFERENCE)
            return ("", row["reason"] or WITHOUT) if needs else (row["value"], row["reason"])

        _rewrite(root / "tasks" / task / "metrics.csv", edited)
    return spec


def write_one_task(root: Path) -> Path:
    """Write the suite with one task."""
    spec = write_results(root)
    edit_spec(spec, tasks=["gmm-inpaint-box"], left_out=[])
    return spec


def write_one_method(root: Path) -> Path:
    """Write the suite with one method and neither exact sampler nor ceiling."""
    spec = write_results(root)
    edit_spec(spec, tasks=["gmm-inpaint-box", "gmm-phase"], methods=["dps"], left_out=[])
    return spec


def write_twenty_methods(root: Path) -> Path:
    """Write one task of the suite with eighteen copies of a method, the exact sampler and the ceiling."""
    spec, task = write_results(root), "gmm-inpaint-box"
    names = [f"method-{k}" for k in range(18)]
    for name in names:
        shutil.copytree(root / "runs" / task / "dps", root / "runs" / task / name)
    path = root / "tasks" / task / "metrics.csv"
    text, info = read_csv(path)
    rows = list(csv.DictReader(io.StringIO(text)))
    rows += [{**row, "method": name} for row in rows if row["method"] == "dps" for name in names]
    write_csv(path, csv_text(COLUMNS, [[row[c] for c in COLUMNS] for row in rows]), info)
    edit_spec(spec, tasks=[task], methods=["oracle", "unconditional", *names], left_out=[])
    return spec


def write_pages(spec: Path) -> Path:
    """Write the tables and the page of a suite and return the page."""
    from bench.stages import published, report, tables

    if read_json(spec).get("claims"):
        write_json(spec, {**read_json(spec), "claims": False})
    for stage in (tables, published, report):
        stage.main(str(spec))
    return spec.parents[1] / "report.html"


def _rewrite(path: Path, edited) -> None:
    text, info = read_csv(path)
    rows = list(csv.DictReader(io.StringIO(text)))
    lines = []
    for row in rows:
        row["value"], row["reason"] = edited(row)
        lines.append([row[column] for column in COLUMNS])
    write_csv(path, csv_text(COLUMNS, lines), info)
