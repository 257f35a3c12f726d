"""Whether this process may still write artefacts: not once another run has taken over its work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

Why = Callable[[], str]  # returns why nothing may be written any more, "" while it may
_conditions: list[Why] = []


def refuse_writes_when(why: Why) -> None:
    """Refuse all later writes of this process whenever `why()` returns a reason."""
    _conditions.append(why)


@contextlib.contextmanager
def refusing_writes_when(why: Why) -> Iterator[None]:
    """Refuse writes inside the block whenever `why()` returns a reason."""
    _conditions.append(why)
    try:
        yield
    finally:
        _conditions.remove(why)


def why_not_to_write() -> str:
    """Return the first reason why nothing may be written any more, "" for none."""
    return next(filter(None, (why() for why in _conditions)), "")
