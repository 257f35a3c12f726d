"""Set metrics in summary.csv and in their own table: one number per task and run, seeds averaged, with the floors."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.core.metric import REFERENCE, Context
from bench.metrics._evaluation import open_metric
from bench.metrics._table import Scores, Table
from bench.report.set_table import set_notes, set_table
from bench.stats.results import SuiteResults, TaskResults
from bench.stats.scores import Score, read_scores
from bench.stats.sets import set_lines
from bench.stats.summary import summarise

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
    reference = {"kind": "closed form"}
    return SimpleNamespace(
        name="gmm-sr2", of_sets=tuple(of_sets), left_out=frozenset({"ods"}), reference=reference
    )


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
    suite = SimpleNamespace(methods=methods, tasks=(task,), kinds={})
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


TRAIN, S = 400, 32  # images, and samples of each measurement
SIZES = {"gmm-few": 2, "gmm-many": 10}  # measurements of each task


def pictures(num: int, seed: int) -> torch.Tensor:
    return torch.rand((num, 1, 8, 8), generator=torch.Generator().manual_seed(seed)) - 0.5


def task_of_size(name: str, num: int) -> TaskResults:
    """Return a task with as many measurements, all samples of which were compared with real images."""
    mixing = torch.randn((64, 5), generator=torch.Generator().manual_seed(0))
    network = SimpleNamespace(features=lambda x: (x.flatten(1) @ mixing / 4).tanh())
    images = {"train": pictures(TRAIN, 1), "test": pictures(400, 2), "validation": pictures(120, 3)}
    known = (lambda _: network, lambda: images)
    context = Context("digits", (1, 8, 8), num, S, *known)
    metric = open_metric("sets", {"extractors": ["digits-cnn-v1"]})
    real, columns = metric.real_images(context), metric.columns(context)
    empty = metric.why_empty(SimpleNamespace(context=context))
    runs = [
        Scores(method, 0, {}, ("",) * num, "", metric.summarise(x, {}, context) | real)
        for method, x in {
            REFERENCE: pictures(num * S, 4).unflatten(0, (num, S)),
            "dps": pictures(num * S, 5).unflatten(0, (num, S)),
        }.items()
    ]
    table = Table(name, columns, {}, empty)
    scores = read_scores(table.csv(runs))[1]
    return TaskResults(
        name, {}, {}, (), table.definitions, {}, (), of_sets=scores, num_measurements=num
    )


def test_tasks_of_different_size_have_rows_of_their_own_with_floors_of_their_size():
    tasks = tuple(task_of_size(*item) for item in SIZES.items())
    suite = SuiteResults(Path("."), "sizes", ("dps",), (0,), 4, S, tasks, ())
    lines = summarise(suite)
    table = set_table(suite, lines)
    # FID of 64 images is refused; the other statistics are there
    assert [row for row in table.frame.index if ": fid" in row] == [
        "gmm-many: fid-digits-cnn-v1-n320"
    ]
    assert {row for row in table.frame.index if ": kid" in row} == {
        "gmm-few: kid-digits-cnn-v1-n64",
        "gmm-many: kid-digits-cnn-v1-n320",
    }
    for row, cells in table.frame.iterrows():
        assert all(cell.mean for cell in cells), row
    floors = table.frame["training images"]
    # of as many images as there are samples
    few, many = (
        floors[f"gmm-{size}: recall-digits-cnn-v1-n{n}"] for size, n in (("few", 64), ("many", 320))
    )
    assert float(few.mean) < float(many.mean)
    named = [note.split(":")[0] for note in set_notes(suite, lines)]
    assert {"kid-digits-cnn-v1-n64", "kid-digits-cnn-v1-n320"} <= set(named)
    assert len(named) == len(set(named))
    assert not [x for x in lines if x.task == "gmm-few" and x.metric.endswith("n320")]
