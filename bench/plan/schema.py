"""What a JSON schema says against a suite, in words: what was expected, what came, what may have been meant."""

from __future__ import annotations

import difflib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

KINDS = {"integer": "a whole number", "number": "a number", "string": "text", "array": "a list", "object": "a mapping"}
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}

Fault = tuple[Sequence[object], str]  # where (keys from the top) and what


def schema_faults(path: Path, content: Any) -> Iterator[Fault]:
    """What the JSON schema at `path` has against a suite."""
    try:
        import jsonschema
    except ImportError:  # it comes with Snakemake, and `posterior-bench commands` does without
        print(f"jsonschema is not installed: a suite's keys are not checked against {path}", file=sys.stderr)
        return

    def is_integer(_: object, value: object) -> bool:  # JSON schema calls 4.0 an integer
        return isinstance(value, int) and not isinstance(value, bool)

    def is_number(_: object, value: object) -> bool:  # not .nan, not .inf
        return is_integer(_, value) or isinstance(value, float) and math.isfinite(value)

    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_number})
    schema = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(path.read_text()).get_single_data()  # in C where it is built
    errors = jsonschema.validators.extend(base, type_checker=checker)(schema).iter_errors(content)
    unknown_keys_first = sorted(errors, key=lambda error: error.validator != "additionalProperties")
    yield from map(_told, unknown_keys_first)  # so that a misspelt key is not told as a missing one


def _told(error: Any) -> Fault:
    """A jsonschema.ValidationError in words."""
    where, value, schema = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "additionalProperties":
        known, names = schema.get("properties", {}), schema.get("patternProperties", {})
        key = next(key for key in value if key not in known and not any(re.search(name, key) for name in names))
        what = f"not a name ({schema['description']})" if names else f"unknown key; {one_of(known, key)}"
        return (*where, key), what
    if error.validator == "required":
        key = next(k for k in error.validator_value if k not in value)
        return (*where, key), f"missing; expected {_expected(schema['properties'][key])}"
    if error.validator == "uniqueItems":
        return where, f"expected no value twice, got {shown(value)}"
    return where, f"expected {_expected(schema)}, got {shown(value)}{_suggestion(value, schema.get('enum', ()))}"


def _expected(schema: Mapping[str, Any]) -> str:
    """A phrase for what a schema allows, e.g. `a whole number, at least 1, at most 300`."""
    if "anyOf" in schema:
        kinds = [str(part["const"]) if "const" in part else _expected(part) for part in schema["anyOf"]]
        return f"{' or '.join(kinds)} ({schema['description']})"
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    parts = [KINDS[schema["type"]], *(f"{words} {schema[key]}" for key, words in LIMITS.items() if key in schema)]
    parts += ["not empty"] if {"minItems", "minProperties", "minLength"} & set(schema) else []
    parts += [f"spelled as {schema['pattern']}"] if "pattern" in schema else []
    return ", ".join(parts) + (f" ({schema['description']})" if "description" in schema else "")


def shown(value: Any) -> str:
    """A value as it may stand in a suite's file."""
    text = json.dumps(value, default=str) if not isinstance(value, float) else repr(value)
    return text + (" (YAML reads 1e-3 as text: write 1.0e-3)" if _is_number_as_text(value) else "")


def _is_number_as_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False


def one_of(options: Iterable[str], given: str) -> str:
    """What was expected, and what may have been meant."""
    return f"expected one of {', '.join(sorted(options)) or '(none)'}{_suggestion(given, options)}"


def _suggestion(given: object, options: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(given), list(map(str, options)), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
