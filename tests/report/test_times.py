"""Tables of seconds: every batch has its row, a missing time has a reason, and disturbed times are marked."""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import pytest

from bench.report.cost_table import cost_csv, cost_notes, cost_table, machines_of
from bench.report.markup import latex_page, markdown_page
from bench.report.timing_table import (
    COLUMNS,
    DISTURBED,
    ON_CPU,
    timing_csv,
    timing_notes,
    timing_table,
)


def batch(s: int, median: float, m: int = 1, share: float = 1.0) -> dict:
    """One point of a curve: m measurements with s samples each in `median` seconds, 10 rows forward a sample."""
    numbers = {
        "m": m,
        "s": s,
        "median": median,
        "low": 0.9 * median,
        "high": 1.2 * median,
        "repeats": 5,
    }
    more = {
        "cpu_share": share,
        "nfe": 10.0,
        "nfe_vjp": 0.0,
        "peak": {"resident": 3 * 2**20},
        "joules": None,
    }
    return numbers | more | {"first": 2 * median, "bare": 0.5 * median}


def timing(
    method: str, *batches: dict, train: float = 0.0, status: str = "ok", reason: str = ""
) -> dict:
    about = {
        "task": "gmm-blur",
        "method": method,
        "status": status,
        "reason": reason,
        "train_seconds": train,
    }
    machine = {"device": "cpu", "model": "a processor"}
    about |= {
        "machine": machine,
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
        "num_parameters": 1_500_000,
    }
    if not batches:
        return about
    best = batches[-1] | {
        "samples_per_second": batches[-1]["m"] * batches[-1]["s"] / batches[-1]["median"]
    }
    return about | {"curve": list(batches[:-1]), "throughput": best, "stopped": "no gain"}


TIMINGS = (
    timing("dps", batch(1, 0.2), batch(8, 0.8), batch(8, 3.2, m=8)),
    timing("aps", batch(1, 0.1), batch(8, 0.4), batch(8, 0.8, m=8), train=60.0),
    timing("oracle", status="n/a", reason="needs EXACT"),
)


def test_the_table_of_times_has_a_row_for_each_batch_and_a_reason_where_there_is_none():
    frame = timing_table(TIMINGS).frame
    assert list(frame.index) == 3 * ["gmm-blur: dps"] + 3 * ["gmm-blur: aps"] + ["gmm-blur: oracle"]
    first = {name: cell.mean for name, cell in frame.iloc[0].items()}
    assert (first["parameters, M"], first["ms per NFE"], first["bare"], first["ratio"]) == (
        "1.5",
        "20",
        "10",
        "2",
    )
    assert frame.iloc[2]["x batch 1"].mean == "4" and frame.iloc[0]["J per sample"].mean == "n/a"
    assert {cell.reason for cell in frame.loc["gmm-blur: oracle"]} == {"n/a (needs EXACT)"}


def test_a_failed_call_does_not_name_the_machine_of_the_times():
    failed = timing("aps", status="failed", reason="stopped")
    failed["machine"] = {"device": "cpu", "model": "of the process that wrote the record"}
    assert (
        machines_of([timing("dps", batch(1, 2.0)), failed]) == "cpu, a processor; float32, 1 thread"
    )
    assert "wrote the record" in machines_of([failed])


def test_times_in_csv_keep_gaps_empty_and_counts_whole():
    rows = list(csv.DictReader(io.StringIO(timing_csv(TIMINGS))))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 7
    assert (rows[0]["num_parameters"], rows[0]["m"], rows[0]["joules_per_sample"]) == (
        "1500000",
        "1",
        "",
    )
    assert (
        float(rows[2]["seconds_per_sample"]) == pytest.approx(3.2 / 64)
        and rows[2]["stopped"] == "no gain"
    )
    assert (rows[-1]["seconds"], rows[-1]["status"], rows[-1]["reason"]) == (
        "",
        "n/a",
        "needs EXACT",
    )


def test_every_row_of_times_is_written():
    table = timing_table(TIMINGS)
    text = latex_page([table], ())
    assert text.count("gmm-blur: dps &") == 3 and r"\multicolumn{15}{l}{n/a (needs EXACT)}" in text
    page = markdown_page("times", [table], ())
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 7 and len({row.count("|") for row in rows}) == 1


def test_times_disturbed_by_other_work_are_marked():
    assert DISTURBED not in timing_notes(TIMINGS) and ON_CPU in timing_notes(TIMINGS)
    busy = timing("dps", batch(1, 0.2, share=0.5), batch(8, 0.8))
    assert DISTURBED in timing_notes([busy])
    suite = SimpleNamespace(
        timings=(busy, *TIMINGS[1:]), **dict.fromkeys(("sources", "origins"), ())
    )
    assert any("too long: gmm-blur dps." in note for note in cost_notes(suite))


def test_the_table_of_costs_states_when_training_pays():
    suite = SimpleNamespace(timings=TIMINGS)
    table = cost_table(suite)
    dps, aps = table.frame.loc["gmm-blur: dps"], table.frame.loc["gmm-blur: aps"]
    assert (dps["seconds, s = 8"].mean, dps["seconds, s = 8"].low) == ("0.80", "0.72")
    assert dps["samples per second"].mean == "20 (m = 8)" and dps["peak MiB"].mean == "3"
    # 60 s over 0.8 - 0.4 s a measurement
    assert (dps["break-even"].mean, aps["break-even"].mean) == ("", "150")
    assert table.reasons == {"gmm-blur: oracle": "n/a (needs EXACT)"}
    lines = list(csv.DictReader(io.StringIO(cost_csv(suite))))
    assert [line["what"] for line in lines] == ["curve", "curve", "throughput"] * 2 + [""]
    assert lines[-1]["reason"] == "n/a (needs EXACT)" and lines[0]["peak_bytes"] == str(3 * 2**20)
