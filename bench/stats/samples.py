"""Read what the pictures of a task show: its measurements, reference draws, and the samples of each method."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench.core.artefacts import read_header, read_tensors
from bench.core.layout import Layout
from bench.core.results import DIVERGED, OTHER_PRIOR, REFERENCE_DRAWS, SampleSet, TaskSamples
from bench.stats.results import format_reason, num_measured


def task_samples(root: Path, task: str, methods: Iterable[str], seed: int) -> TaskSamples:
    """Return measurements, reference draws and the samples of each method with that seed."""
    layout = Layout(root)
    files = layout.task(task)
    broken = read_header(files.measurements).get("broken")
    why = format_reason("failed", broken) if broken else ""
    sets = [_reference_draws(files.reference, why)]
    for method in methods:
        tensors, header = read_tensors(layout.run(task, method, seed).samples)
        status, x = header.get("status", "ok"), tensors["x"].numpy()
        reason = "" if status == "ok" else format_reason(status, header.get("reason", ""))
        odd = {DIVERGED: header.get("diverged"), OTHER_PRIOR: header.get("borrowed")}
        remark = ", ".join(words for words, is_so in odd.items() if is_so)
        sets.append(SampleSet(method, x[: num_measured(header, len(x))], reason, remark))
    return TaskSamples(task, _arrays(files.measurements), sets)


def _reference_draws(path: Path, why: str) -> SampleSet:
    """Return the reference draws of a task; `why` is why its measurements could not be made, or ""."""
    tensors, header = read_tensors(path, broken_too=True)
    reasons = [
        reason and f"n/a (reference not admitted: {reason})" for reason in header.get("reasons", ())
    ]
    return SampleSet(REFERENCE_DRAWS, tensors["x_b"].numpy(), why, reasons=reasons)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    return {key: tensor.numpy() for key, tensor in read_tensors(path, broken_too=True)[0].items()}
