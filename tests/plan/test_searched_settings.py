"""The settings that won a search of the default suite's rows are those with which it runs."""

from __future__ import annotations

import pytest
import yaml
from helpers.repository import REPOSITORY

from bench.core.artefacts import read_csv
from bench.runtime.run_method import load_method

SUITE = yaml.safe_load((REPOSITORY / "config/default.yaml").read_text())
LOGS = sorted((REPOSITORY / "results/reference/tuning/default").rglob("*.csv"))


def test_each_row_that_is_no_paper_s_is_searched_on_each_of_its_tasks():
    asked = SUITE["tune"]
    papers = {name for name in SUITE["methods"] if name.startswith("cps-") or "paper" in name}
    fixed = {
        "oracle",
        "unconditional",
        "aps-npe",
    }  # aps-npe: the settings of aps, of which it is the control
    assert {*asked["methods"]} == {*SUITE["methods"]} - papers - fixed
    assert {*asked["tasks"]} == {*SUITE["tasks"]} and asked["num_measurements"] >= 32
    assert LOGS


@pytest.mark.parametrize("path", LOGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_row_has_the_settings_that_won(path):
    _, log = read_csv(path)
    task, row = path.parent.name, path.stem
    settings = SUITE["methods"][row] | SUITE["tasks"][task].get("settings", {}).get(row, {})
    settings = {key: value for key, value in settings.items() if key != "plugin"}
    if log["winner"] is not None:
        assert load_method(log["module"], settings) == load_method(
            log["module"], log["winner"]["settings"]
        )
