"""The commands `weights convert` and `weights examine`: pickled files of foreign models, and how models are opened."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from bench.core import checkpoints
from bench.core.artefacts import Json
from bench.core.checkpoints import CHECKPOINTS, place
from bench.core.errors import UserError
from bench.core.foreign_files import PICKLED, converted
from bench.core.registry import build
from bench.core.types import Cap, Prior
from bench.priors import load_prior
from bench.priors._checkpoint import Checkpoint
from bench.priors._diffusion import Diffusion
from bench.priors._examination import examined, report
from bench.priors._foreign import chosen_architecture, refuse_to_replace
from bench.priors.adapters.preconditioning import denoiser_of


def convert(names: Sequence[str]) -> None:
    """Convert pickled files, given as a public model's name, a path or a folder; print where the safetensors are."""
    for name in names:
        known = CHECKPOINTS.get(name)
        path, entry = Path(name), ""
        if known is not None:
            path, entry = place(name), str(known.settings.get("entry", ""))
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        pickled = [file for file in files if file.suffix in PICKLED]
        if not pickled:
            raise UserError(f"{name}: no pickled weights there; expected {', '.join(PICKLED)}")
        for file in pickled:
            refuse_to_replace(file)
            print(f"{file} -> {converted(file, entry, about(name, known))}")


def about(name: str, known: checkpoints.Checkpoint | None) -> Json:
    """Return origin and licence for the card of a converted model."""
    if known is None:
        return {"source": Path(name).name}
    return {"name": name, "source": known.source, "licence": known.licence}


def examine(names: Sequence[str]) -> None:
    """Print what `examined` finds of each model, a public one or a fitted prior; exit status 1 where a fact fails."""
    failed = False
    for name in names:
        prior = opened(name) if name in CHECKPOINTS else load_prior(name)
        if Cap.DENOISER not in prior.caps:
            raise UserError(f"{name}: is a decoder alone; there is no denoiser to examine")
        print(name, flush=True)
        findings = examined(prior)
        print(*(f"  {line}" for line in report(findings)), sep="\n", flush=True)
        failed |= not all(found["holds"] for found in findings.values())
    sys.exit(1 if failed else 0)


def opened(name: str) -> Prior:
    """Return a public model as a prior of its family, of class 0 where it has classes."""
    known = CHECKPOINTS[name]
    if known.family in ("edm", "consistency"):
        return cast(Prior, Diffusion(denoiser_of(Checkpoint(name).open()), num_ode_steps=1))
    field = "pipeline" if known.is_folder else "weights"
    family = build("prior", known.family, {field: name})
    if not known.is_folder and chosen_architecture(family).num_classes:
        family = replace(family, label=0)
    return family.opened()[0]
