"""Generative priors: a module here is a family, with what it takes to build one and to load it.

`Settings` is a frozen dataclass of its hyperparameters. `fit(data, settings, folder, teacher) -> tensors, card` may
write further files into `folder`/pipeline. `load(tensors, settings, folder, teacher)` gives the prior.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from types import ModuleType

import torch

from bench.core.artefacts import ArtefactError, read_header, read_tensors
from bench.core.layout import Layout
from bench.core.types import Prior
from bench.runtime.devices import networks_of

AGAIN = "delete the prior's folder and run the same command again"


def prior_path(root: str | Path, prior: str, family: str) -> Path:
    return Layout(Path(root)).prior(prior, family)


def family_module(family: str) -> ModuleType:
    """bench/priors/<family>.py, found by its name so that an edit to one family touches no prior of another."""
    return importlib.import_module(f"bench.priors.{family}")


def load_prior(path: str | Path, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu") -> Prior:
    """The prior stored at `.../<family>.safetensors`, with its teacher where it has one.

    Tensors get dtype and device; networks stay float32 inside.
    """
    path = Path(path)
    tensors, header = read_tensors(path)
    if file_hashes(path.parent) != header.get("files", {}):
        raise ArtefactError(f"{path.parent}/pipeline: is not what {path} was written with; {AGAIN}")
    tensors = {name: tensor.to(device, dtype) for name, tensor in tensors.items()}
    module, teacher = family_module(header["family"]), None
    if header.get("teacher"):
        teacher_path = prior_path(path.parents[2], header["teacher"], header["teacher_family"])
        if read_header(teacher_path)["sha256"] != header["teacher_sha256"]:
            raise ArtefactError(f"{path}: has another teacher than {teacher_path}; {AGAIN}")
        teacher = load_prior(teacher_path, dtype, device)
    prior = module.load(tensors, module.Settings(**header.get("settings", {})), path.parent, teacher)
    for network in networks_of(prior):
        network.to(device)
    return prior


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of the files that another library's format needs beside ours, by their path in `folder`."""
    files = sorted(file for file in (folder / "pipeline").rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
