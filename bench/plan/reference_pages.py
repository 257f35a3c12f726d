"""Write docs/reference from the source: every plug-in with its parameters."""

from __future__ import annotations

from pathlib import Path

from bench.core.artefacts import write_bytes
from bench.core.registry import KINDS, Kind, find, names
from bench.core.source import Source, read_source

TITLES = {
    "dataset": "Data sets",
    "prior": "Prior families",
    "operator": "Operators",
    "metric": "Metrics",
    "figure": "Figures",
    "method": "Methods",
}
HEAD = "Made by `posterior-bench docs` from the source; do not edit.\n"
# meanings of parameters whose field has no comment
COMMON = {
    "acceptance": "share of accepted proposals that adaptation aims at",
    "num_iterations": "iterations of training",
    "num_leapfrog": "leapfrog steps of a trajectory",
    "num_levels": "noise levels",
    "num_steps": "steps, one for each noise level",
    "sigma_max": "largest noise level, data units",
    "sigma_min": "smallest noise level, data units",
    "thin": "states of a chain for each sample",
}
ELSEWHERE = "see the top of its file"


def write_pages(folder: Path) -> None:
    """Write one page per kind of plug-in, `methods.md`, `operators.md`, ..."""
    for kind in KINDS:
        write_bytes(folder / f"{kind}s.md", page(kind).encode())


def page(kind: Kind) -> str:
    """Return the page of a kind: its plug-ins by name, each with its docstring and a table of its parameters."""
    sections = [section(name, source) for name in names(kind) if (source := source_of(kind, name))]
    return f"# {TITLES[kind]}\n\n{HEAD}\n" + "\n".join(sections)


def source_of(kind: Kind, name: str) -> Source | None:
    """Return what the source of a plug-in says."""
    file = find(kind, name)
    return read_source(file) if file else None


def section(name: str, source: Source) -> str:
    """Return the part of a page that is about one plug-in."""
    text = f"## {name}\n\n{source.doc or source.constant('caption') or ''}".rstrip() + "\n"
    if not source.fields:
        return f"{text}\nNo parameters.\n"
    rows = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
    for field in source.fields.values():
        default = f"`{cell(field.default)}`" if field.default else "required"
        meaning = field.note or COMMON.get(field.name, ELSEWHERE)
        rows.append(
            f"| `{field.name}` | `{cell(field.annotation)}` | {default} | {cell(meaning)} |"
        )
    return "\n".join([text, *rows, ""])


def cell(text: str) -> str:
    """Return text escaped for a cell of a markdown table."""
    return text.replace("|", "\\|")
