"""The table of seconds and memory by image size, in Markdown, from the numbers of `bench.cost.sizes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MEGABYTE = 2**20
SAMPLE, TRAINING = ("seconds_per_sample", "sample_peak"), ("train_seconds", "train_peak")


def table(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table: seconds and peak memory of each row, by side, and the growth.

    content: as `bench.cost.sizes.measure` returns it. The growth is that of the seconds from the smallest side to the
    largest, and the same as a multiple of the growth of pixels or of the network's seconds, whichever is larger.
    """
    network = {int(side): cell for side, cell in content["network"].items()}
    sides = list(network)
    yield f"| seconds, memory | rows | {' | '.join(f'{side} pixels' for side in sides)} | growth |"
    yield "|---|--:|" + "--:|" * (len(sides) + 1)
    own = {side: (cell["seconds"], cell["peak"]) for side, cell in network.items()}
    yield line("the network, forward and backward", 1, own, own)
    for row, found in content.items():
        if row not in ("settings", "network"):
            yield from lines(row, found, own)


def lines(row: str, found: Mapping[str, Any], own: dict[int, tuple[float, float]]) -> Iterator[str]:
    """Yield the lines of a row: its training if it is trained, and a sample, or why it does not run."""
    if "reason" in found:
        yield f"| `{row}` | | {' | '.join('' for _ in own)} | n/a ({found['reason']}) |"
        return
    by_side = {int(side): values for side, values in found.items()}
    first = next(iter(by_side.values()))
    for what, (seconds, peak) in (("whole training", TRAINING), ("a sample", SAMPLE)):
        if seconds in first:
            cells = {side: (values[seconds], values[peak]) for side, values in by_side.items()}
            rows = first.get("rows_per_sample", "") if what == "a sample" else ""
            yield line(f"`{row}`, {what}", rows, cells, own)


def line(
    name: str,
    rows: float | str,
    cells: dict[int, tuple[float, float]],
    own: dict[int, tuple[float, float]],
) -> str:
    """Return a line: name, network rows, seconds and bytes by side, and the growth."""
    texts = [
        f"{short(cells[side][0])} s, {cells[side][1] / MEGABYTE:.0f} MB" if side in cells else ""
        for side in own
    ]
    rows = f"{rows:.0f}" if not isinstance(rows, str) else rows
    return f"| {name} | {rows} | {' | '.join(texts)} | {growth(cells, own)} |"


def short(seconds: float) -> str:
    """Return seconds with two digits, or all before the point."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def growth(cells: dict[int, tuple[float, float]], own: dict[int, tuple[float, float]]) -> str:
    """Return the growth of seconds, and in brackets its ratio to that of pixels or network; "" for a single side."""
    first, last = min(cells), max(cells)
    if first == last:
        return ""
    ratio = cells[last][0] / cells[first][0]
    return f"{ratio:.1f} ({ratio / max((last / first) ** 2, own[last][0] / own[first][0]):.2f})"
