"""Checks of the values of parameters, for `__post_init__` of plug-ins."""

from __future__ import annotations

import math


def require(condition: bool, message: str) -> None:
    """Raise ValueError with a message of one line unless the condition holds."""
    if not condition:
        raise ValueError(message)


def is_count(value: object) -> bool:
    """Return whether a value is a whole number, 1 or more."""
    return type(value) is int and value >= 1


def is_positive(value: object) -> bool:
    """Return whether a value is a finite number above zero."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
