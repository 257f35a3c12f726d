"""Device and precision of a run, and options for its networks.

Imports nothing heavy: the workflow checks these keys of a suite at each start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core.errors import UserError

if TYPE_CHECKING:
    import torch

KEYS = ("device", "precision", "channels_last", "compile", "cuda_graphs")  # of a suite's file


@dataclass(frozen=True)
class Compute:
    """Where and how a run computes.

    precision: tf32 is float32 whose matrix products and convolutions round their factors to 10 bits, on a GPU.
    channels_last: networks keep the channels of a pixel beside one another, which saves convolutions a reordering.
    cuda_graphs: compiled networks are replayed as CUDA graphs (torch's mode "reduce-overhead").
    """

    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float64", "float32", "tf32", "bf16"] = "float64"
    channels_last: bool = False
    compile: bool = False
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        fault = compute_fault(dataclasses.asdict(self))
        if fault:
            raise UserError(": ".join(fault))

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of measurements, noise and samples: float64, or float32 for any other precision."""
        import torch

        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the record of a run says; options that are off are left out."""
        options = {
            name: True
            for name in ("channels_last", "compile", "cuda_graphs")
            if getattr(self, name)
        }
        return {"device": self.device, "precision": self.precision} | options


def compute_of(content: Mapping[str, Any]) -> Compute:
    """Return the `Compute` that a suite's content asks for; keys that it leaves out have their defaults."""
    return Compute(**{key: content[key] for key in KEYS if key in content})


def compute_fault(asked: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return key and reason of the first option that does not fit the others; None when all fit."""
    on_cpu = asked.get("device", "cpu") == "cpu"
    if asked.get("precision") == "tf32" and on_cpu:
        return "precision", "tf32 is a mode of GPUs; with device: cpu take float32"
    if asked.get("cuda_graphs") and (on_cpu or not asked.get("compile")):
        return "cuda_graphs", "expected device: cuda and compile: true beside it"
    return None
