"""What the pictures of a task show: its measurements, exact draws, and the samples of each method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.artefacts import read_tensors
from bench.report.results import Suite, Task, in_words, num_measured, run_folder

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


def measurements(suite: Suite, task: Task) -> dict[str, np.ndarray]:
    """`x_true` (m, *x), `y` (m, *y), and possibly `mask` (m, *x)."""
    return _arrays(suite, task, "observations")


def sources(suite: Suite, task: Task) -> list[Source]:
    """Exact draws, then the samples of each method with its first seed."""
    return [Source(EXACT, _arrays(suite, task, "exact")["x_b"]), *_of_methods(suite, task)]


def _of_methods(suite: Suite, task: Task) -> Iterator[Source]:
    for found in task.runs:
        if found.seed == suite.seeds[0]:
            path = run_folder(suite.root, task.name, found.method, found.seed) / "samples.safetensors"
            status = found.header.get("status", "ok")
            reason = "" if status == "ok" else in_words(status, found.header.get("reason", ""))
            measured = num_measured(found.header, suite.num_measurements)
            yield Source(found.method, read_tensors(path)[0]["x"].numpy()[:measured], reason)


def _arrays(suite: Suite, task: Task, name: str) -> dict[str, np.ndarray]:
    tensors, _ = read_tensors(suite.root / "tasks" / task.name / f"{name}.safetensors")
    return {key: tensor.numpy() for key, tensor in tensors.items()}
