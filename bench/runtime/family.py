"""Find the processes that a process has started, and the memory of all, in /proc; without /proc nothing is found."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterable
from pathlib import Path


def children(pid: int) -> set[int]:
    """Return the processes that the threads of a process have started, and those that it has adopted."""
    found = set[int]()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has just ended
            found |= set(map(int, file.read_text().split()))
    return found


def family(pids: Iterable[int]) -> set[int]:
    """Return processes with their children, the children of these, and so on."""
    known, latest = set[int](), set(pids)
    while latest:
        known |= latest
        latest = set().union(*map(children, latest)) - known
    return known


def exceeds(pid: int, adopted: Iterable[int], most_bytes: float) -> bool:
    """Return whether a process and its descendants use more memory, with pages that several share counted once.

    adopted: descendants whose parent is now another process. Shares of pages are slow to read, so that they are read
    only if the sum that counts shared pages for each process is above the limit.
    """
    if (own := resident(pid)) > most_bytes:
        return True
    others = family([pid, *adopted]) - {pid}
    if not others or own + sum(map(resident, others)) <= most_bytes:
        return False
    mapped = {each: _mapped(each) for each in (pid, *others)}
    # the first misses what others share only with each other, the second what is shared with processes outside
    not_shared = own + sum(mapped[each].get("Private", 0) for each in others)
    return max(not_shared, sum(each.get("Pss", 0) for each in mapped.values())) > most_bytes


def resident(pid: int) -> int:
    """Return the resident bytes of a process; 0 if the system does not report them."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize()


def _mapped(pid: int) -> dict[str, int]:
    """Return bytes of a process: Private, in pages of its own, and Pss, each page divided by those that share it."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError, IndexError):  # it has just ended, or is another user's
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size = line.split()[:2]
            kind = name.rstrip(":").partition("_")[0]
            if name in ("Pss:", "Private_Clean:", "Private_Dirty:"):
                sizes[kind] = sizes.get(kind, 0) + 1024 * int(size)
    return sizes
