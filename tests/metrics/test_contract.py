"""Every metric in bench/metrics passes the checks of its kind; a new file is checked without any edit here."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bench.conformance import check
from bench.conformance.metrics import (
    batch_faults,
    column_faults,
    computed_faults,
    goal_faults,
    orientation_faults,
    results_of,
)
from bench.core import registry
from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics import BUILT_IN
from bench.metrics._evaluation import built_in_columns, open_metrics


@pytest.mark.parametrize("name", registry.names("metric"))
def test_every_metric_conforms(name):
    path = registry.find("metric", name)
    assert path is not None
    results = check(path, "metric")
    assert not [str(result) for result in results if result.status == "FAIL"]
    assert sum(result.status == "ok" for result in results) > 5


def test_every_built_in_metric_is_a_plugin_and_needs_no_parameters():
    assert set(BUILT_IN) <= set(registry.names("metric"))
    assert len(open_metrics({})) == len(BUILT_IN)
    assert len(built_in_columns()) == 68 + 54


def test_added_metrics_follow_the_built_in_ones_in_the_order_of_the_suite():
    names = [type(metric).__name__ for metric in open_metrics({"sets": {}, "perceptual": {}})]
    assert names[-2:] == ["Sets", "Perceptual"] and len(names) == len(BUILT_IN) + 2


@dataclass(frozen=True)
class Faulty(Metric):
    """A metric that a change of one line breaks in each of the ways that the contract names."""

    fault: str

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        better = (
            "lower" if self.fault == "orientation" else 0.3 if self.fault == "goal" else "higher"
        )
        column = Column("closeness", "minus the distance to x_true", better, needs="operator")
        return (column, column) if self.fault == "twice" else (column,)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        errors = (samples - truth.x_true[:, None]).flatten(2).norm(dim=2).mean(1)
        if self.fault == "batch":
            errors = errors - errors.mean()
        if self.fault == "shape":
            errors = errors[:, None]
        if self.fault == "not finite":
            errors = errors.fill_(torch.inf)
        return {"other" if self.fault == "name" else "closeness": -errors}


@pytest.mark.parametrize(
    ("fault", "faults", "words"),
    [
        ("twice", column_faults, "closeness: given twice"),
        ("name", computed_faults, "compute() returned 'other', which is none of its columns"),
        ("batch", batch_faults, "closeness: measurement 0 alone gives"),
        (
            "shape",
            computed_faults,
            "compute() returned (48, 1) for 'closeness', expected a tensor (48,)",
        ),
        ("not finite", computed_faults, "closeness: is not finite for a perfect sampler"),
        (
            "orientation",
            orientation_faults,
            "closeness: better = 'lower', but samples that are off are better",
        ),
        ("goal", goal_faults, "for a perfect sampler, expected 0.3"),
    ],
)
def test_a_fault_is_named(fault, faults, words):
    assert list(faults(results_of(Faulty(""), rewarded=False))) == []
    assert any(words in line for line in faults(results_of(Faulty(fault), rewarded=False)))
