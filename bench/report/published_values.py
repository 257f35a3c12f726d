"""Values of each measurement behind a suite's tables, so that other samples can be compared with its rows in pairs."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pandas as pd

from bench.core.artefacts import write_bytes
from bench.core.published_suites import VALUES
from bench.report.tables import is_shown
from bench.stats.published_rows import COLUMNS
from bench.stats.results import SuiteResults

LARGEST = 1_000_000  # bytes of the compressed file


def values_frame(suite: SuiteResults) -> pd.DataFrame:
    """Return a line for each value of a metric that the tables show: `COLUMNS`, without failed and missing values."""
    lines = [
        (task.name, score.method, score.seed, score.measurement, score.metric, score.value)
        for task in suite.tasks
        for score in task.scores
        if score.value is not None and is_shown(score.metric)
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def publish_values(suite: SuiteResults, into: Path) -> dict[str, str]:
    """Write values.csv.gz into a folder and return its hash, for the record of provenance.

    A file of more than LARGEST bytes is left out, and a line says so. Equal values give equal bytes.
    """
    text = values_frame(suite).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    data = gzip.compress(text.encode(), mtime=0)
    if len(data) > LARGEST:
        print(
            f"{into / VALUES}: left out, {len(data)} bytes are more than {LARGEST}; leaderboards show means only"
        )
        return {}
    write_bytes(into / VALUES, data)
    return {"values_sha256": hashlib.sha256(data).hexdigest()}
