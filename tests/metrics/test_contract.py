"""Every metric in bench/metrics keeps the contract, found by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bench.conformance.metrics import check, plugins, truth
from bench.core import registry
from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics import BUILT_IN
from bench.metrics._evaluation import built_in_columns, open_metrics


@pytest.mark.parametrize("metric", plugins(), ids=lambda metric: type(metric).__name__)
def test_metric_keeps_the_contract(metric):
    assert check(metric) == []


def test_no_two_metrics_share_a_column():
    context = truth().context
    ids = Counter(column.id for metric in plugins() for column in metric.columns(context))
    assert [id for id, num in ids.items() if num > 1] == []


def test_every_built_in_metric_is_a_plugin_and_needs_no_parameters():
    assert set(BUILT_IN) <= set(registry.names("metric"))
    assert len(open_metrics({})) == len(BUILT_IN)
    assert len(built_in_columns()) == 51 + 54


def test_added_metrics_stand_behind_the_built_in_ones_in_the_order_of_the_suite():
    names = [type(metric).__name__ for metric in open_metrics({"sets": {}, "perceptual": {}})]
    assert names[-2:] == ["Sets", "Perceptual"] and len(names) == len(BUILT_IN) + 2


@dataclass(frozen=True)
class Faulty(Metric):
    """A metric that a change of one line breaks in each of the ways that the contract names."""

    fault: str

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        better = "lower" if self.fault == "orientation" else 0.3 if self.fault == "goal" else "higher"
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
    ("fault", "words"),
    [
        ("twice", "closeness: given twice"),
        ("name", "other: is computed, but not among the columns"),
        ("batch", "closeness: measurement 0 alone gives"),
        ("shape", "closeness: expected a value for each measurement"),
        ("not finite", "closeness: is not finite for a perfect sampler"),
        ("orientation", "closeness: better = 'lower', but samples that are off are better"),
        ("goal", "for a perfect sampler, expected 0.3"),
    ],
)
def test_a_fault_is_named(fault, words):
    assert any(words in line for line in check(Faulty(fault)))


def test_a_faultless_metric_has_no_fault():
    assert check(Faulty("")) == []
