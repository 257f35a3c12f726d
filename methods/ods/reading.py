"""Features of a measurement for the networks: its numbers, or images of it, standardised."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.types import Problem
from bench.numerics.measured_images import measured_images, standardised


@dataclass(frozen=True, eq=False)
class Numbers:
    """The first k numbers of a measurement, all or none; mean, std (k,)."""

    mean: Tensor
    std: Tensor

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors to store."""
        return {"y.mean": self.mean, "y.std": self.std}

    def __call__(self, y: Tensor) -> Tensor:
        """Map y (n, *y) to features (n, k) in float32; the spread is at least 1e-3."""
        numbers = y.flatten(1)[:, : len(self.mean)]
        return ((numbers - self.mean) / self.std.clamp_min(1e-3)).float()


@dataclass(frozen=True, eq=False)
class Images:
    """The first k channels of a measurement's images, all or none; mean, std (k,), centre (c, h, w) in float32."""

    problem: Problem
    mean: Tensor
    std: Tensor
    centre: Tensor

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors to store."""
        return {"y.mean": self.mean, "y.std": self.std, "y.centre": self.centre}

    def __call__(self, y: Tensor) -> Tensor:
        """Map y (n, *y) to features (n, k, h, w) in float32."""
        if not len(self.mean):
            return self.centre.new_zeros(len(y), 0, *self.centre.shape[1:])
        return standardised(measured_images(self.problem, y, self.centre), self.mean, self.std)


Reading = Numbers | Images
