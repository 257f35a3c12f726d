"""Find faults in the keys of a suite that follows a paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.papers import REHEARSAL
from bench.plan.schema import Fault

RANDOM = "random"  # in place of the path of weights


def paper_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield places that are not in the file, and names that would hide a rehearsal or pretend to be one."""
    if "unknown" in content and "paper" not in content:
        yield ("unknown",), "is what a paper does not say; give the key paper, too"
    for place in content.get("unknown", {}):
        if not is_there(content, place.split(".")):
            yield ("unknown", place), "there is no such place in this file"
    if ("rehearsal_of" in content) != content["name"].endswith(REHEARSAL):
        what = f"a name that ends with {REHEARSAL} is that of a rehearsal, with rehearsal_of, and of no other suite"
        yield ("name",), what
    for prior, entry in content["priors"].items():
        for key in ("weights", "pipeline"):
            if entry.get(key) == RANDOM and "rehearsal_of" not in content:
                yield ("priors", prior, key), f"{RANDOM} weights are for rehearsals"


def is_there(content: Any, keys: Sequence[str]) -> bool:
    """Return whether keys lead to an entry; a key may contain points itself."""
    if not keys:
        return True
    if not isinstance(content, Mapping):
        return False
    heads = (".".join(keys[:end]) for end in range(1, len(keys) + 1))
    return any(
        head in content and is_there(content[head], keys[end:])
        for end, head in enumerate(heads, start=1)
    )
