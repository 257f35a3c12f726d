"""The keys `headline` and `columns` of `metrics`, and `reference` of a task: what specs say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.suite_file import folder_of_two_methods, suite_file  # noqa: F401 (a fixture)

from bench import plan
from bench.core.errors import UserError
from bench.core.specs import SuiteSpec, TaskSpec
from bench.plan.metrics import metrics_of_task, plugins_of
from bench.plan.suite_specs import suite_spec, task_spec

pytestmark = pytest.mark.usefixtures("folder")
LEADING = {"headline": "psnr_mean", "columns": ["chi2_sample", "nfe"]}


def test_headline_and_columns_are_no_plugins():
    content = {"metrics": {**LEADING, "ssim": {"windows": [1.5]}}}
    assert list(plugins_of(content)) == ["ssim"]
    assert metrics_of_task(content, "any") == {"ssim": {"windows": [1.5]}}


def test_specs_have_the_values_of_the_suite():
    changes = {"metrics": LEADING, "tasks/gmm-saturate/reference": "none"}
    suite = plan.load(suite_file(Path(), **changes))
    spec = suite_spec(suite)
    assert isinstance(spec, SuiteSpec)
    assert (spec.headline, spec.columns) == ("psnr_mean", ("chi2_sample", "nfe"))
    wanted = {task: task_spec(suite, task) for task in ("gmm-saturate", "gmm-inpaint-box")}
    assert all(isinstance(spec, TaskSpec) for spec in wanted.values())
    assert [spec.reference for spec in wanted.values()] == ["none", ""]
    assert "reference" not in wanted["gmm-saturate"].parameters


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"tasks/gmm-saturate/reference": "smc"},
            "tasks.gmm-saturate.reference: expected one of none, particles",
        ),
        ({"metrics": {"headline": 3}}, "metrics.headline: expected text"),
        ({"metrics": {"columns": []}}, "metrics.columns: expected a list, not empty"),
        ({"metrics": {"columns": "nfe"}}, "metrics.columns: expected a list"),
    ],
)
def test_other_values_are_refused_in_one_line(changes, words):
    with pytest.raises(UserError, match=words):
        plan.load(suite_file(Path(), **changes))
