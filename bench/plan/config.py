"""Reading a suite's YAML, and saying in one line what is wrong with it: which file, which key, what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.core.compute import compute_fault
from bench.core.errors import UserError
from bench.core.registry import find, names, plugin_of
from bench.plan.metrics import metric_faults
from bench.plan.schema import Fault, one_of, schema_faults, shown
from bench.plan.sources import Field, method_fields, searches, settings_fields

CONFIG, METHODS, FAMILIES = Path("config"), Path("methods"), Path("bench/priors")
COMMITTED = ("reference", "published")  # folders of results/
PUBLISHED = Path("results/published")  # numbers of the papers
RESERVED = "reference"  # the floor's row in each table
PRIOR_KEYS = {"family", "dataset", "teacher"}  # what else a prior has are its family's parameters
TASK_KEYS = {"operator", "sigma_y", "settings"}  # what else a task has are its operator's parameters
ONLY_UNTIMED = ("metrics", "budget")  # keys that mean nothing where nobody looks at samples
NO_COMPARISON = {"seeds": [], "datasets": {}, "priors": {}, "tasks": {}, "methods": {}}  # a suite of toys makes none


def read_suite(config: Mapping[str, Any], configfiles: Sequence[str | Path] = ()) -> tuple[str, dict]:
    """File and checked content of the suite that the command line chose.

    config, configfiles: Snakemake's own, from `--config suite=<name or path>` or `--configfile <path>`; neither means
    the default suite. Raises UserError, one line with file and key.
    """
    path, content = _chosen(config, configfiles)
    fault = next(_faults(path, content), None)
    if fault:
        where, what = fault
        raise UserError(": ".join([str(path), *([".".join(map(str, where))] if where else []), what]))
    if "toys" in content:
        return str(path), NO_COMPARISON | content
    return str(path), _counts_of_clock(content) | content if content.get("timing_only") else content


def _counts_of_clock(content: Mapping[str, Any]) -> dict:
    """What a suite that is timing_only need not say: runs are as large as the clock's largest."""
    most = max(content["clock"]["num_samples"])
    return {"num_samples": most, "num_reference": most, "rows_per_chunk": most}


def prior_of(task: str) -> str:
    """`gmm` of `gmm-sr2`."""
    return task.partition("-")[0]


def module_of(method: str) -> str:
    """`dps` of `dps-n1000`."""
    return plugin_of("method", method)


def method_file(method: str) -> Path:
    """The file of a row's method, whether it is there or not."""
    module = module_of(method)
    return find("method", module) or METHODS / f"{module}.py"


def settings_of(content: Mapping[str, Any], task: str, method: str) -> dict:
    """Hyperparameters of a method on a task: the method's own, then what the task says differently."""
    return {**content["methods"][method], **content["tasks"][task].get("settings", {}).get(method, {})}


