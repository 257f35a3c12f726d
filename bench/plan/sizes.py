"""Find more measurements in a suite than its data sets have test images; their sources are read, nothing is imported.

What no source states, such as how many images are left when damaged ones are skipped, is left to the jobs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bench.core.registry import find
from bench.core.source import read_source
from bench.plan.entries import num_measurements_of, prior_of
from bench.plan.schema import Fault, dataset_plugin

LISTS = "{}_split.json"  # beside a data set whose split is committed: its test images by number


def num_test_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield tasks with more measurements than their data set has test images; draws of the prior are not limited."""
    for task, entry in content["tasks"].items():
        dataset = content["priors"][prior_of(content, task)]["dataset"]
        available = number_of(dataset, content["datasets"][dataset] or {}, "num_test")
        got = num_measurements_of(content, task)
        if available is not None and got > available and entry.get("truth") != "prior":
            own = ("tasks", task) if "num_measurements" in entry else ()
            what = f"expected at most {available}, as {dataset} has no more test images, got {got}"
            yield (*own, "num_measurements"), f"{what}; lower it, or set truth: prior in {task}"


def number_of(dataset: str, entry: Mapping[str, Any], name: str) -> int | None:
    """Return a parameter of a data set, such as `num_test`: as given, by default, or by its list; None if unknown."""
    file = find("dataset", dataset_plugin(dataset, entry))
    source = read_source(file) if file else None
    if file is None or source is None:
        return None
    if name in source.fields:
        default = source.fields[name].default
        is_number = default is not None and default.replace("_", "").isdecimal()
        return entry.get(name, int(default) if default and is_number else None)
    lists = file.with_name(LISTS.format(file.stem))
    return len(json.loads(lists.read_text())[name.removeprefix("num_")]) if lists.exists() else None
