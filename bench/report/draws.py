"""What the pictures of a task show: its measurements, exact draws, and the samples of each method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.artefacts import read_tensors
from bench.core.layout import Layout
from bench.stats.results import in_words, num_measured

EXACT = "exact"


@dataclass(frozen=True)
class Source:
    """Samples `x` of one method on the first m measurements `(m, s, *x)`, or s = 0 and the reason why."""

    name: str
    x: np.ndarray
    reason: str = ""

    def why_not(self, i: int) -> str:
        """Why there is no picture for measurement `i`; "" where there is one."""
        if self.reason or not self.x.shape[1]:
            return self.reason or "no samples"
        if i >= len(self.x):
            return f"n/a (only the first {len(self.x)} measurements)"
        return "" if np.isfinite(self.x[i]).all() else "failed (samples are not finite)"


def measurements(root: Path, task: str) -> dict[str, np.ndarray]:
    """`x_true` (m, *x), `y` (m, *y), and possibly `mask` (m, *x)."""
    return _arrays(Layout(root).task(task).measurements)


def sources(root: Path, task: str, methods: Iterable[str], seed: int) -> list[Source]:
    """Exact draws, then the samples of each method with that seed."""
    return [Source(EXACT, _arrays(Layout(root).task(task).reference)["x_b"]), *_of_methods(root, task, methods, seed)]


def _of_methods(root: Path, task: str, methods: Iterable[str], seed: int) -> Iterator[Source]:
    for method in methods:
        tensors, header = read_tensors(Layout(root).run(task, method, seed).samples)
        status, x = header.get("status", "ok"), tensors["x"].numpy()
        reason = "" if status == "ok" else in_words(status, header.get("reason", ""))
        yield Source(method, x[: num_measured(header, len(x))], reason)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    tensors, _ = read_tensors(path)
    return {key: tensor.numpy() for key, tensor in tensors.items()}
