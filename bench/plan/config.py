"""Read a suite's YAML, and report in one line what is wrong with it: which file, which key, what was expected.

The schema checks keys, types, limits and names; faults that no schema can express are found here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.compute import compute_fault
from bench.core.errors import UserError
from bench.core.layout import PUBLISHED as PUBLISHED
from bench.core.published_suites import published_record, published_suites, suite_beside
from bench.core.registry import Kind, find, names, plugin_of
from bench.core.source import Source, read_source
from bench.plan.entries import num_measurements_of, prior_of
from bench.plan.metrics import metric_faults
from bench.plan.paper_faults import paper_faults
from bench.plan.schema import Fault, as_number, dataset_plugin, one_of, schema_faults
from bench.plan.sizes import num_test_faults
from bench.plan.yaml_file import read_yaml

CONFIG = Path("config")
COMMITTED = ("reference", "published")  # folders of results/
RESERVED = "reference"  # the floor's row in each table
PRIOR_KEYS = {"family", "dataset", "teacher"}  # other keys of a prior are its family's parameters
NOISE_KEYS = {"sigma_y", "noise", "rate"}
# other keys of a task are its operator's parameters
TASK_KEYS = {"operator", "settings", "prior", "truth", "num_measurements", "reference"} | NOISE_KEYS
ROW_KEYS = {"plugin", "limits"}  # other keys of a row are its method's parameters
SIGMA_RANGE = (1e-5, 1e9)  # a float32 near 1 has steps of 6e-8
RATE_RANGE = (1e-20, 1e8)  # its noise has a standard deviation of about sqrt(2 / (255 rate))
MOST_RUNS = 20_000
# keys that make no sense in a suite that is timing_only
ONLY_COMPARED = ("metrics", "budget", "beside")
# a suite of toys makes none
NO_COMPARISON = {"seeds": [], "datasets": {}, "priors": {}, "tasks": {}, "methods": {}}


def read_suite(
    config: Mapping[str, Any], configfiles: Sequence[str | Path] = ()
) -> tuple[str, dict]:
    """Return file and checked content of the suite that the command line chose.

    config, configfiles: Snakemake's own, from `--config suite=<name or path>` or `--configfile <path>`; neither means
    the default suite. Raises UserError, one line with file and key.
    """
    path, content = _chosen(config, configfiles)
    fault = next(_faults(path, content), None)
    if fault:
        where, what = fault
        place = ".".join(" ".join(str(key).split()) for key in where)
        raise UserError(": ".join([str(path), *([place] if where else []), what]))
    if "toys" in content:
        return str(path), NO_COMPARISON | content
    return str(path), _counts_of_clock(content) | content if content.get("timing_only") else content


def module_of(content: Mapping[str, Any], row: str) -> str:
    """Return the plug-in of a row: the one it names, or the one that its name starts with."""
    return (content["methods"].get(row) or {}).get("plugin") or plugin_of("method", row)


def method_file(content: Mapping[str, Any], row: str) -> Path | None:
    """Return the file of a row's method; None where there is none."""
    return find("method", module_of(content, row))


def method_source(content: Mapping[str, Any], row: str) -> Source | None:
    """Return what the source of a row's method says; None where it cannot be read."""
    file = method_file(content, row)
    return read_source(file) if file else None


def settings_of(content: Mapping[str, Any], task: str, method: str) -> dict:
    """Return the hyperparameters of a method on a task: the method's own, then what the task says differently."""
    settings = {
        **content["methods"][method],
        **content["tasks"][task].get("settings", {}).get(method, {}),
    }
    return {name: value for name, value in settings.items() if name not in ROW_KEYS}


def limits_of(content: Mapping[str, Any], row: str) -> dict[str, float]:
    """Return the limits of a row's processes: the suite's, then what the row says differently."""
    return {**content.get("limits", {}), **(content["methods"].get(row) or {}).get("limits", {})}


def _counts_of_clock(content: Mapping[str, Any]) -> dict:
    """Return what a suite that is timing_only need not say: runs are as large as the clock's largest."""
    most = max(content["clock"]["num_samples"])
    return {"num_samples": most, "num_reference": most, "rows_per_chunk": most}


