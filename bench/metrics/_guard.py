"""Check what a metric declares and returns, and keep from it what all metrics share.

A metric that breaks a rule costs its own columns alone. Those of every suite (`BUILT_IN`), which the tests check, are
given the shared tensors themselves; all others get copies, and what they change in the process is put back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from torch import Tensor

from bench.core.metric import Average, Column, Extent, Metric, Need, Truth
from bench.metrics import BUILT_IN
from bench.runtime.global_state import SETTINGS, kept_state
from bench.runtime.surroundings import kept_surroundings

TRUSTED = {f"bench.metrics.{name}" for name in BUILT_IN}
ID = re.compile(r"[A-Za-z0-9][\w.@+,\[\]-]*\Z")  # as in lpips-alex-v0.1@[-1,1]_mean


def is_trusted(metric: Metric) -> bool:
    """Return whether a metric is one that every suite has."""
    return type(metric).__module__ in TRUSTED


@contextlib.contextmanager
def kept_process(metric: Metric) -> Iterator[None]:
    """Put back what a metric changes in the process: working folder, standard streams, torch's settings."""
    if is_trusted(metric):
        yield
    else:
        with kept_surroundings(), kept_state(SETTINGS):
            yield


def own_truth(truth: Truth) -> Truth:
    """Return what is known of measurements with copies of its tensors."""
    names = ("x_true", "y", "reference", "mean", "std")
    copies = {name: getattr(truth, name).clone() for name in names}
    teacher = own_truth(truth.teacher) if truth.teacher else None
    return dataclasses.replace(truth, **copies, teacher=teacher)


def values_of(returned: object, columns: Sequence[Column], num: int) -> dict[str, Tensor]:
    """Return what compute() returned, (num,) by id, float64; ValueError, one line, where it breaks a rule."""
    values = _mapping("compute", returned, [column.id for column in columns])
    for id, value in values.items():
        what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if what != (num,):
            raise ValueError(f"compute() returned {what} for {id!r}, expected a tensor ({num},)")
        if value.is_complex() or value.is_meta:
            raise ValueError(f"compute() returned {value.dtype} on {value.device} for {id!r}")
    return {id: value.detach().double() for id, value in values.items()}


def numbers_of(what: str, returned: object, columns: Sequence[Column]) -> dict[str, float]:
    """Return what summarise() or real_images() returned; ValueError, one line, where it breaks a rule."""
    values = _mapping(what, returned, [column.id for column in columns])
    for id, value in values.items():
        if isinstance(value, str) or math.prod(getattr(value, "shape", ())) != 1:
            raise ValueError(f"{what}() returned {value!r:.40} for {id!r}, expected a number")
    return {id: float(value) for id, value in values.items()}


def column_fault(metric: Metric, columns: object) -> str:
    """Return what is wrong with the columns of a metric in one line, "" if nothing is."""
    if not isinstance(columns, (tuple, list)):
        return f"columns() returned {type(columns).__name__}, expected a tuple of columns"
    for column in columns:
        if not isinstance(column, Column):
            return f"columns() returned {column!r:.40}, expected a bench.core.metric.Column"
        if not isinstance(column.id, str) or not ID.match(column.id):
            return f"a column is named {column.id!r:.60}; expected letters, digits and _.-@+,[]"
        better = column.better in ("higher", "lower", None) or isinstance(
            column.better, (int, float)
        )
        allowed = {
            "better": better,
            "needs": column.needs in get_args(Need),
            "extent": column.extent in get_args(Extent),
            "average": column.average in get_args(Average),
            "definition": isinstance(column.definition, str),
        }
        for name, is_right in allowed.items():
            if not is_right:
                return f"column {column.id}: {name} is {getattr(column, name)!r:.40}, which is none of its values"
    return ""


def _mapping(what: str, returned: object, ids: Sequence[str]) -> Mapping:
    if not isinstance(returned, Mapping):
        raise ValueError(f"{what}() returned {type(returned).__name__}, expected a dict by column")
    for id in returned:
        if id not in ids:
            raise ValueError(f"{what}() returned {id!r:.60}, which is none of its columns")
    return returned
