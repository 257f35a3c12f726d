"""Which failures the next run tries again: those of the machine, of parts, and those by a limit that is another now.

A file beside the output that failed counts them. The count only grows, so that the workflow, which reruns a job whose
params have changed, tries once more after each failure and rests after a success.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.artefacts import write_json


def retry_file(output: str | Path) -> Path:
    """Return the file that counts the failures of a job, by the first of its outputs."""
    return Path(f"{output}.retry.json")


def note_failure(
    output: str | Path,
    reason: str,
    is_passing: bool,
    over: Mapping[str, Any] | None = None,
) -> None:
    """Count a failure that is to be tried again, after the output of the job was written; others leave no trace.

    over: the limits, where the process was over one of them: it is tried again once they are others.
    """
    if is_passing or over is not None:
        times = _noted(output).get("times", 0) + is_passing
        content = {"times": times, "over": None if over is None else dict(over), "reason": reason}
        write_json(retry_file(output), content)


def times_tried(output: str | Path, limits: Mapping[str, Any] | None) -> str:
    """Return what has to change for the job of an output to be tried again; "" for one that need not be.

    limits: those of its process now.
    """
    noted = _noted(output)
    times, over = noted.get("times", 0), noted.get("over")
    others = dict(limits or {}) if over is not None and over != dict(limits or {}) else None
    return (f"{times} times" if times else "") + ("" if others is None else f" within {others}")


def _noted(output: str | Path) -> dict[str, Any]:
    try:
        return json.loads(retry_file(output).read_text())
    except (OSError, ValueError):  # a count that cannot be read is none
        return {}
