"""Read facts of a task from the entries of a suite's file, with the suite's values where a task has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def prior_of(content: Mapping[str, Any], task: str) -> str:
    """Return a task's prior: the one it names, or the longest name of a prior that its name starts with, or ""."""
    if given := content["tasks"][task].get("prior"):
        return given
    starts = [prior for prior in content["priors"] if task == prior or task.startswith(f"{prior}-")]
    return max(starts, key=len, default="")


def num_measurements_of(content: Mapping[str, Any], task: str) -> int:
    """Return how many measurements a task has: its own number, or the suite's."""
    return content["tasks"][task].get("num_measurements", content["num_measurements"])
