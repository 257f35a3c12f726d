"""Published values: all that the tables show, complete and in the same bytes for the same results."""

from __future__ import annotations

import gzip
import hashlib

import pandas as pd
import pytest
from helpers.synthetic_results import write_results

from bench.core.published_suites import VALUES as FILE
from bench.report import published_values
from bench.report.published_values import COLUMNS, LEADING, packed, publish_values, values_frame
from bench.report.tables import is_shown
from bench.stats.results import load


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return load(write_results(tmp_path_factory.mktemp("suite")))


def test_every_value_of_a_shown_metric_is_published(suite, tmp_path):
    record = publish_values(suite, tmp_path)
    frame = pd.read_csv(tmp_path / FILE)
    assert tuple(frame.columns) == COLUMNS and len(record["values_sha256"]) == 64
    keys = ["task", "method", "seed", "measurement", "metric"]
    published = frame.set_index(keys)["value"]
    assert published.index.is_unique and published.notna().all()
    scores = [
        (task.name, score)
        for task in suite.tasks
        for score in task.scores
        if score.value is not None
    ]
    shown = {
        (t, s.method, s.seed, s.measurement, s.metric): s.value
        for t, s in scores
        if is_shown(s.metric)
    }
    assert set(published.index) == set(shown)
    assert all(published[key] == pytest.approx(value, rel=1e-5) for key, value in shown.items())
    assert {"sw2-128", "psnr_mean", "energy"} <= set(frame["metric"]) and "psnr_sample" not in set(
        frame["metric"]
    )


def test_equal_results_give_equal_bytes(suite, tmp_path):
    publish_values(suite, tmp_path / "a")
    publish_values(suite, tmp_path / "b")
    first, second = ((tmp_path / name / FILE).read_bytes() for name in "ab")
    assert first == second and gzip.decompress(first).startswith(b"task,method,seed")


def test_of_values_that_are_too_many_the_leading_metrics_are_published(
    suite, tmp_path, monkeypatch, capsys
):
    everything = len(packed(values_frame(suite)))
    monkeypatch.setattr(published_values, "LARGEST", everything // 3)
    record = publish_values(suite, tmp_path)
    data = (tmp_path / FILE).read_bytes()
    kept = list(dict.fromkeys(pd.read_csv(tmp_path / FILE)["metric"]))
    assert len(data) <= everything // 3
    assert record["values_sha256"] == hashlib.sha256(data).hexdigest()
    assert kept and set(kept) == set(LEADING[: len(kept)])
    assert f"holds {', '.join(LEADING[: len(kept)])} alone" in capsys.readouterr().out


def test_a_file_that_is_too_large_is_left_out_with_a_message(suite, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(published_values, "LARGEST", 100)
    assert publish_values(suite, tmp_path) == {} and not list(tmp_path.iterdir())
    assert "left out" in capsys.readouterr().out
