"""Generative priors: families as plug-ins, and the opening of stored priors.

A plug-in is a frozen dataclass, the family, whose fields are its parameters, with

* `fit(data, folder, teacher) -> tensors, card`: build a prior from a data set's tensors, and from a teacher if the
  suite names one; further files may be written into `folder`/pipeline. The card is JSON about the prior's quality.
* `load(tensors, folder, teacher) -> Prior`: open the prior again from these tensors and files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from bench.core.artefacts import ArtefactError, read_header, read_tensors
from bench.core.layout import Layout
from bench.core.networks import networks_of
from bench.core.registry import build
from bench.core.types import Prior

AGAIN = "delete the prior's folder and run the same command again"


def prior_path(root: str | Path, prior: str, family: str) -> Path:
    """Return the file of a prior in the suite's folder `root`."""
    return Layout(Path(root)).prior(prior, family)


def load_prior(
    path: str | Path, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu"
) -> Prior:
    """Return the prior stored at `.../<family>.safetensors`, with its teacher if it has one.

    Tensors get dtype and device; networks compute in float32. Raises ArtefactError if the files do not belong together.
    """
    path = Path(path)
    tensors, header = read_tensors(path)
    if file_hashes(path.parent) != header.get("files", {}):
        raise ArtefactError(f"{path.parent}/pipeline: is not what {path} was written with; {AGAIN}")
    tensors = {name: tensor.to(device, dtype) for name, tensor in tensors.items()}
    teacher = None
    if header.get("teacher"):
        teacher_path = prior_path(path.parents[2], header["teacher"], header["teacher_family"])
        if read_header(teacher_path)["sha256"] != header["teacher_sha256"]:
            raise ArtefactError(f"{path}: has another teacher than {teacher_path}; {AGAIN}")
        teacher = load_prior(teacher_path, dtype, device)
    prior = build("prior", header["family"], header.get("settings", {})).load(
        tensors, path.parent, teacher
    )
    for network in networks_of(prior):
        network.to(device)
    return prior


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file in `folder`/pipeline, which has another library's format, by path in `folder`."""
    files = sorted(file for file in (folder / "pipeline").rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
