"""The JSON schema of a suite, made from dataclasses and tailored to the suite's own names, and the faults it finds.

The dataclasses are those of `suite_file.py` and of the plug-ins that the suite names; their source is read, nothing is
imported. A fault says in words what was expected, what came, and what may have been meant.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.registry import Kind, find, names, plugin_of
from bench.core.source import Field, read_source

# a file's name adds 30 characters, and file systems take 255; some drop a dot at its end
NAME = r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,98}[A-Za-z0-9_-])?\Z"
NAME_WORDS = "letters, digits, _, . and -, at most 100, no . at the end"
REWARD = "class"  # in place of an operator's name
FILE = Path(__file__).with_name("suite_file.py")
KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
LEADING = ("headline", "columns")  # keys of `metrics` that are not plug-ins
BASIC = {"int": "integer", "float": "number", "str": "string"}

Json = dict[str, Any]
Fault = tuple[Sequence[object], str]  # where (keys from the top) and what


@dataclass(frozen=True)
class Maker:
    """Makes the schema of one suite. choices: what may stand for a type such as `PriorName`; rows: the methods."""

    choices: Mapping[str, Sequence[str]]
    rows: Mapping[str, Any]

    def of_class(self, name: str, left_out: Sequence[str] = ()) -> Json:
        """Return the schema of a dataclass in suite_file.py; fields in `left_out` may be missing."""
        source = read_source(FILE, name)
        assert source is not None
        return self.of_fields(source.fields, source.doc.splitlines()[0].rstrip("."), left_out)

    def of_fields(
        self, fields: Mapping[str, Field], about: str, left_out: Sequence[str] = ()
    ) -> Json:
        """Return the schema of a mapping with these fields."""
        required = [
            name for name, field in fields.items() if field.default is None and name not in left_out
        ]
        properties = {name: self.of_field(field) for name, field in fields.items()}
        shape = {
            "type": "object",
            "description": about,
            "properties": properties,
            "required": required,
        }
        return shape | {"additionalProperties": False}

    def of_field(self, field: Field) -> Json:
        """Return the schema of a field: its annotation, with its comment as the description."""
        schema = self.of_annotation(annotation_of(field.annotation))
        return schema | ({"description": field.note} if field.note else {})

    def of_annotation(self, node: ast.expr) -> Json:
        """Return the schema of a type; {}, which allows everything, for one that is not understood."""
        match node:
            case ast.BinOp(op=ast.BitOr()):
                parts = [self.of_annotation(part) for part in alternatives(node)]
                return parts[0] if len(parts) == 1 else {} if {} in parts else {"anyOf": parts}
            case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple(elts=[inner, limits])):
                return self.of_annotation(inner) | ast.literal_eval(limits)
            case ast.Subscript(value=ast.Name("Literal"), slice=choices):
                values = choices.elts if isinstance(choices, ast.Tuple) else [choices]
                return {"enum": [ast.literal_eval(value) for value in values]}
            case ast.Subscript(value=ast.Name("list" | "tuple" | "Sequence"), slice=inner):
                item = inner.elts[0] if isinstance(inner, ast.Tuple) else inner
                unique = {"uniqueItems": True} if not isinstance(inner, ast.Tuple) else {}
                return {"type": "array", "items": self.of_annotation(item)} | unique
            case ast.Subscript(value=ast.Name("dict"), slice=ast.Tuple(elts=[key, value])):
                return self.of_mapping(ast.unparse(key), self.of_annotation(value))
            case ast.Constant(None):
                return {"type": "null"}
            case ast.Name("bool"):
                return {"enum": [True, False]}
            case ast.Name(name) if name in BASIC:
                return {"type": BASIC[name]}
            case ast.Name("Settings"):
                return {"type": "object"}
            case ast.Name(name) if name in self.choices:
                return {"enum": list(self.choices[name])}
            case ast.Name(name) if read_source(FILE, name):
                return self.of_class(name)
        return {}

    def of_mapping(self, key: str, value: Json) -> Json:
        """Return the schema of a mapping from names of a kind to `value`."""
        if key in self.choices:
            return {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(self.choices[key], value),
            }
        return {"type": "object", "additionalProperties": False, "patternProperties": {NAME: value}}

    def of_plugin(
        self, kind: Kind, name: str, entry: str | None = None, common: Json | None = None
    ) -> Json:
        """Return the schema of an entry: the fields of a plug-in, and `common` ones; what cannot be read allows all."""
        file = find(kind, name)
        source = read_source(file) if file else None
        if source is None:  # jobs that use it will fail and say so, and the others go on
            return {"type": "object"}
        schema = self.of_fields(source.fields, f"{kind} {name}, {file}")
        if common:
            schema["properties"] = common["properties"] | schema["properties"]
            schema["required"] = common["required"] + schema["required"]
        return schema


def suite_schema(content: Mapping[str, Any]) -> Json:
    """Return the schema of a suite, with the names of its own entries as choices."""
    entries = {
        key: content[key] if isinstance(content.get(key), dict) else {} for key in SECTIONS.values()
    }
    choices = {word: [str(name) for name in entries[key]] for word, key in SECTIONS.items()}
    operators = [*operator_names(entries["tasks"]), REWARD]
    plugins = {"FamilyName": names("prior"), "ModuleName": names("method")}
    maker = Maker(choices | plugins | {"OperatorName": operators}, entries["methods"])
    if "toys" in content:
        return maker.of_class("ToyFile")
    timing_only = content.get("timing_only") is True
    counts = ("num_samples", "num_reference", "rows_per_chunk") if timing_only else ()
    schema = maker.of_class("SuiteFile", counts)
    schema["required"] += ["clock"] if timing_only else []
    of_entry = {
        "datasets": dataset_schema,
        "priors": prior_schema,
        "tasks": task_schema,
        "methods": method_schema,
        "metrics": metric_schema,
        "figures": figure_schema,
    }
    for key, make in of_entry.items():
        given = content[key] if isinstance(content.get(key), dict) else {}
        properties = {str(name): make(maker, str(name), entry) for name, entry in given.items()}
        named = {name: entry for name, entry in properties.items() if re.search(NAME, name)}
        schema["properties"][key] |= {"properties": named, "patternProperties": {NAME: {}}}
    return schema


def operator_names(tasks: Mapping[str, Any]) -> list[str]:
    """Return the names of the operators in their folders, then other spellings in the tasks that name one of them."""
    known = [name.replace("_", "-") for name in names("operator")]
    asked = [entry.get("operator") for entry in tasks.values() if isinstance(entry, dict)]
    return known + [
        name
        for name in asked
        if isinstance(name, str) and name not in known and find("operator", name)
    ]


SECTIONS = {
    "DatasetName": "datasets",
    "PriorName": "priors",
    "TaskName": "tasks",
    "MethodName": "methods",
}


def dataset_schema(maker: Maker, name: str, entry: Any) -> Json:
    """Return the schema of a data set's entry."""
    return maker.of_plugin("dataset", dataset_plugin(name, entry))


