"""Generative priors: building, saving and loading, one family per file."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.artefacts import read_tensors
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM


def prior_path(root: str | Path, prior: str, family: str) -> Path:
    return Path(root) / "priors" / prior / f"{family}.safetensors"


def load_prior(path: str | Path, dtype: torch.dtype = torch.float64, device: str = "cpu") -> GMM | Atoms:
    """The prior stored at `.../<family>.safetensors`."""
    tensors, header = read_tensors(path)
    tensors = {name: tensor.to(device, dtype) for name, tensor in tensors.items()}
    families = {"gmm": GMM, "atoms": Atoms}
    return families[header["family"]](**tensors)
