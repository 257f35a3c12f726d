"""Who may import whom, read from the source: ground floor <- formulas <- nouns <- verbs; methods see very little."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.plan.sources import imported_names

REPOSITORY = Path(__file__).resolve().parent.parent
GROUND = {"artefacts", "catalogue", "cli", "compiled_layers", "compute", "cost", "devices", "lease", "plan", "preload"}
GROUND |= {"provenance", "rng", "runs", "types", "weights"}
NOUNS = {"data", "metrics", "priors", "problems", "report", "toys"}  # what is neither, nor formulas, is a verb
FOR_METHODS = {"types", "rng", "formulas"}


def part_of(file: Path) -> str:
    """`priors` for bench/priors/gmm.py, `rng` for bench/core/rng.py."""
    return file.relative_to(REPOSITORY / "bench").parts[0].removesuffix(".py")


FILES = sorted((REPOSITORY / "bench").rglob("*.py"))


def imported_parts(file: Path) -> set[str]:
    return {name.split(".")[1] for name in imported_names(file) if name.startswith("bench.")}


def allowed(part: str) -> set[str]:
    if part in GROUND:
        return GROUND
    if part == "formulas":
        return GROUND | {"formulas"}
    if part in NOUNS:
        return GROUND | {"formulas", part} | ({"priors"} if part == "problems" else set())
    return GROUND | {"formulas"} | NOUNS | {part}


def is_command(file: Path) -> bool:
    """`python -m bench.cost` is a verb with what its questions are answered by, whatever `bench.cost` is."""
    return file.name == "__main__.py" or file.parent.name == "commands"


@pytest.mark.parametrize(
    "file", [file for file in FILES if not is_command(file)], ids=lambda file: str(file.relative_to(REPOSITORY))
)
def test_imports_go_down_only(file):
    assert imported_parts(file) <= allowed(part_of(file))


@pytest.mark.parametrize("file", sorted((REPOSITORY / "methods").glob("*.py")), ids=lambda file: file.stem)
def test_methods_see_only_types_rng_and_formulas(file):
    assert imported_parts(file) <= FOR_METHODS
    assert not {name for name in imported_names(file) if name.split(".")[0] in ("methods", "snakemake")}
