"""Values of each measurement behind a suite's tables, so that other samples can be compared with its rows in pairs."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pandas as pd

from bench.core.artefacts import write_bytes
from bench.core.published_suites import VALUES
from bench.core.results import DISTANCE, WORTH
from bench.report.tables import is_shown
from bench.stats.published_rows import COLUMNS
from bench.stats.results import SuiteResults

LARGEST = 1_000_000  # bytes of the compressed file
# where the values of all metrics take more, as many of these as fit are published, in this order
LEADING = (DISTANCE, WORTH, "mean_error", "std_ratio", "worth_mean", "sw2sq-128_white", "psnr_mean")


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

    Where the file would have more than LARGEST bytes it holds the leading metrics alone, or is left out, and a line
    says so. Equal values give equal bytes.
    """
    frame = values_frame(suite)
    data = packed(frame)
    if len(data) > LARGEST:
        size, kept = len(data), leading(frame)
        words = (
            f"holds {', '.join(kept)} alone" if kept else "left out; leaderboards show means only"
        )
        print(f"{into / VALUES}: {words}, since {size} bytes are more than {LARGEST}")
        if not kept:
            return {}
        data = packed(frame.loc[frame["metric"].isin(kept)])
    write_bytes(into / VALUES, data)
    return {"values_sha256": hashlib.sha256(data).hexdigest()}


def packed(frame: pd.DataFrame) -> bytes:
    """Return the compressed text of values."""
    text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return gzip.compress(text.encode(), mtime=0)


def leading(frame: pd.DataFrame) -> list[str]:
    """Return as many metrics of LEADING, in order, as fit into a file of LARGEST bytes."""
    known = set(frame["metric"])
    present = [metric for metric in LEADING if metric in known]
    for num in range(len(present), 0, -1):
        if len(packed(frame.loc[frame["metric"].isin(present[:num])])) <= LARGEST:
            return present[:num]
    return []
