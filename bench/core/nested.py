"""Lists and mappings inside each other, as JSON and YAML of any origin may hold: how deep they may be."""

from __future__ import annotations

import json
from typing import Any

# Python's functions for nested values end at some 300 to 1000 levels, depending on what has called them; no file that
# the project reads has more than ten
MOST_LEVELS = 100
TOO_DEEP = f"nested in more than {MOST_LEVELS} levels"


def parsed_json(text: str | bytes) -> Any:
    """Return the value in a JSON text; ValueError, one line, where it is no JSON or nested too deeply."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    refuse_deep(content)
    return content


def refuse_deep(content: Any) -> None:
    """Raise ValueError, one line, for lists and mappings inside each other in more than MOST_LEVELS."""
    level = [content]
    for _ in range(MOST_LEVELS + 1):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
