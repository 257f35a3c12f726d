"""Points of a tuning search: scrambled Sobol points of the unit cube, mapped through the ranges that a method declares.

Sobol 1967, https://doi.org/10.1016/0041-5553(67)90144-9; scrambling: Owen 1998, https://doi.org/10.1006/jcom.1998.0487
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

import torch
from torch.quasirandom import SobolEngine

from bench.core.types import Choice, LogUniform, Method, Search, Uniform

DIGITS = 3  # of a value, so that it is tried as somebody would write it down


def points(search: Search, whole: Collection[str], num_points: int, seed: int) -> list[dict]:
    """Settings that fill the ranges evenly; those named in `whole` are integers."""
    cube = SobolEngine(len(search), scramble=True, seed=seed).draw(num_points, dtype=torch.float64)
    return [{name: value(search[name], u, name in whole) for name, u in zip(search, row)} for row in cube.tolist()]


def value(values: Uniform | LogUniform | Choice, share: float, whole: bool = False) -> object:
    """What lies at a share in [0, 1) of a range, from its low end."""
    if isinstance(values, Choice):
        return values.values[min(int(share * len(values.values)), len(values.values) - 1)]
    low, high = values.low, values.high
    found = low * (high / low) ** share if isinstance(values, LogUniform) else low + share * (high - low)
    return round(found) if whole else min(max(float(f"{found:.{DIGITS}g}"), low), high)


def whole_fields(method: Method) -> set[str]:
    """The hyperparameters that are annotated as integers."""
    kinds = {field.name: str(getattr(field.type, "__name__", field.type)).split(" | ") for field in fields(method)}
    return {name for name, words in kinds.items() if "int" in words and "float" not in words}