def dataset_plugin(name: str, entry: Any) -> str:
    """Return the plug-in of a data set: `noise` for `noise-64`, `shapes` for `shapes-large`."""
    plugin = plugin_of("dataset", name)
    return plugin if find("dataset", plugin) else name.rstrip("0123456789")


def prior_schema(maker: Maker, name: str, entry: Any) -> Json:
    """Return the schema of a prior's entry: the common fields and those of its family."""
    common = maker.of_class("PriorEntry")
    family = entry.get("family") if isinstance(entry, dict) else None
    if not isinstance(family, str) or find("prior", family) is None:
        return common | {"additionalProperties": True}
    return maker.of_plugin("prior", family, common=common)


def task_schema(maker: Maker, name: str, entry: Any) -> Json:
    """Return the schema of a task's entry: the common fields and those of its operator."""
    operator = entry.get("operator") if isinstance(entry, dict) else None
    common = maker.of_class("RewardEntry" if operator == REWARD else "TaskEntry")
    if operator != REWARD and isinstance(entry, dict):
        is_poisson = entry.get("noise") == "poisson"
        asked, unknown = ("rate", "sigma_y") if is_poisson else ("sigma_y", "rate")
        common["properties"].pop(unknown)
        common["required"] = ["operator", asked]
    settings = entry.get("settings") if isinstance(entry, dict) else None
    if isinstance(settings, dict):
        of_method = {
            method: method_schema(maker, method, maker.rows.get(method))
            for method in maker.choices["MethodName"]
        }
        common["properties"]["settings"] = maker.of_mapping("MethodName", {}) | {
            "properties": of_method
        }
    if operator == REWARD:
        return common
    if not isinstance(operator, str) or find("operator", operator) is None:
        return common | {"additionalProperties": True}
    return maker.of_plugin("operator", operator, common=common)


def method_schema(maker: Maker, name: str, entry: Any) -> Json:
    """Return the schema of a method's row: the fields of its dataclass, none of them required."""
    named = entry.get("plugin") if isinstance(entry, dict) else None
    plugin = named if isinstance(named, str) else plugin_of("method", name)
    common = maker.of_class("RowEntry")
    if find("method", plugin) is None:
        return common | {"additionalProperties": True}
    return maker.of_plugin("method", plugin, common=common) | {"required": []}


def metric_schema(maker: Maker, name: str, entry: Any) -> Json:
    """Return the schema of a metric's entry: its parameters, and the tasks to which it is restricted."""
    if name in LEADING:
        return maker.of_class("Leading")["properties"][name]
    tasks = {"type": "array", "items": {"enum": list(maker.choices["TaskName"])}}
    return maker.of_plugin("metric", name, common={"properties": {"tasks": tasks}, "required": []})


def figure_schema(maker: Maker, name: str, entry: Any) -> Json:
    """Return the schema of a figure's entry: its parameters."""
    return maker.of_plugin("figure", name)


@cache
def annotation_of(text: str) -> ast.expr:
    """Return the syntax of an annotation."""
    return ast.parse(text, mode="eval").body


