"""Write the numbers of a measurement and the lines that it printed."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.core.artefacts import Json, write_bytes, write_json
from bench.core.provenance import provenance
from bench.runtime.stopwatch import machine


def record(out: Path, what: str, numbers: Json, lines: list[str]) -> None:
    """Write `<what>.json` with the numbers and `<what>.md` with the printed lines, both with commit and machine."""
    about = {"provenance": provenance(threads=1), "machine": machine(torch.device("cpu"))}
    write_json(out / f"{what}.json", {**numbers, **about})
    head = f"# {about['provenance']['command']}\n\nCommit {about['provenance']['commit']}"
    head += " with changes that were not committed" if about["provenance"]["dirty"] else ""
    text = (
        f"{head}, {about['machine'].get('model name', 'cpu')}, one thread. Printed:\n\n```\n"
        + "\n".join(lines)
    )
    write_bytes(out / f"{what}.md", f"{text}\n```\n".encode())
