"""Reading a suite's YAML, and saying in one line what is wrong with it: which file, which key, what was expected."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.cli import UserError
from bench.plan.sources import method_fields

CONFIG, METHODS = Path("config"), Path("methods")
COMMITTED = ("reference", "published")  # folders of results/
RESERVED = "reference"  # the floor's row in each table
TASK_KEYS = {"operator", "sigma_y", "settings"}  # what else a task has are its operator's parameters

KINDS = {"integer": "a whole number", "number": "a number", "string": "text", "array": "a list", "object": "a mapping"}
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}

Fault = tuple[Sequence[object], str]  # where (keys from the top) and what


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
    return str(path), content


def prior_of(task: str) -> str:
    """`gmm` of `gmm-sr2`."""
    return task.partition("-")[0]


def module_of(method: str) -> str:
    """`dps` of `dps-n1000`."""
    return method.partition("-")[0]


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
        raise UserError(f"--config suite={name}: {path} does not exist; {_one_of(suites, name)}")
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
    yield from _schema_faults(content)
    yield from _name_faults(path, content)
    yield from _reference_faults(content)
    for method, settings in content["methods"].items():
        yield from _method_faults(method, settings, ("methods", method))
    for task, entry in content["tasks"].items():
        for method, settings in entry.get("settings", {}).items():
            yield from _method_faults(method, settings, ("tasks", task, "settings", method))


def _reference_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Names that stand for nothing, and too few reference draws."""
    priors, methods, datasets = content["priors"], content["methods"], content["datasets"]
    for task, entry in content["tasks"].items():
        if prior_of(task) not in priors:
            yield ("tasks", task), f"a task's name starts with its prior; {_one_of(priors, prior_of(task))}"
        for method in set(entry.get("settings", {})) - set(methods):
            yield ("tasks", task, "settings", method), f"no such method here; {_one_of(methods, method)}"
    for prior, entry in priors.items():
        if entry["dataset"] not in datasets:
            yield ("priors", prior, "dataset"), f"no such dataset here; {_one_of(datasets, entry['dataset'])}"
    num_samples, num_reference = content["num_samples"], content["num_reference"]
    if num_reference < num_samples:
        yield ("num_reference",), f"expected at least num_samples = {num_samples}, got {num_reference}"


def _name_faults(path: Path, content: Mapping[str, Any]) -> Iterator[Fault]:
    if content["name"] in COMMITTED:
        yield ("name",), f"results/{content['name']} holds committed results; choose another"
    namesake = CONFIG / f"{content['name']}.yaml"
    if namesake.exists() and not namesake.samefile(path):
        yield ("name",), f"{content['name']!r} is the suite of {namesake}, which has the same results; choose another"


def _method_faults(method: str, settings: Mapping[str, Any], where: Sequence[object]) -> Iterator[Fault]:
    module = module_of(method)
    modules = sorted(p.stem for p in METHODS.glob("*.py") if not p.stem.startswith("_"))
    if module == RESERVED:
        yield where, f"{RESERVED!r} is the name of the floor's row in each table; choose another"
    elif module not in modules:
        yield where, f"no module {METHODS / module}.py; {_one_of(modules, module)}"
    fields = method_fields(METHODS / f"{module}.py")
    if fields is None:  # the module cannot be read: its runs will say so, the other methods go on
        return
    for key, value in settings.items():
        if key not in fields:
            yield (*where, key), f"not a hyperparameter in {METHODS / module}.py; {_one_of(fields, key)}"
        elif not fields[key].accepts(value):
            yield (*where, key), f"expected {fields[key].annotation}, got {_shown(value)}"


def _schema_faults(content: Any) -> Iterator[Fault]:
    import jsonschema

    def is_integer(_: object, value: object) -> bool:  # JSON schema calls 4.0 an integer
        return isinstance(value, int) and not isinstance(value, bool)

    def is_number(_: object, value: object) -> bool:  # not .nan, not .inf
        return is_integer(_, value) or isinstance(value, float) and math.isfinite(value)

    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_number})
    schema = yaml.safe_load((CONFIG / "schema.yaml").read_text())
    errors = jsonschema.validators.extend(base, type_checker=checker)(schema).iter_errors(content)
    unknown_keys_first = sorted(errors, key=lambda error: error.validator != "additionalProperties")
    yield from map(_told, unknown_keys_first)  # so that a misspelt key is not told as a missing one


def _told(error: Any) -> Fault:
    """A jsonschema.ValidationError in words."""
    where, value, schema = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "additionalProperties":
        known, names = schema.get("properties", {}), schema.get("patternProperties", {})
        key = next(key for key in value if key not in known and not any(re.search(name, key) for name in names))
        what = f"not a name ({schema['description']})" if names else f"unknown key; {_one_of(known, key)}"
        return (*where, key), what
    if error.validator == "required":
        key = next(k for k in error.validator_value if k not in value)
        return (*where, key), f"missing; expected {_expected(schema['properties'][key])}"
    if error.validator == "uniqueItems":
        return where, f"expected no value twice, got {_shown(value)}"
    return where, f"expected {_expected(schema)}, got {_shown(value)}{_suggestion(value, schema.get('enum', ()))}"


def _expected(schema: Mapping[str, Any]) -> str:
    """A phrase for what a schema allows, e.g. `a whole number, at least 1, at most 300`."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    parts = [KINDS[schema["type"]], *(f"{words} {schema[key]}" for key, words in LIMITS.items() if key in schema)]
    parts += ["not empty"] if {"minItems", "minProperties", "minLength"} & set(schema) else []
    parts += [f"spelled as {schema['pattern']}"] if "pattern" in schema else []
    return ", ".join(parts) + (f" ({schema['description']})" if "description" in schema else "")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str) if not isinstance(value, float) else repr(value)
    return text + (" (YAML reads 1e-3 as text: write 1.0e-3)" if _is_number_as_text(value) else "")


def _is_number_as_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False


def _one_of(options: Iterable[str], given: str) -> str:
    return f"expected one of {', '.join(sorted(options)) or '(none)'}{_suggestion(given, options)}"


def _suggestion(given: object, options: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(given), list(map(str, options)), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
