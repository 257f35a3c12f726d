"""Settings of a tuning search: scrambled Sobol points of the unit cube, mapped through a method's declared ranges.

Sobol 1967, https://doi.org/10.1016/0041-5553(67)90144-9; scrambling: Owen 1998, https://doi.org/10.1006/jcom.1998.0487
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

import torch
from torch.quasirandom import SobolEngine

from bench.core.types import Choice, LogUniform, Method, Search, Uniform

NUM_DIGITS = 3  # of a value, so that the value tried is the one that a suite's file will have


def sobol_settings(
    search: Search, integers: Collection[str], num_points: int, seed: int
) -> list[dict]:
    """Return settings that fill the ranges evenly; those named in `integers` are integers."""
    cube = SobolEngine(len(search), scramble=True, seed=seed).draw(num_points, dtype=torch.float64)
    return [
        {
            name: value_at(search[name], share, name in integers)
            for name, share in zip(search, row, strict=True)
        }
        for row in cube.tolist()
    ]


def value_at(
    values: Uniform | LogUniform | Choice, share: float, is_integer: bool = False
) -> object:
    """Return the value of a range at a share in [0, 1) from its low end."""
    if isinstance(values, Choice):
        return values.values[min(int(share * len(values.values)), len(values.values) - 1)]
    low, high = values.low, values.high
    value = (
        low * (high / low) ** share
        if isinstance(values, LogUniform)
        else low + share * (high - low)
    )
    return round(value) if is_integer else min(max(float(f"{value:.{NUM_DIGITS}g}"), low), high)


def integer_fields(method: Method) -> set[str]:
    """Return the names of the hyperparameters that are annotated as integers."""
    hyperparameters = fields(method)  # pyright: ignore[reportArgumentType]
    kinds = {
        field.name: str(getattr(field.type, "__name__", field.type)).split(" | ")
        for field in hyperparameters
    }
    return {name for name, parts in kinds.items() if "int" in parts and "float" not in parts}