def _chosen(config: Mapping[str, Any], configfiles: Sequence[str | Path]) -> tuple[Path, Any]:
    if configfiles:
        if len(configfiles) > 1 or "suite" in config:
            raise UserError("suites are not merged: give one --configfile, or one --config suite=...")
        _parsed(Path(configfiles[0]))
        return Path(configfiles[0]), dict(config)
    others = sorted(set(config) - {"suite"})
    if others:
        raise UserError(
            f"--config {others[0]}=...: unknown; only suite=<name or path> is read, the rest is in the suite's file"
        )
    name = str(config.get("suite", "default"))
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIG / f"{name}.yaml"
    if not path.is_file():
        suites = sorted(p.stem for p in CONFIG.glob("*.yaml") if p.stem != "schema")
        raise UserError(f"--config suite={name}: {path} does not exist; {one_of(suites, name)}")
    return path, _parsed(path)


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key given twice, or one that is not text, is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                fault = f"key {key!r} is given twice" if key in seen else f"key {key!r} is not text; put it in quotes"
                raise yaml.MarkedYAMLError(problem=fault, problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parsed(path: Path) -> Any:
    try:
        return _StrictLoader(path.read_text()).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None


def _faults(path: Path, content: Any) -> Iterator[Fault]:
    """What is wrong, in order of reading. Later checks rely on the earlier ones having found nothing."""
    yield from schema_faults(CONFIG / "schema.yaml", content)
    yield from _name_faults(path, content)
    if "toys" in content:
        return
    if fault := compute_fault(content):
        yield fault[:1], fault[1]
    if content.get("timing_only"):
        content = _counts_of_clock(content) | content
    yield from _timing_faults(content)
    yield from _reference_faults(content)
    yield from metric_faults(content)
    yield from _tune_faults(content)
    for prior, entry in content["priors"].items():
        yield from _prior_faults(prior, entry, content)
    for method, entry in content.get("restrict", {}).items():
        yield from _restriction_faults(method, entry, content)
    for method, settings in content["methods"].items():
        yield from _method_faults(method, settings, ("methods", method))
    for task, entry in content["tasks"].items():
        for method, settings in entry.get("settings", {}).items():
            yield from _method_faults(method, settings, ("tasks", task, "settings", method))


def _reference_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Names that stand for nothing, and too few reference draws."""
    priors, methods = content["priors"], content["methods"]
    for task, entry in content["tasks"].items():
        if prior_of(task) not in priors:
            yield ("tasks", task), f"a task's name starts with its prior; {one_of(priors, prior_of(task))}"
        for method in set(entry.get("settings", {})) - set(methods):
            yield ("tasks", task, "settings", method), f"no such method here; {one_of(methods, method)}"
    for kind in ("tasks", "methods"):
        for name in content.get("clock", {}).get(kind, []):
            if name not in content[kind]:
                yield ("clock", kind), f"no {kind[:-1]} {name} here; {one_of(content[kind], name)}"
    num_samples, num_reference = content["num_samples"], content["num_reference"]
    if num_reference < num_samples:
        yield ("num_reference",), f"expected at least num_samples = {num_samples}, got {num_reference}"


def _timing_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Samples that nobody may look at, looked at."""
    if content.get("timing_only"):
        for key in ONLY_UNTIMED:
            if key in content:
                yield (key,), "means nothing in a suite that is timing_only; leave it out"
        return
    for prior, entry in content["priors"].items():
        if entry["family"] == "untrained":
            yield ("priors", prior, "family"), "untrained networks draw nothing to look at; set timing_only: true"
    for dataset in content["datasets"]:
        if dataset.startswith("noise"):
            yield ("datasets", dataset), "is for suites with timing_only: true"


def _tune_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Tasks and methods to tune that are not there, and methods without anything to tune."""
    asked = content.get("tune", {})
    for kind in ("tasks", "methods"):
        for name in asked.get(kind, []):
            if name not in content[kind]:
                yield ("tune", kind), f"no such {kind[:-1]} here, {name}; {one_of(content[kind], name)}"
    for method in asked.get("methods", []):
        module = method_file(method)
        if not searches(module):
            yield ("tune", "methods"), f"{method} has nothing to tune: {module} declares no range in `search`"


def _prior_faults(prior: str, entry: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[Fault]:
    where, datasets, module = ("priors", prior), content["datasets"], FAMILIES / f"{entry['family']}.py"
    if not module.is_file():
        yield (*where, "family"), f"no module {module}"
    if entry["dataset"] not in datasets:
        yield (*where, "dataset"), f"no such dataset here; {one_of(datasets, entry['dataset'])}"
    parameters = {key: value for key, value in entry.items() if key not in PRIOR_KEYS}
    yield from _settings_faults(parameters, settings_fields(module), module, where)
    if "teacher" in entry and entry["family"] != "consistency":
        yield (*where, "teacher"), f"only a consistency prior has one, not {entry['family']}"
    elif "teacher" in entry:
        yield from _teacher_faults(entry["teacher"], entry["dataset"], content["priors"], (*where, "teacher"))


def _teacher_faults(teacher: str, dataset: str, priors: Mapping[str, Any], where: Sequence[object]) -> Iterator[Fault]:
    """Whether a prior can teach another one of that dataset."""
    if teacher not in priors:
        yield where, f"no such prior here; {one_of(priors, teacher)}"
    if priors[teacher]["dataset"] != dataset:
        yield where, f"{teacher} is a prior of {priors[teacher]['dataset']}; expected one of {dataset}"
    if "teacher" in priors[teacher]:
        yield where, f"{teacher} has a teacher itself, {priors[teacher]['teacher']}; name that one"


def _restriction_faults(method: str, entry: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[Fault]:
    where, methods, tasks = ("restrict", method), content["methods"], content["tasks"]
    if method not in methods:
        yield where, f"no such method here; {one_of(methods, method)}"
    for task in entry.get("tasks", []):
        if task not in tasks:
            yield (*where, "tasks"), f"no such task here, {task}; {one_of(tasks, task)}"
    asked, available = entry.get("num_measurements", 1), content["num_measurements"]
    if asked > available:
        yield (*where, "num_measurements"), f"expected at most num_measurements = {available}, got {asked}"


def _name_faults(path: Path, content: Mapping[str, Any]) -> Iterator[Fault]:
    if content["name"] in COMMITTED:
        yield ("name",), f"results/{content['name']} holds committed results; choose another"
    namesake = CONFIG / f"{content['name']}.yaml"
    if namesake.exists() and not namesake.samefile(path):
        yield ("name",), f"{content['name']!r} is the suite of {namesake}, which has the same results; choose another"


def _method_faults(method: str, settings: Mapping[str, Any], where: Sequence[object]) -> Iterator[Fault]:
    module = module_of(method)
    modules = names("method")
    if module == RESERVED:
        yield where, f"{RESERVED!r} is the name of the floor's row in each table; choose another"
    elif module not in modules:
        yield where, f"no module {METHODS / module}.py; {one_of(modules, module)}"
    yield from _settings_faults(settings, method_fields(method_file(method)), method_file(method), where)


def _settings_faults(
    settings: Mapping[str, Any], fields: Mapping[str, Field] | None, module: Path, where: Sequence[object]
) -> Iterator[Fault]:
    if fields is None:  # the module cannot be read: its jobs will say so, the others go on
        return
    for key, value in settings.items():
        if key not in fields:
            yield (*where, key), f"not a hyperparameter in {module}; {one_of(fields, key)}"
        elif not fields[key].accepts(value):
            yield (*where, key), f"expected {fields[key].annotation}, got {shown(value)}"
