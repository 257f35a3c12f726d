"""Checkpoints whose denoiser failed the examination that their prior's card records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.core.artefacts import Json, read_json
from bench.core.layout import Layout
from bench.core.papers import is_rehearsal


def failed_examinations(layout: Layout, headers: Iterable[Json]) -> dict[Path, tuple[str, ...]]:
    """Return for each prior's file, and its teacher's, the facts that do not hold; headers: of tasks' measurements.

    Priors without an examination are left out, and all of a rehearsal, whose networks have random weights.
    """
    if is_rehearsal(layout.root):
        return {}
    asked = [(header.get("prior"), header.get("family")) for header in headers]
    failed: dict[Path, tuple[str, ...]] = {}
    for prior, family in asked:  # grows by the teachers
        path = layout.prior(str(prior), str(family))
        card = path.with_name("card.json")
        if path in failed or not card.exists():
            continue
        found = read_json(card)
        failed[path] = tuple(
            f"{name} is {fact['value']:.3g}, at most {fact['limit']:g} expected"
            for name, fact in found.get("examination", {}).items()
            if not fact["holds"]
        )
        if found.get("teacher"):
            asked.append((found["teacher"], found.get("teacher_family")))
    return {path: facts for path, facts in failed.items() if facts}
