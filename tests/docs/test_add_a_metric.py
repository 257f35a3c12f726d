"""docs/add-a-metric.md: its file conforms and gives columns in metrics.csv; the list of columns is complete."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from helpers.forked import run_module
from helpers.tiny_task import spec_of_tiny_task  # noqa: F401 (a fixture)

from bench.core.artefacts import read_csv, read_json, write_json
from bench.metrics.__main__ import page

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/add-a-metric.md").read_text()


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch) -> Path:
    """A folder of plug-ins with the file that the page shows."""
    folder = tmp_path / "plugins"
    (folder / "metrics").mkdir(parents=True)
    (folder / "metrics/worst_pixel.py").write_text(
        re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    )
    monkeypatch.setenv("POSTERIOR_BENCH_PLUGINS", str(folder))
    return folder


def test_the_file_on_the_page_conforms(plugins):
    done = run_module(["bench.conformance", "--kind", "metric", "worst_pixel"])
    assert done.returncode == 0 and "conforms" in done.stdout, done.stdout + done.stderr


def test_the_metric_has_its_columns_in_a_task_that_names_it(plugins, spec):
    write_json(spec, read_json(spec) | {"metrics": {"worst-pixel": {"quantile": 0.95}}})
    done = run_module(["bench.stages.evaluate", str(spec)])
    assert done.returncode == 0, done.stderr
    text, info = read_csv(spec.parents[2] / "tasks/task/metrics.csv")
    rows = {
        (r["method"], r["observation"], r["metric"]): r for r in csv.DictReader(io.StringIO(text))
    }
    assert float(rows["oracle", "0", "worst_pixel"]["value"]) > float(
        rows["oracle", "0", "mean_error"]["value"]
    )
    assert (
        rows["oracle", "2", "worst_pixel"]["reason"]
        == "n/a (reference not admitted: two runs differ)"
    )
    assert float(rows["oracle", "2", "worst_pixel_x_true"]["value"]) > 0
    assert info["definitions"]["worst_pixel"].startswith("quantile 0.95 over pixels")
    assert info["better"]["worst_pixel"] == "lower"


def test_the_list_of_columns_is_up_to_date():
    committed = (ROOT / "docs/reference/columns.md").read_text()
    assert committed == page(), "run python -m bench.metrics > docs/reference/columns.md"
