"""Read the stored measurements of a task, and its problem."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import ArtefactError, Json, read_tensors
from bench.core.packed import pack
from bench.core.types import Shape
from bench.problems import make_problem
from bench.problems.classifier import classifier_path, load_classifier
from bench.problems.inverse_problem import InverseProblem, PosteriorSampler
from bench.problems.reward import NAME as REWARD
from bench.problems.reward import Reward, check_reward


@dataclass(frozen=True)
class Measurements:
    """m measurements of a task: x_true (m, *x), packed y (m, *y), image_id (m,) int64, and the file's header."""

    x_true: Tensor
    y: Tensor
    image_id: Tensor
    header: Json


def read_measurements(
    path: str | Path, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu"
) -> Measurements:
    """Return the measurements in a file, after both of its hashes were checked; ArtefactError where one is wrong."""
    tensors, header = read_tensors(path)
    if header["observations_sha256"] != content_hash(tensors):
        raise ArtefactError(
            f"{path}: does not match its observations_sha256; delete it and run the same command again"
        )
    y = packed(tensors)
    return Measurements(
        tensors["x_true"].to(device, dtype), y.to(device, dtype), tensors["image_id"], header
    )


def read_size(path: str | Path) -> tuple[int, Shape, Json]:
    """Return the number of a task's measurements, the shape of an image and the header, also from a broken file."""
    tensors, header = read_tensors(path, broken_too=True)
    return len(tensors["x_true"]), tuple(tensors["x_true"].shape[1:]), header


def packed(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the packed measurements (m, *y) in the tensors of a file: values, with masks or kernels if it has any."""
    return pack(tensors["y"], tensors.get("mask"), tensors.get("kernels"))


def first(measurements: Measurements, num_measurements: int | None) -> Measurements:
    """Return the first `num_measurements` measurements; None means all."""
    kept = {
        name: getattr(measurements, name)[:num_measurements] for name in ("x_true", "y", "image_id")
    }
    return dataclasses.replace(measurements, **kept)


def problem_of(
    header: Json,
    x_shape: Shape,
    posterior: PosteriorSampler | None = None,
    device: str | torch.device = "cpu",
    root: str | Path | None = None,
) -> InverseProblem | Reward:
    """Return the problem that a task's spec, or the header of its measurements, describes.

    root: the suite's folder, where a reward's classifier lies; by default the one in the header.
    """
    if header["operator"] == REWARD:
        return _reward_of(
            header | ({"root": str(root)} if root else {}), x_shape, posterior, device
        )
    facts = (header["operator"], header["parameters"], header["sigma_y"])
    return make_problem(*facts, x_shape, posterior, header.get("rate"))


def _reward_of(
    header: Json, x_shape: Shape, posterior: PosteriorSampler | None, device: str | torch.device
) -> Reward:
    parameters = header["parameters"]
    check_reward(parameters, x_shape)
    path = classifier_path(header["root"], parameters["classifier"])
    classifier, own_header = load_classifier(path, device)
    if own_header["sha256"] != header.get("classifier_sha256", own_header["sha256"]):
        raise ArtefactError(
            f"{path}: is {own_header['sha256'][:12]}, but the measurements of {header['task']} were made with "
            f"{header['classifier_sha256'][:12]}; delete the task's measurements and run the same command again"
        )
    differentiable = parameters.get("differentiable", True)
    return Reward(classifier, parameters["beta"], tuple(x_shape), differentiable, posterior)


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, types, shapes and bytes of the tensors, whatever their order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
