"""Set metrics in summary.csv and in their own table: one number per task and run, seeds averaged, beside the floors."""

from __future__ import annotations

from dataclasses import astuple
from types import SimpleNamespace

import pytest

from bench.report.set_table import set_table
from bench.stats.results import Score
from bench.stats.sets import set_lines

KID, FID = "kid-digits-cnn-v1-n1024", "fid-digits-cnn-v1-n1024"
REFUSED = "n/a (FID by digits-cnn-v1 needs 250 images or more, has 24; see KID)"


def scores(method: str, **values: float | str) -> list[Score]:
    """`kid=0.1, kid_low=...`, or a reason for all of a run."""
    names = {"kid": KID, "kid_low": f"{KID}_low", "kid_high": f"{KID}_high", "fid": FID}
    names |= {
        "floor": "kid_floor_train-digits-cnn-v1-n300",
        "halves": "kid_floor_halves-digits-cnn-v1-n250",
    }
    return [
        Score(
            method,
            0,
            None,
            names[name],
            None if isinstance(v, str) else v,
            v if isinstance(v, str) else "",
        )
        for name, v in values.items()
    ]


@pytest.fixture
def task():
    of_sets = [
        *scores(
            "reference", kid=0.1, kid_low=0.0, kid_high=0.2, fid=REFUSED, floor=0.01, halves=0.02
        ),
        *scores("dps", kid=0.2, kid_low=0.1, kid_high=0.4, fid=REFUSED),  # two seeds
        *scores("dps", kid=0.4, kid_low=0.2, kid_high=0.6, fid=REFUSED),
        *scores(
            "aps", **dict.fromkeys(("kid", "kid_low", "kid_high", "fid"), "failed (ValueError: no)")
        ),
    ]
    return SimpleNamespace(name="gmm-sr2", of_sets=tuple(of_sets), left_out=frozenset({"ods"}))


def test_seeds_are_averaged_and_ends_go_into_the_line_of_their_metric(task):
    lines = {
        astuple(line)[1:3]: astuple(line)[3:] for line in set_lines(task, ("dps", "aps", "ods"))
    }
    assert lines["dps", KID] == (pytest.approx(0.3), pytest.approx(0.15), pytest.approx(0.5), 0, "")
    assert lines["reference", FID] == (None, None, None, 0, REFUSED)
    assert lines["aps", KID] == (None, None, None, 1, "failed (ValueError: no)")
    assert lines["ods", KID] == (None, None, None, 0, "n/a (left out by the suite)")
    assert lines["reference", "kid_floor_train-digits-cnn-v1-n300"] == (0.01, None, None, 0, "")
    assert {metric for _, metric in lines if metric.endswith(("_low", "_high"))} == set()
    assert [method for method, metric in lines if "_floor_" in metric] == ["reference", "reference"]


def test_the_table_has_floors_and_methods_across_and_no_row_without_a_number(task):
    methods = ("aps", "dps", "ods")
    suite = SimpleNamespace(methods=methods, tasks=(task,))
    table = set_table(suite, set_lines(task, methods))
    (row,) = table.frame.index  # FID has no number anywhere
    assert row == f"gmm-sr2: {KID}"
    cells = table.frame.loc[row]
    assert [cells[name].mean for name in ("training images", "half of the held-out images")] == [
        "0.0100",
        "0.0200",
    ]
    assert (cells["reference"].mean, cells["reference"].low, cells["reference"].high) == (
        "0.10",
        "0.00",
        "0.20",
    )
    assert (
        cells["aps"].reason == "failed (ValueError: no)"
        and cells["ods"].reason == "n/a (left out by the suite)"
    )
