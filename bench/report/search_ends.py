"""Find winners of a tuning search that lie at an end of the range that was searched: better settings may lie beyond."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from bench.core.artefacts import Json

NEAR = 0.03  # share of a range that counts as its end; of its logarithm, where the range is logarithmic

Accepts = Callable[[Mapping[str, object]], bool]  # whether a method takes these settings


def end_faults(log: Json, accepts: Accepts) -> Iterator[str]:
    """Yield a line for each field whose winning value is at an end of its range or grid.

    log: the record of a search, with `ranges`: field -> [low, high, "linear" | "log" | "grid"]. Ends beyond which the
    method accepts no value do not count.
    """
    if log["winner"] is None:
        return
    settings = log["winner"]["settings"]
    for field, (low, high, scale) in log["ranges"].items():
        value = settings[field]
        end = "low" if _is_near(value, low, high, scale) else ""
        end = end or ("high" if _is_near(value, high, low, scale) else "")
        beyond = _beyond(low, high, scale, end)
        if end and accepts(settings | {field: type(value)(beyond)}):
            kind = "grid" if scale == "grid" else "range"
            yield (
                f"{log['task']} {log['method']}: {field} = {value:g} wins at the {end} end of its {kind} "
                f"[{low:g}, {high:g}]: extend it beyond {low if end == 'low' else high:g} and tune again"
            )


def _is_near(value: float, end: float, other: float, scale: str) -> bool:
    if scale == "grid":
        return value == end
    position = math.log if scale == "log" else float
    return abs(position(value) - position(end)) <= NEAR * abs(position(other) - position(end))


def _beyond(low: float, high: float, scale: str, end: str) -> float:
    """Return a value as far beyond an end as the range is wide, in the logarithm where both ends are positive."""
    start, other = (low, high) if end == "low" else (high, low)
    if scale != "linear" and min(low, high) > 0:
        return start * start / other
    return 2 * start - other
