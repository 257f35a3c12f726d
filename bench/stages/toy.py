"""A figure of a toy: `python -m bench.stages.toy results/<suite>/specs/toys/<toy>.json`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch

from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.specs import ToySpec
from bench.papers.toys.boards import marginals_board, moons_board, swiss_roll_board
from bench.papers.toys.sampling import ods_sampler
from bench.papers.toys.scenes import Marginals, Moons, SwissRoll
from bench.runtime.job import run

TOYS: dict[str, tuple[type, Callable]] = {
    "swiss_roll": (SwissRoll, swiss_roll_board),
    "marginals": (Marginals, marginals_board),
    "moons": (Moons, moons_board),
}


def main(spec_path: str) -> None:
    """Write figures/<toy>.pdf, .png and .csv."""
    from bench.figures._saving import save
    from bench.figures._style import drawing_style
    from bench.papers.toys.figure import draw

    spec = ToySpec.read(spec_path)
    scene, board_of, settings = scene_of(spec, spec_path)
    board = board_of(scene.compute(ods_sampler(settings)))
    with drawing_style():
        save(
            draw(board),
            spec.layout.figures,
            spec.toy,
            {"toy": spec.toy, "provenance": provenance()},
        )


def scene_of(spec: ToySpec, spec_path: str) -> tuple[Any, Callable, dict[str, Any]]:
    """Return the scene of a toy, the function that makes its board, and the settings of ODS."""
    if spec.toy not in TOYS:
        raise UserError(f"{spec_path}: no toy {spec.toy!r}; expected one of {', '.join(TOYS)}")
    scene, board_of = TOYS[spec.toy]
    parameters = {name: value for name, value in spec.parameters.items() if name != "ods"}
    known = [field.name for field in fields(scene)]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        expected = f"expected {', '.join(known)} or ods"
        raise UserError(f"{spec_path}: no parameter {unknown[0]!r} of {spec.toy}; {expected}")
    return scene(**parameters), board_of, spec.parameters.get("ods", {})


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main)
