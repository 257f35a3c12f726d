"""docs/add-a-figure.md: its file, dropped into a user's folder, is drawn, saved and shown on the page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from helpers.synthetic_results import METHODS, edit_spec, rows_of, summary_of, write_results

from bench.conformance import check
from bench.core import registry
from bench.core.errors import UserError
from bench.stages import figure, tables

PAGE = Path(__file__).parents[2] / "docs" / "add-a-figure.md"


@pytest.fixture
def plugins(tmp_path, monkeypatch) -> Path:
    """The folder of a user with the page's figure in it."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    folder = tmp_path / "plugins"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "width.py").write_text(code[1])
    monkeypatch.setenv(registry.PLUGINS, str(folder))
    yield folder
    sys.modules.pop("bench.figures.width", None)


def test_the_figure_of_the_page_meets_the_contract(plugins):
    results = check(plugins / "figures" / "width.py")
    assert [str(result) for result in results if result.status != "ok"] == []
    assert results[-1].title == "no word is cut off"


def test_the_figure_of_the_page_is_saved_with_its_numbers(plugins, tmp_path):
    spec = write_results(tmp_path / "suite")
    edit_spec(spec, figures={"width": {"metric": "std_ratio"}})
    figure.main(str(spec), "width")
    tables.main(str(spec))
    folder = spec.parents[1] / "figures"
    assert {path.name for path in folder.glob("width.*")} == {
        "width.pdf", "width.png", "width.csv", "width.csv.info.json"
    }  # fmt: skip
    rows, summary = {row["method"]: row for row in rows_of(folder / "width.csv")}, summary_of(spec)
    assert set(rows) == set(METHODS)
    of_method = [
        line
        for (_, method, metric), line in summary.items()
        if (method, metric) == ("dps", "std_ratio")
    ]
    means = [float(line["mean"]) for line in of_method if line["mean"]]
    assert float(rows["dps"]["mean"]) == pytest.approx(sum(means) / len(means), rel=1e-4)


def test_a_name_that_the_suite_does_not_list_is_refused(tmp_path):
    spec = write_results(tmp_path / "suite")
    with pytest.raises(UserError, match="figures: expected one of distance, .*, got 'wdith'"):
        figure.main(str(spec), "wdith")
