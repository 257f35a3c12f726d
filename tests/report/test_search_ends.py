"""Winners at the end of a search are found by range, scale and grid, but not at a limit of the method."""

from __future__ import annotations

import csv
import io
import json
from functools import partial

import pytest
from helpers.repository import REPOSITORY

from bench.core.artefacts import read_csv
from bench.core.types import LogUniform, Uniform
from bench.report.search_ends import end_faults
from bench.runtime.run_method import attempt, load_method

COMMITTED = REPOSITORY / "results/reference/tuning"


def faults(value: float, ends: list, limit: float = 0.0) -> list[str]:
    log = {"task": "gmm-blur", "method": "dps", "ranges": {"zeta": ends}}
    log["winner"] = {"settings": {"zeta": value}}
    return list(end_faults(log, lambda settings: settings["zeta"] >= limit))


@pytest.mark.parametrize("value, is_fault", [(0.5, True), (1, False), (2, True)])
def test_a_grid_that_ends_at_its_winner_is_found(value, is_fault):
    assert bool(faults(value, [0.5, 2, "grid"])) == is_fault


@pytest.mark.parametrize(
    "value, is_fault", [(0.0101, True), (0.02, False), (5.0, False), (9.9, True)]
)
def test_an_end_of_a_logarithmic_range_is_near_in_the_logarithm(value, is_fault):
    assert bool(faults(value, [0.01, 10.0, "log"])) == is_fault


def test_an_end_of_a_linear_range_is_near_in_its_units():
    assert faults(0.02, [0.0, 1.0, "linear"], limit=-5) and not faults(0.1, [0.0, 1.0, "linear"])


def test_the_line_names_task_method_field_value_and_end():
    (line,) = faults(2, [0.5, 2, "grid"])
    assert line == (
        "gmm-blur dps: zeta = 2 wins at the high end of its grid [0.5, 2]: extend it beyond 2 and tune again"
    )


def test_a_limit_of_the_method_is_no_end_of_a_search():
    assert faults(1.0, [1.0, 30.0, "log"]) and not faults(1.0, [1.0, 30.0, "log"], limit=1.0)


def test_a_search_without_a_winner_has_no_end():
    assert not list(end_faults({"winner": None}, lambda settings: True))


def accepts(log: dict, settings: dict) -> bool:
    return attempt(lambda: load_method(log["module"], settings)).status == "ok"


def test_no_committed_search_ends_at_its_winner():
    for path in [*COMMITTED.glob("gmm-*/*.csv"), *COMMITTED.glob("default/*/*.csv")]:
        _, log = read_csv(path)
        if "ranges" not in log:  # of a search before logs said what was searched
            search = load_method(log["module"], log["settings"]).search
            log["ranges"] = {
                name: [
                    values.low,
                    values.high,
                    "log" if isinstance(values, LogUniform) else "linear",
                ]
                for name, values in search.items()
                if isinstance(values, (Uniform, LogUniform))
            }
        assert not list(end_faults(log, partial(accepts, log))), path


def test_no_committed_grid_ends_at_its_winner():
    for path in COMMITTED.glob("grid/*/*.csv"):
        if path.with_name(f"{path.name}.info.json").exists():
            _, log = read_csv(path)
            assert log["ranges"]["zeta"][2] == "grid"
            assert not list(end_faults(log, partial(accepts, log))), path
            continue
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        scores = {json.loads(row["settings"])["zeta"]: float(row["energy_score"]) for row in rows}
        best = min(scores, key=lambda zeta: scores[zeta])
        assert min(scores) < best < max(scores), path
