"""Parts of error messages that several operators share."""

from __future__ import annotations

from bench.core.types import Shape


def describe_size(x_shape: Shape) -> str:
    """Return `an image of 8 x 12 pixels`."""
    return f"an image of {x_shape[-2]} x {x_shape[-1]} pixels"
