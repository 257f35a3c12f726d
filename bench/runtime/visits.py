"""Pool the times of one run from several visits of the clock.

Within a visit, repeats differ by a percent; visits minutes apart, in processes of their own, differ by far more. So a
time is the median of the visits' medians, which are stored as `medians`, and its spread goes from the lower quartile of
the fastest visit to the upper quartile of the slowest. With one visit these are the quartiles of its repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from bench.core.artefacts import Json


def pool_visits(visits: Sequence[Json]) -> Json:
    """Return one record for all visits; that of the first that failed, if one did."""
    failed = next((visit for visit in visits if visit["status"] != "ok"), None)
    pooled = {key: value for key, value in (failed or visits[0]).items() if key != "sha256"}
    if failed:
        return pooled
    curves = [{cell["s"]: cell for cell in visit["curve"]} for visit in visits]
    common = [s for s in curves[0] if all(s in curve for curve in curves)]
    pooled["curve"] = [pool_cells([curve[s] for curve in curves]) for s in common]
    best = pool_cells([visit["throughput"] for visit in visits])
    pooled["throughput"] = best | {"samples_per_second": best["m"] * best["s"] / best["median"]}
    if "compile_seconds" in pooled:
        pooled["compile_seconds"] = median(visit["compile_seconds"] for visit in visits)
    return pooled | {"visits": len(visits)}


def pool_cells(cells: Sequence[Json]) -> Json:
    """Return one cell for cells of the same numbers of measurements and samples."""
    medians = [cell["median"] for cell in cells]
    pooled = cells[0] | {"median": median(medians), "medians": medians}
    pooled |= {
        "low": min(cell["low"] for cell in cells),
        "high": max(cell["high"] for cell in cells),
    }
    pooled |= {
        "repeats": sum(cell["repeats"] for cell in cells),
        "first": median(cell["first"] for cell in cells),
    }
    pooled |= {
        "peak": {name: max(cell["peak"][name] for cell in cells) for name in cells[0]["peak"]}
    }
    pooled |= {"cpu_share": statistic_of_known(min, [cell["cpu_share"] for cell in cells])}
    optional = [name for name in ("joules", "bare") if name in cells[0]]
    return pooled | {
        name: statistic_of_known(median, [cell[name] for cell in cells]) for name in optional
    }


def statistic_of_known(
    statistic: Callable[[list[float]], float], values: Sequence[float | None]
) -> float | None:
    """Return a statistic of the values that are not None; None where all are."""
    known = [value for value in values if value is not None]
    return statistic(known) if known else None
