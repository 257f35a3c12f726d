"""Read a method's diagnosis of its own sampler (`diagnose`) from the file of its samples, as columns of metrics.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bench.core.metric import Column

NOT_SAID = "n/a (the method does not say)"
PREFIX = "diagnosis."  # of the tensors beside samples in their file
COLUMNS = (
    Column(
        "log_z",
        "estimate of log Z, Z the mean of exp(log likelihood) under the prior, from the importance weights of the "
        "method's own paths, or of one cloud of its particles; the log likelihood has no constant term. Row reference: "
        "the exact value, where a formula gives it",
        None,
        "nats",
        not_finite=NOT_SAID,
    ),
    Column(
        "elbo",
        "mean log importance weight of the method's own paths, a lower bound of log_z: the gap between them is the "
        "divergence of its paths from the ideal ones",
        "higher",
        "nats",
        not_finite=NOT_SAID,
    ),
    Column(
        "path_ess",
        "effective share of the method's own paths by their importance weights, (sum w)^2 / (n sum w^2), between 1 / n "
        "and 1; of weights, not of chains. Of particles: by the weights since they were last resampled",
        "higher",
        "1",
        not_finite=NOT_SAID,
    ),
    Column(
        "num_ancestors",
        "number of particles of one cloud at its first noise level that have descendants at the end, between 1 and the "
        "number of particles: how much the particles of a cloud share",
        "higher",
        "1",
        not_finite=NOT_SAID,
    ),
)
NAMES = tuple(column.id for column in COLUMNS)


def diagnosis_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the diagnosis in a file of samples, (M,) by column id."""
    return {name: tensors[PREFIX + name] for name in NAMES if PREFIX + name in tensors}


def filled(said: Sequence[Mapping[str, Tensor]], num_measurements: int) -> list[dict[str, Tensor]]:
    """Return values of all columns for each run, NaN where a run has none; {} for each if no run has any."""
    if not any(said):
        return [{} for _ in said]
    nothing = torch.full((num_measurements,), torch.nan)
    return [{name: of_run.get(name, nothing) for name in NAMES} for of_run in said]