def _chosen(config: Mapping[str, Any], configfiles: Sequence[str | Path]) -> tuple[Path, Any]:
    if configfiles:
        if len(configfiles) > 1 or "suite" in config:
            raise UserError(
                "suites are not merged: give one --configfile, or one --config suite=..."
            )
        return Path(configfiles[0]), read_yaml(Path(configfiles[0]))
    others = sorted(set(config) - {"suite"})
    if others:
        raise UserError(
            f"--config {others[0]}=...: unknown; only suite=<name or path> is read, the rest is in the suite's file"
        )
    name = str(config.get("suite", "default"))
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIG / f"{name}.yaml"
    if not path.is_file():
        suites = sorted(file.stem for file in CONFIG.glob("*.yaml"))
        raise UserError(f"--config suite={name}: {path} does not exist; {one_of(suites, name)}")
    return path, read_yaml(path)


def _faults(path: Path, content: Any) -> Iterator[Fault]:
    """Yield what is wrong, in order of reading. Later checks rely on the earlier ones having found nothing."""
    yield from schema_faults(content)
    yield from _name_faults(path, content)
    if "toys" in content:
        return
    if fault := compute_fault(content):
        yield fault[:1], fault[1]
    if content.get("timing_only"):
        content = _counts_of_clock(content) | content
    yield from _size_faults(content)
    yield from _timing_faults(content)
    yield from _task_faults(content)
    yield from metric_faults(content)
    yield from _plugin_faults(content)
    yield from num_test_faults(content)
    for prior, entry in content["priors"].items():
        yield from _teacher_faults(prior, entry, content["priors"])
    for method, entry in content.get("restrict", {}).items():
        yield from _restriction_faults(content, method, entry)
    for method in content["methods"]:
        yield from _method_faults(content, method)
    yield from _tune_faults(content)
    yield from _beside_faults(content)
    yield from paper_faults(content)
    if not set(content["seeds"]) <= set(content.get("training_seeds", content["seeds"])):
        yield ("training_seeds",), f"expected those of seeds, {content['seeds']}, and further ones"


def _restriction_faults(
    content: Mapping[str, Any], method: str, entry: Mapping[str, Any]
) -> Iterator[Fault]:
    """Yield more measurements than the row's tasks have, and seeds that are not some of the suite's."""
    tasks = entry.get("tasks", content["tasks"])
    available = max(num_measurements_of(content, task) for task in tasks)
    if entry.get("num_measurements", 1) > available:
        got = entry["num_measurements"]
        what = f"expected at most num_measurements = {available}, got {got}"
        yield ("restrict", method, "num_measurements"), what
    first, given = content["seeds"], entry.get("seeds", content["seeds"])
    known = content.get("training_seeds", first)
    if not set(first) <= set(given) <= set(known):
        what = f"expected {first}, and possibly others of {known}, got {given}"
        yield ("restrict", method, "seeds"), what