def alternatives(node: ast.expr) -> list[ast.expr]:
    """Return the types of a union, without the None that stands for a missing key."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [part for side in (node.left, node.right) for part in alternatives(side)]
    return [] if isinstance(node, ast.Constant) and node.value is None else [node]


def schema_faults(content: Any) -> Iterator[Fault]:
    """Yield the faults that the schema finds in a suite, unknown keys first."""
    if not isinstance(content, dict):
        yield (), f"expected a mapping (a suite, e.g. config/default.yaml), got {shown(content)}"
        return
    try:
        import jsonschema
        import jsonschema.validators
    except ImportError:  # it comes with Snakemake, which plain commands do not need
        print(
            "jsonschema is not installed: the keys of the suite's file are not checked",
            file=sys.stderr,
        )
        return

    def is_integer(_: object, value: object) -> bool:  # JSON schema calls 4.0 an integer
        return isinstance(value, int) and not isinstance(value, bool)

    def is_number(_: object, value: object) -> bool:  # not .nan, not .inf
        return is_integer(_, value) or isinstance(value, float) and math.isfinite(value)

    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_number})
    validator = jsonschema.validators.extend(base, type_checker=checker)
    errors = validator(suite_schema(content)).iter_errors(content)
    first = sorted(errors, key=lambda error: error.validator != "additionalProperties")
    yield from map(describe, first)  # so that a misspelt key is not reported as a missing one


def describe(error: Any) -> Fault:
    """Return the place and the description of a jsonschema.ValidationError."""
    where, value, schema = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "additionalProperties":
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        key = next(
            key
            for key in value
            if key not in known and not any(re.search(name, key) for name in patterns)
        )
        what = f"not a name ({NAME_WORDS})" if patterns else f"unknown key; {one_of(known, key)}"
        return (*where, key), what
    if error.validator == "required":
        key = next(k for k in error.validator_value if k not in value)
        return (*where, key), f"missing; expected {expected(schema['properties'][key])}"
    if error.validator == "uniqueItems":
        return where, f"expected no value twice, got {shown(value)}"
    got = shown(value, is_whole(schema)) + suggestion(value, schema.get("enum", ()))
    return where, f"expected {expected(schema)}, got {got}"


def expected(schema: Mapping[str, Any]) -> str:
    """Return a phrase for what a schema allows, e.g. `a whole number, at least 1, at most 300`."""
    about = f" ({schema['description']})" if "description" in schema else ""
    if "anyOf" in schema:
        return " or ".join(expected(part) for part in schema["anyOf"]) + about
    if "enum" in schema:
        values = [
            json.dumps(value) if isinstance(value, bool) else str(value) for value in schema["enum"]
        ]
        if schema["enum"] == [True, False]:
            return f"true or false{about}"
        listed = values[0] if len(values) == 1 else f"one of {', '.join(values) or '(none)'}"
        return listed + about
    if "type" not in schema:
        return f"a value{about}"
    parts = [
        KINDS.get(schema["type"], "nothing"),
        *(f"{w} {schema[key]}" for key, w in LIMITS.items() if key in schema),
    ]
    parts += ["not empty"] if {"minItems", "minProperties", "minLength"} & set(schema) else []
    parts += [f"of {NAME_WORDS}"] if "pattern" in schema else []
    return ", ".join(parts) + about


def is_whole(schema: Mapping[str, Any]) -> bool:
    """Return whether the only numbers that a schema allows are whole."""
    types = [part.get("type") for part in schema.get("anyOf", [schema])]
    return "integer" in types and "number" not in types


def shown(value: Any, whole: bool = False) -> str:
    """Return a value as a suite's file would have it, cut to a line. whole: a whole number is expected."""
    text = json.dumps(value, default=str) if not isinstance(value, float) else repr(value)
    text = text if len(text) < 200 else f"{text[:200]} ..."
    return text + (
        f" (YAML reads {value} as text: write {as_number(value, whole)})"
        if isinstance(value, str) and _is_number(value)
        else ""
    )


def as_number(text: str, whole: bool = False) -> str:
    """Return the number that a text stands for as YAML 1.1 reads one: `1.0e+6` for `1e6`; 1000000 where it is whole."""
    number = float(text)
    if whole and number.is_integer():
        return str(int(number))
    if "e" not in text.lower():
        return str(int(number)) if "." not in text else repr(number)
    written = repr(number)  # the fewest digits, with an exponent where it is long
    mantissa, exponent = (written if "e" in written else f"{number:.16e}").split("e")
    shortest = f"{float(mantissa)!r}e{int(exponent):+d}"
    return shortest if float(shortest) == number else f"{mantissa}e{int(exponent):+d}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def one_of(options: Iterable[str], given: str) -> str:
    """Return `expected one of ...`, and the option that may have been meant."""
    return f"expected one of {', '.join(sorted(options)) or '(none)'}{suggestion(given, options)}"


def suggestion(given: object, options: Iterable[object]) -> str:
    """Return `; did you mean x?` for the nearest option, or nothing."""
    close = difflib.get_close_matches(str(given)[:100], list(map(str, options)), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
