"""Read the stored reference draws of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from bench.core.artefacts import ArtefactError, Json, read_tensors
from bench.problems.posteriors import Conjugate, Enumeration

WITH_FORMULA = (Conjugate.kind, Enumeration.kind)


@dataclass(frozen=True)
class ReferenceDraws:
    """Reference draws x_a, x_b (M, e, *x) and moments mean, std (M, *x).

    why_not: for each measurement, the reason why its draws are not admitted, or "".
    teacher: reference draws under the prior that this one was distilled from, where there is such a prior. under: the
    prior whose posterior they are from, where it is not the task's, but the one whose draws the task's learned.
    """

    x_a: Tensor
    x_b: Tensor
    mean: Tensor
    std: Tensor
    why_not: tuple[str, ...]
    moments_are_of_x_a: bool  # no formula gave them
    teacher: ReferenceDraws | None = None
    under: str = ""

    def first(self, num_measurements: int) -> ReferenceDraws:
        """Return the draws of the first measurements."""
        names = ("x_a", "x_b", "mean", "std", "why_not")
        kept = {name: getattr(self, name)[:num_measurements] for name in names}
        return replace(self, **kept, teacher=self.teacher and self.teacher.first(num_measurements))

    def swapped(self) -> ReferenceDraws:
        """Return the draws with the two sets exchanged."""
        mean, std = self.mean, self.std
        if self.moments_are_of_x_a:
            mean, std = self.x_b.mean(1), self.x_b.std(1)
        return replace(
            self,
            x_a=self.x_b,
            x_b=self.x_a,
            mean=mean,
            std=std,
            teacher=self.teacher and self.teacher.swapped(),
        )


def read_same_measurements(path: Path, measurements: Json) -> tuple[dict[str, Tensor], Json]:
    """Return tensors and header of a file that was made from those measurements; ArtefactError if it was not.

    measurements: the header of the measurements' file.
    """
    tensors, header = read_tensors(path)
    made_from, expected = header.get("observations_sha256"), measurements["observations_sha256"]
    if made_from != expected:
        raise ArtefactError(
            f"{path}: was made from measurements {str(made_from)[:12]}, expected those of {measurements['task']}, "
            f"{expected[:12]}; delete it and run the same command again"
        )
    return tensors, header


def read_reference(path: Path, measurements: Json, num_samples: int) -> ReferenceDraws:
    """Return the reference draws in a file; ArtefactError where they are fewer than the samples.

    measurements: the header of the measurements' file. num_samples: per measurement; blocks of that many draws give the
    floor of every distance.
    """
    tensors, header = read_same_measurements(path, measurements)
    num_draws = min(tensors["x_a"].shape[1], tensors["x_b"].shape[1])
    if num_draws < num_samples:
        raise ArtefactError(
            f"{path}: holds {num_draws} reference draws, expected num_samples = {num_samples} or more; "
            "raise num_reference"
        )
    # draws that are not admitted may be NaN
    finite = {name: tensor.nan_to_num(0, 0, 0) for name, tensor in tensors.items()}
    x_a, x_b, mean, std = (finite[name] for name in ("x_a", "x_b", "mean", "std"))
    no_formula = header["kind"] not in WITH_FORMULA
    why_not = _why_not_admitted(header["reasons"])
    teacher, under = _teacher(finite, header), header.get("under", "")
    return ReferenceDraws(x_a, x_b, mean, std, why_not, no_formula, teacher, under)


def _teacher(tensors: dict[str, Tensor], header: Json) -> ReferenceDraws | None:
    if "teacher_a" not in tensors:
        return None
    x_a, x_b, mean, std = (tensors[f"teacher_{name}"] for name in ("a", "b", "mean", "std"))
    reasons = header.get("teacher_reasons", [""] * len(x_a))  # none where a formula drew them
    return ReferenceDraws(x_a, x_b, mean, std, _why_not_admitted(reasons), moments_are_of_x_a=False)


def _why_not_admitted(reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(reason and f"n/a (reference not admitted: {reason})" for reason in reasons)
