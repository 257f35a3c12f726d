"""The check that operators on an icosphere share."""

from __future__ import annotations

from bench.core.types import Shape
from bench.core.values import require
from bench.numerics.icosphere import is_sphere


def require_sphere(operator: str, x_shape: Shape) -> None:
    """Raise ValueError unless signals of a shape (c, V, 1) are on an icosphere."""
    require(
        is_sphere(x_shape),
        f"{operator}: expected signals (c, vertices, 1) on an icosphere (data sets sphere and era5), "
        f"got the shape {tuple(x_shape)}",
    )
