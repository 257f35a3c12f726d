"""Remember which failed jobs the next run tries again.

These are failures of the machine (a shortage), of a data set or prior that could not be made, and of a limit that has
been changed since. A file beside the job's output counts its failures, and the count is among the job's params. It only
grows, so the workflow, which reruns a job whose params have changed, tries once more after each failure, and no more
after a success.
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
    """Count a failure that is to be tried again, after the output of the job was written; others are not noted.

    is_passing: whether the same job may succeed later. over: the limits of the process, where it exceeded one of them;
    it is tried again once they are changed.
    """
    if is_passing or over is not None:
        times = _noted(output).get("times", 0) + is_passing
        content = {"times": times, "over": None if over is None else dict(over), "reason": reason}
        write_json(retry_file(output), content)


def times_tried(output: str | Path, limits: Mapping[str, Any] | None) -> str:
    """Return a text that changes whenever the job of an output has to be tried again; "" for one that need not be.

    limits: those of its process in this run.
    """
    noted = _noted(output)
    times, over = noted.get("times", 0), noted.get("over")
    others = dict(limits or {}) if over is not None and over != dict(limits or {}) else None
    return (f"{times} times" if times else "") + ("" if others is None else f" within {others}")


def _noted(output: str | Path) -> dict[str, Any]:
    try:
        return json.loads(retry_file(output).read_text())
    except (OSError, ValueError):  # no failure was noted, or the count cannot be read
        return {}
