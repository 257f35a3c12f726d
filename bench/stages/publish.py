"""Copy a suite's tables and figures to where they are committed: `python -m bench.stages.publish results/<suite>`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.core.artefacts import Json, read_csv, read_json, write_bytes, write_csv, write_json
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.provenance import provenance
from bench.core.results import LEFT_OUT
from bench.report.tables import impurities
from bench.report.timing_table import timing_csv
from bench.runtime.job import run
from bench.stats.results import Origin, SuiteResults, load, origin_of
from bench.stats.summary import summarise, summary_csv

LARGEST = 1_500_000  # bytes of a committed file


def main(*arguments: str) -> None:
    """Publish into results/reference/<suite>/; refuses artefacts of edited sources or of several commits."""
    options = _options(arguments)
    spec = read_json(Path(options.folder) / "specs" / "suite.json")
    if spec.get("timing_only"):
        publish_times(spec, Path(options.into) / spec["name"], options.allow_dirty)
        return
    suite = load(Path(options.folder) / "specs" / "suite.json")
    if read_csv(suite.root / "tables" / "summary.csv")[0] != summary_csv(summarise(suite)):
        raise UserError(f"{suite.root}/tables/summary.csv: is older than the metrics; run the workflow again")
    figures = options.figures or [*suite.figures, *_one_grid_per_prior(suite)]
    sources = [*suite.origins, *_sources_of_outputs(suite, figures)]
    faults = _faults(sources, options.folder, options.allow_dirty)
    into = Path(options.into) / suite.name
    shutil.rmtree(into, ignore_errors=True)
    _copy_tables(suite.root / "tables", into, faults)
    for stem in figures:
        for name in (f"{stem}.png", f"{stem}.csv", f"{stem}.csv.info.json"):
            _copy(suite.root / "figures" / name, into / "figures" / name)
    write_json(into / "provenance.json", _record(suite, sources, faults))


def publish_times(spec: Json, into: Path, allow_dirty: bool) -> None:
    """The tables of a suite that is timing_only, and on what its times were taken."""
    root = Path(spec["root"])
    timings = [Layout(root).run(*timed).timing for timed in spec["timed"]]
    if read_csv(root / "tables" / "timing.csv")[0] != timing_csv([read_json(path) for path in timings]):
        raise UserError(f"{root}/tables/timing.csv: is older than the times; run python -m bench.stages.timing again")
    sources = [origin_of(path, read_json(path)) for path in timings]
    faults = _faults(sources, str(root), allow_dirty)
    shutil.rmtree(into, ignore_errors=True)
    for name in ("timing.csv", "timing.csv.info.json"):
        _copy(root / "tables" / name, into / name)
    beneath = f"- Published with --allow-dirty: {'; '.join(faults)}.\n" if faults else ""
    write_bytes(into / "timing.md", ((root / "tables" / "timing.md").read_text() + beneath).encode())
    machines = [read_json(path)["machine"] for path in timings]
    commits = sorted({found.commit for found in sources})
    record = {"suite": spec["name"], "commits": commits, "faults": list(faults), "num_artefacts": len(sources)}
    record |= {"made_on": [machine for i, machine in enumerate(machines) if machine not in machines[:i]]}
    write_json(into / "provenance.json", record | {"published_by": provenance()})


def _faults(sources: Sequence[Origin], folder: str, allow_dirty: bool) -> tuple[str, ...]:
    faults = impurities(sources)
    if faults and not allow_dirty:
        advice = "commit, remove the folder and run again, or say --allow-dirty"
        raise UserError(f"{folder}: {'; '.join(faults)}; {advice}")
    return faults


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.stages.publish", description=__doc__)
    parser.add_argument("folder", help="results/<suite>")
    parser.add_argument("--allow-dirty", action="store_true", help="publish all the same and say so beneath the tables")
    parser.add_argument("--figures", nargs="+", help="stems in figures/; default: overviews and one grid per prior")
    parser.add_argument("--into", default="results/reference", help="default: results/reference")
    return parser.parse_args(arguments)


def _one_grid_per_prior(suite: SuiteResults) -> list[str]:
    first = {task.measurements.get("prior"): task.name for task in reversed(suite.tasks)}
    return [f"grid-{task.name}" for task in suite.tasks if task.name in first.values()]


def _sources_of_outputs(suite: SuiteResults, figures: Sequence[str]) -> list[Origin]:
    paths = [suite.root / "tables" / "summary.csv", *(suite.root / "figures" / f"{stem}.csv" for stem in figures)]
    return [origin_of(path, read_csv(path)[1]) for path in paths]


def _copy_tables(tables: Path, into: Path, faults: Sequence[str]) -> None:
    for path in sorted(tables.glob("*.csv")):
        text, info = read_csv(path)
        kept = [line for line in text.splitlines(keepends=True) if not line.endswith(f",{LEFT_OUT}\n")]
        info |= {"rows_left_out": f"{len(text.splitlines()) - len(kept)} of pairs that are {LEFT_OUT}"}
        write_csv(into / path.name, "".join(kept), info)
    beneath = f"- Published with --allow-dirty: {'; '.join(faults)}.\n" if faults else ""
    for path in sorted(tables.glob("*.md")):
        write_bytes(into / path.name, (path.read_text() + beneath).encode())


def _copy(path: Path, to: Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: is missing; run the workflow again, or name other --figures")
    if path.stat().st_size > LARGEST:
        print(f"{path}: left out, {path.stat().st_size} bytes are more than {LARGEST}")
    else:
        write_bytes(to, path.read_bytes())


def _record(suite: SuiteResults, sources: Sequence[Origin], faults: Sequence[str]) -> dict:
    return {
        "suite": suite.name,
        "commits": sorted({found.commit for found in sources}),
        "faults": list(faults),
        "num_artefacts": len(sources),
        "observations_sha256": {task.name: task.measurements["observations_sha256"] for task in suite.tasks},
        "made_on": suite.tasks[0].runs[0].header.get("provenance", {}),
        "published_by": provenance(),
    }


if __name__ == "__main__":
    run(main)
