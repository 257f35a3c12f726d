"""`python -m bench.stages.pool specs/clock/<task>/<method>/seed<k>.json`: timing.json, from all visits of the clock to a run.

Within a visit repeats differ by a percent; visits minutes apart, in processes of their own, by far more. So a time is
the median of the visits' medians, and its spread goes from the lower quartile of the quickest visit to the upper one of
the slowest: the quartiles of the repeats where there is one visit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench.core.artefacts import Json, read_json, write_json
from bench.core.layout import Layout
from bench.core.provenance import provenance
from bench.runtime.job import run


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    folder = Layout(Path(spec["root"])).run(spec["task"], spec["method"], spec["seed"]).folder
    visits = [read_json(folder / "visits" / f"{k + 1}.json") for k in range(spec["clock"].get("visits", 1))]
    write_json(folder / "timing.json", pooled(visits) | {"pooled_by": provenance()})


def pooled(visits: Sequence[Json]) -> Json:
    """One content for all visits; of the first that failed, if one did."""
    failed = next((visit for visit in visits if visit["status"] != "ok"), None)
    whole = {key: value for key, value in (failed or visits[0]).items() if key != "sha256"}
    if failed:
        return whole
    curves = [{cell["s"]: cell for cell in visit["curve"]} for visit in visits]
    common = [s for s in curves[0] if all(s in curve for curve in curves)]
    whole["curve"] = [pooled_cell([curve[s] for curve in curves]) for s in common]
    best = pooled_cell([visit["throughput"] for visit in visits])
    whole["throughput"] = best | {"samples_per_second": best["m"] * best["s"] / best["median"]}
    if "compile_seconds" in whole:
        whole["compile_seconds"] = median(visit["compile_seconds"] for visit in visits)
    return whole | {"visits": len(visits)}


def pooled_cell(cells: Sequence[Json]) -> Json:
    """Of the same numbers of measurements and samples."""
    whole = cells[0] | {"median": median(cell["median"] for cell in cells)}
    whole |= {"low": min(cell["low"] for cell in cells), "high": max(cell["high"] for cell in cells)}
    whole |= {"repeats": sum(cell["repeats"] for cell in cells), "first": median(cell["first"] for cell in cells)}
    whole |= {"peak": {name: max(cell["peak"][name] for cell in cells) for name in cells[0]["peak"]}}
    whole |= {"cpu_share": of_known(min, [cell["cpu_share"] for cell in cells])}
    medians = {key: of_known(median, [cell[key] for cell in cells]) for key in ("joules", "bare") if key in cells[0]}
    return whole | medians


def of_known(statistic: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistic(known) if known else None


if __name__ == "__main__":
    run(main)
