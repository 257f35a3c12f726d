"""The record of finished rehearsals, results/reference/rehearsals.csv, and whether a suite has changed since its own.

The record is committed, so that a fresh checkout knows what has been rehearsed, at which commit and how it ended.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.artefacts import check_recorded, read_csv, read_header, read_json, write_csv
from bench.core.catalogue import EXTRACTORS, LPIPS
from bench.core.errors import UserError
from bench.core.job_costs import read_log
from bench.core.layout import REFERENCE, Layout
from bench.core.papers import REHEARSAL, is_rehearsal
from bench.core.provenance import provenance
from bench.core.shipped import shipped
from bench.papers.experiments import EXPERIMENTS
from bench.papers.protocols import name_of_weights
from bench.papers.stand_ins import FILES
from bench.plan.record import difference
from bench.plan.rehearsal import FOLDER, has_weights, narrow
from bench.plan.suite import Suite
from bench.plan.suite_specs import specs_of
from bench.plan.yaml_file import read_yaml

FILE = REFERENCE / "rehearsals.csv"
AGAIN = "run posterior-bench rehearse again"


@dataclass(frozen=True)
class Rehearsal:
    """A finished rehearsal of a suite, as a row of the record."""

    suite: str  # by its name in config/
    commit: str  # of the sources that made its page
    date: str  # of its page, in UTC
    runs: int
    not_applicable: int  # runs of methods that cannot be applied to their task
    failed: int  # runs that ended with an error
    networks: str  # of the priors: name, family and number of weights
    unused_networks: str  # of metrics: weights were absent, or stand-in images too small
    minutes: float  # of the processor, for all jobs
    twin_sha256: str  # of what was rehearsed, as `fingerprint` says

    @property
    def origin(self) -> str:
        """Return commit and date as text, and whether runs failed."""
        failed = f", {self.failed} of {self.runs} runs failed" if self.failed else ""
        return f"{self.commit[:12]}, {self.date}{failed}"


def record_rehearsal(folder: str | Path) -> Rehearsal:
    """Add the rehearsal in a folder of results to the record, in place of an earlier one of the same suite."""
    new = rehearsal_in(Path(folder))
    rows = sorted((read_rehearsals() | {new.suite: new}).values(), key=lambda row: row.suite)
    write_csv(FILE, text_of(rows), {"provenance": provenance()})
    return new


def read_rehearsals() -> dict[str, Rehearsal]:
    """Return the record by suite; {} where there is none. Raises ArtefactError, one line, where it was edited."""
    try:
        path = shipped(str(FILE))
    except UserError:
        return {}
    kinds = {"runs": int, "not_applicable": int, "failed": int, "minutes": float}
    rows = csv.DictReader(io.StringIO(read_csv(path)[0]))
    given = ({name: kinds.get(name, str)(text) for name, text in row.items()} for row in rows)
    return {row["suite"]: Rehearsal(**row) for row in given}


def text_of(rows: Iterable[Rehearsal]) -> str:
    """Return the text of the record."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [x.name for x in fields(Rehearsal)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def rehearsal_in(folder: Path) -> Rehearsal:
    """Return what is recorded of a finished rehearsal; UserError or ArtefactError, one line, where it is not finished.

    Refused are rehearsals of edited sources, and those whose specs differ from the suite that was written for them.
    """
    layout = Layout(folder)
    if not is_rehearsal(folder) or not layout.report.exists():
        raise UserError(f"{folder}: is no finished rehearsal, results/SUITE{REHEARSAL} with a page")
    check_recorded(layout.report)
    page = read_json(f"{layout.report}.info.json")["provenance"]
    if page["dirty"] is not False:
        raise UserError(
            f"{layout.report}: is of sources that are not committed; commit, and {AGAIN}"
        )
    twin = twin_of_folder(folder)
    ends = Counter(read_header(layout.run(*run).samples)["status"] for run in twin.runs)
    day = datetime.fromtimestamp(layout.report.stat().st_mtime, UTC).date()
    return Rehearsal(
        suite=twin.content["rehearsal_of"],
        commit=page["commit"],
        date=day.isoformat(),
        runs=ends.total(),
        not_applicable=ends["n/a"],
        failed=ends["failed"],
        networks="; ".join(network_of(twin, layout, prior) for prior in twin.content["priors"]),
        unused_networks="; ".join(unused_networks(twin, layout)),
        minutes=round(sum(cost.cpu_seconds for cost in read_log(layout.job_log).values()) / 60, 1),
        twin_sha256=fingerprint(twin.content),
    )


def twin_of_folder(folder: Path) -> Suite:
    """Return the suite that a rehearsal has run, after its specs were compared with it; UserError, one line."""
    home = folder.resolve().parents[1]
    file = home / FOLDER / folder.resolve().name.removesuffix(REHEARSAL) / "suite.yaml"
    if not file.exists():
        raise UserError(f"{file}: is missing, and with it what was rehearsed; {AGAIN}")
    twin = Suite(str(file), read_yaml(file))
    if twin.content.get("rehearsal_of") not in {x.suite for x in EXPERIMENTS}:
        raise UserError(f"{file}: rehearsal_of is no suite of the papers' experiments")
    for path, spec in specs_of(twin):
        there = home / path
        field = difference(str(there), spec) if there.exists() else "everything"
        if field:
            raise UserError(f"{there}: {field} differs from {file}; {AGAIN}")
    return twin


def network_of(twin: Suite, layout: Layout, prior: str) -> str:
    """Return name, family and number of weights of a prior's network."""
    path = layout.prior(prior, twin.family(prior))
    num = read_json(path.with_name("card.json")).get("num_parameters")
    return f"{prior}: {twin.family(prior)}" + (f", {num} weights" if num else "")


def unused_networks(twin: Suite, layout: Layout) -> list[str]:
    """Return the networks of metrics that the suite asks for and that gave no number on any task."""
    asked = networks_of_metrics(twin)
    text = read_csv(layout.table("summary.csv"))[0]
    lines = list(csv.DictReader(io.StringIO(text)))
    measured = {line["metric"] for line in lines if line["mean"]}
    return [name for name in asked if not any(name in metric for metric in measured)]


def networks_of_metrics(suite: Suite) -> list[str]:
    """Return the published networks that the metrics of a suite ask for, by name."""
    metrics: Mapping[str, Any] = suite.content.get("metrics", {})
    asked = [
        *metrics.get("perceptual", {}).get("networks", []),
        *metrics.get("sets", {}).get("extractors", []),
    ]
    known = {**LPIPS, **EXTRACTORS}
    return [name for name in asked if name in known and known[name].weights]


def fingerprint(twin: Mapping[str, Any]) -> str:
    """Return the sha256 of a twin, written or only planned: equal for the same rehearsal.

    Paths and counts of images and the names of weights do not count, since a rehearsal replaces them.
    """
    suite = Suite("", twin)
    datasets = {
        name: {key: value for key, value in (entry or {}).items() if key not in FILES}
        for name, entry in twin["datasets"].items()
    }
    priors = {
        name: narrow(entry, suite.side(entry["dataset"])) if has_weights(entry) else named(entry)
        for name, entry in twin["priors"].items()
    }
    text = json.dumps({**twin, "datasets": datasets, "priors": priors}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def named(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a prior's entry with the name of its pipeline in place of a path."""
    given = entry.get("pipeline")
    return dict(entry) | ({"pipeline": name_of_weights(given)} if given else {})