def _name_faults(path: Path, content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield a fault where the results would overwrite others."""
    if content["name"].lower() in COMMITTED:
        yield ("name",), f"results/{content['name']} holds committed results; choose another"
    namesake = CONFIG / f"{content['name']}.yaml"
    if namesake.exists() and not namesake.samefile(path):
        yield (
            ("name",),
            f"{content['name']!r} is the suite of {namesake}, which has the same results; choose another",
        )
    for section in ("datasets", "priors", "tasks", "methods"):
        known: dict[str, str] = {}
        for name in content.get(section, ()):
            other = known.setdefault(name.lower(), name)
            if other != name:  # on macOS and Windows they are one folder
                yield (section, name), f"differs from {other} in capitals only; choose another name"


def _timing_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield keys that make no sense in a suite that is timing_only, and networks of random weights elsewhere."""
    if content.get("timing_only"):
        for key in ONLY_COMPARED:
            if key in content:
                yield (key,), "means nothing in a suite that is timing_only; leave it out"
        return
    for prior, entry in content["priors"].items():
        if _constant("prior", entry["family"], "timing_only"):
            what = (
                f"{entry['family']} is for suites with timing_only: true, its images mean nothing"
            )
            yield ("priors", prior, "family"), what
    for dataset, entry in content["datasets"].items():
        if _constant("dataset", dataset_plugin(dataset, entry), "timing_only"):
            yield ("datasets", dataset), "is for suites with timing_only: true"


def _plugin_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield data sets and figures for which there is no file."""
    for dataset, entry in content["datasets"].items():
        if find("dataset", dataset_plugin(dataset, entry)) is None:
            yield ("datasets", dataset), f"no such data set; {one_of(names('dataset'), dataset)}"
    for figure in content.get("figures", {}):
        if find("figure", figure) is None:
            yield ("figures", figure), f"no such figure; {one_of(names('figure'), figure)}"


def _constant(kind: Kind, name: str, variable: str) -> object:
    """Return the value of a class variable of a plug-in; None where it has none that can be read."""
    file = find(kind, name)
    source = read_source(file) if file else None
    return source.constant(variable) if source else None


def _task_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield tasks without a prior, noise that files cannot hold, and too few reference draws."""
    for task, entry in content["tasks"].items():
        yield from _noise_faults(task, entry)
        if not prior_of(content, task):
            words = "a task's name starts with its prior, or has a key prior"
            yield ("tasks", task), f"{words}; {one_of(content['priors'], task.partition('-')[0])}"
    num_samples, num_reference = content["num_samples"], content["num_reference"]
    if num_reference < num_samples:
        yield (
            ("num_reference",),
            f"expected at least num_samples = {num_samples}, got {num_reference}",
        )


def _noise_faults(task: str, entry: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield noise levels at which float32 files, whose numbers are near 1, cannot resolve the samples' spread."""
    low, high = SIGMA_RANGE
    if not low <= entry.get("sigma_y", low) <= high:
        what = f"expected {as_number(f'{low:e}')} to {as_number(f'{high:e}')}, as files hold float32 numbers"
        yield ("tasks", task, "sigma_y"), f"{what}, got {entry['sigma_y']:g}"
    low, high = RATE_RANGE
    if not low <= entry.get("rate", low) <= high:
        what = f"expected {as_number(f'{low:e}')} to {as_number(f'{high:e}')}, as files hold float32 numbers"
        yield ("tasks", task, "rate"), f"{what}, got {entry['rate']:g}"


def _size_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield more runs than a workflow can plan."""
    seeds = set(content["seeds"]) | set(content.get("training_seeds", []))
    num_runs = len(content["tasks"]) * len(content["methods"]) * len(seeds)
    if num_runs > MOST_RUNS:
        what = f"tasks, methods and seeds make {num_runs} runs; expected at most {MOST_RUNS}"
        yield ("seeds" if len(seeds) > 100 else "tasks",), what


def _tune_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield methods without anything to tune."""
    for method in content.get("tune", {}).get("methods", []):
        source = method_source(content, method)
        if source and source.constants.get("search", "{}") == "{}":
            yield (
                ("tune", "methods"),
                f"{method} has nothing to tune: {method_file(content, method)} declares no range in `search`",
            )


def _beside_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield a fault unless the rows that `beside` names are published, of the suite's tasks, and as large."""
    if "beside" not in content:
        return
    suite = suite_beside(content["beside"], content["name"])
    if suite not in published_suites():
        yield ("beside",), f"no published rows; {one_of(published_suites(), suite)}"
        return
    record = published_record(suite)
    published = record.get("observations_sha256", {})
    if not set(published) & set(content["tasks"]):
        yield ("beside",), f"{suite} has rows of none of these tasks, but of {', '.join(published)}"
    num_samples = record.get("num_samples", content["num_samples"])
    if num_samples != content["num_samples"]:
        what = f"expected {num_samples}, as the rows of {suite} that `beside` names"
        yield ("num_samples",), what


def _teacher_faults(
    prior: str, entry: Mapping[str, Any], priors: Mapping[str, Any]
) -> Iterator[Fault]:
    """Yield a fault where a prior lacks the teacher that it needs, or has one that it cannot have."""
    where, family, teacher = ("priors", prior, "teacher"), entry["family"], entry.get("teacher")
    takes_teacher = bool(_constant("prior", family, "takes_teacher"))
    if teacher is None:
        needs_teacher = takes_teacher and _constant("prior", family, "needs_teacher") is not False
        if needs_teacher and "pipeline" not in entry:
            yield where, "missing; expected text (the prior that it learns from)"
        return
    if not takes_teacher:
        yield where, f"the family {family} takes no teacher; leave it out"
    if priors[teacher]["dataset"] != entry["dataset"]:
        yield (
            where,
            f"{teacher} is a prior of {priors[teacher]['dataset']}; expected one of {entry['dataset']}",
        )
    if "teacher" in priors[teacher]:
        yield where, f"{teacher} has a teacher itself, {priors[teacher]['teacher']}; name that one"


def _method_faults(content: Mapping[str, Any], method: str) -> Iterator[Fault]:
    """Yield a fault where there is no file for a row, or its name is reserved."""
    plugin = module_of(content, method)
    if RESERVED in (plugin, plugin_of("method", method)):
        yield (
            ("methods", method),
            f"{RESERVED!r} is the name of the floor's row in each table; choose another",
        )
    elif find("method", plugin) is None:
        yield (
            ("methods", method),
            f"no module methods/{plugin}.py; with the key plugin a row has any name; {one_of(names('method'), plugin)}",
        )
