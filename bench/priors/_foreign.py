"""Open files of other projects as priors: the place of the weights, the card, and the prior, for several families.

The field `weights` of a family is a name that `posterior-bench weights list` knows, a path, or `random`. Random weights
come from a named stream and are written in the foreign format and read from it like any others. They serve rehearsals
and tests; their images mean nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.checkpoints import CHECKPOINTS, place
from bench.core.errors import UserError
from bench.core.foreign_files import PICKLED, card_path, foreign_tensors
from bench.core.types import Cap, Prior
from bench.core.values import is_count, require
from bench.priors import _networks as networks
from bench.priors._diffusion import Denoiser, Diffusion
from bench.priors._examination import examined
from bench.priors.adapters.architectures import Architecture, architecture_of
from bench.priors.adapters.diffusers import Pipeline, write_pipeline
from bench.priors.adapters.guided_unet import random_tensors

RANDOM = "random"
# the smallest network that has all parts, for tests
TINY: dict[str, object] = {
    "side": 8,
    "channels": 8,
    "multipliers": (1, 2),
    "layers": 1,
    "attention": (1,),
    "scale_shift": True,
    "head": 8,
    "groups": 4,
}


class Fields(Protocol):
    """The fields of a family that name the network that it opens."""

    @property
    def weights(self) -> str: ...
    @property
    def architecture(self) -> str | dict[str, object]: ...
    @property
    def width(self) -> float: ...
    @property
    def side(self) -> int | None: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Foreign(Diffusion):
    """A foreign denoiser as a prior. clip_denoised: E[x | x_t] is clamped to [-1, 1], the range of images."""

    clip_denoised: bool = False

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x)."""
        denoised = super().denoise(x_t, sigma)
        return denoised.clamp(-1, 1) if self.clip_denoised else denoised


@dataclass(frozen=True, eq=False)
class Scored(Foreign):
    """A foreign denoiser with a score of its own, by another formula than (D - x_t) / sigma^2."""

    def score(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of log p(x_t): x_t (n, *x), sigma () or (n,) above 0 -> (n, *x)."""
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x_t.device)
        return cast(Any, self.denoiser).score(x_t.float(), sigma).to(x_t.dtype)


def setting_of(weights: str, key: str, given: Any, otherwise: Any = "") -> Any:
    """Return a family's field: `given` if set, else the value of the public model, else `otherwise`."""
    known = CHECKPOINTS[weights].settings if weights in CHECKPOINTS else {}
    return given or known.get(key, otherwise)


def chosen_architecture(fields: Fields) -> Architecture:
    """Return the network that the fields name; raise ValueError, one line, for an impossible one."""
    given = setting_of(fields.weights, "architecture", fields.architecture)
    if not given:
        raise ValueError("architecture: missing; weights from a path need one")
    return architecture_of(given, fields.width, fields.side)


def check_fields(fields: Fields, *counts: str) -> None:
    """Raise ValueError, one line, for an impossible network, or if one of the fields `counts` is not a count."""
    chosen_architecture(fields)
    for name in counts:
        value = getattr(fields, name)
        require(is_count(value), f"{name}: expected a whole number, 1 or more, got {value!r}")


def foreign_weights(
    fields: Fields, architecture: Architecture, entry: str = "", conv_dims: int = 1
) -> tuple[dict[str, Tensor], Json]:
    """Return the tensors that a family's fields name, and the card of their file.

    entry: the key of the tensors in a pickled file. conv_dims: number of axes of its attention's convolutions.
    """
    if fields.weights == RANDOM:
        return _random_weights(architecture, entry, conv_dims)
    path = Path(fields.weights).expanduser()
    about = {"source": path.name}
    if fields.weights in CHECKPOINTS:
        known = CHECKPOINTS[fields.weights]
        path = place(fields.weights)
        about = {"name": fields.weights, "source": known.source, "licence": known.licence}
    refuse_to_replace(path)
    tensors, card = foreign_tensors(path, entry, about)
    hashes = [card.get("pickled_sha256"), card["safetensors_sha256"]]
    if fields.sha256 and fields.sha256 not in hashes:
        raise UserError(f"{path}: has sha256 {hashes[0] or hashes[1]}, expected {fields.sha256}")
    return tensors, {key: value for key, value in card.items() if key != "sha256"}


def refuse_to_replace(path: Path) -> None:
    """Raise UserError if converting a pickled file would replace safetensors that were not converted from it.

    A folder from a hub may have both: for ImageNet-64, its pickled weights are the broken conversion.
    """
    target = path.with_suffix(".safetensors")
    if path.suffix in PICKLED and target.is_file() and not card_path(path).is_file():
        raise UserError(
            f"{target}: is there, and no {card_path(path).name} says that it was made of {path.name}; take it instead, "
            "or move it elsewhere"
        )


def _random_weights(
    architecture: Architecture, entry: str, conv_dims: int
) -> tuple[dict[str, Tensor], Json]:
    """Return random weights, written to a pickled file and read from it, as public weights are."""
    tensors = random_tensors(architecture, conv_dims)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pt"
        torch.save({entry: tensors} if entry else tensors, path)
        read, card = foreign_tensors(path, entry, {"source": RANDOM, "licence": "none needed"})
    # hashes are left out: the file contains the time at which it was written
    return read, {key: value for key, value in card.items() if not key.endswith("sha256")}


def fit_foreign(
    prior: Prior, pipeline: Pipeline, data: Mapping[str, Tensor], folder: Path, card: Json
) -> tuple[dict[str, Tensor], Json]:
    """Write a pipeline into `folder`/pipeline; return no tensors, and the card with the prior's examination."""
    shape = tuple(data["train"].shape[1:])
    if pipeline.shape != shape:
        source = card.get("source", "weights")
        raise UserError(f"{source}: is for images {pipeline.shape}, the data set has {shape}")
    write_pipeline(folder / "pipeline", pipeline)
    card = {"weights": card, "num_parameters": networks.num_parameters(pipeline.unet)}
    if Cap.DENOISER in prior.caps:
        card["examination"] = examined(prior, data["train"])
    return {}, card


def denoising_prior(denoiser: Denoiser, num_ode_steps: int, clip_denoised: bool) -> Foreign:
    """Return a denoiser as a prior, with its own score if it has one."""
    cls = Scored if hasattr(denoiser, "score") else Foreign
    return cls(denoiser, num_ode_steps, clip_denoised)
