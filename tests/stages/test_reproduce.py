"""A finished suite against its published results: the command, its exit status, and real runs of a sampler."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.synthetic_results import edit_metrics, rows_of, write_published

import bench
from bench.api.sampling import draw_samples, method_of
from bench.core.artefacts import (
    read_csv,
    read_json,
    read_tensors,
    write_csv,
    write_json,
    write_tensors,
)
from bench.core.errors import UserError
from bench.core.layout import REFERENCE
from bench.report.publish import publish_suite
from bench.report.reproduction_page import Reproduction
from bench.report.tables import is_shown
from bench.stages import reproduce
from bench.stages import tables as tables_stage
from bench.stats.reproduction import (
    DIFFERS,
    KEYS,
    REPRODUCED,
    UNTESTED,
    Cell,
    compare_values,
)
from bench.stats.results import load

SUITE = """
name: small
seeds: [0]
num_measurements: 16
num_samples: 32
num_reference: 64
rows_per_chunk: 1024
datasets: {digits: {}}
priors: {gmm: {family: gmm, dataset: digits, num_components: 5, shrinkage: 30, floor: 0.02}}
tasks:
  gmm-denoise: {operator: denoise, sigma_y: 0.5}
methods: {dps: {num_steps: 50}}
"""


SPEC = Path("results/synthetic/specs/suite.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished suite of random numbers in a folder of its own, with its published results."""
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_published()
    return folder


@pytest.fixture
def spec(folder, tmp_path, monkeypatch) -> Path:
    """A copy of it."""
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "copy"))
    return SPEC


def _write(path: Path, frame: pd.DataFrame) -> None:
    """Write a published table in the place of another one, with a record if that has one."""
    if path.suffix == ".csv":
        info = {k: v for k, v in read_csv(path)[1].items() if k not in ("files", "file_sha256")}
        write_csv(path, frame.to_csv(index=False), info)
    else:
        frame.to_csv(path, index=False)


def _publish(spec) -> None:
    publish_suite(load(spec), (), REFERENCE / "synthetic", allow_dirty=True)


def test_equal_results_are_reproduced_in_all_cells(spec, capsys):
    reproduce.main(str(spec))
    printed = capsys.readouterr().out
    assert "synthetic: reproduced in" in printed and "0123456789ab" in printed
    cells = rows_of(spec.parents[1] / "tables/reproduction.csv")
    assert {cell["verdict"] for cell in cells} == {REPRODUCED}
    assert {"nfe", "energy"} <= {cell["metric"] for cell in cells}
    assert "## Not reproduced" not in (spec.parents[1] / "tables/reproduction.md").read_text()


def test_a_changed_row_is_found_listed_first_and_the_exit_status_says_so(spec, capsys):
    def more(row):
        is_it = row["method"] == "dps" and row["metric"] == "energy" and row["value"]
        return (f"{float(row['value']) * 1.5}" if is_it else row["value"]), row["reason"]

    edit_metrics(spec, more)
    tables_stage.main(str(spec))
    with pytest.raises(SystemExit) as stop:
        reproduce.main(str(spec))
    assert stop.value.code == 1
    first, second, *_ = rows_of(spec.parents[1] / "tables/reproduction.csv")
    assert (first["task"], first["method"], first["metric"]) == ("gmm-phase", "dps", "energy")
    assert first["verdict"] == DIFFERS and second["verdict"] != DIFFERS
    page = (spec.parents[1] / "tables/reproduction.md").read_text()
    assert "## Not reproduced" in page and "| gmm-phase | dps | energy |" in page


def test_a_row_that_fails_now_is_not_reproduced(spec):
    def failing(row):
        return ("", "failed (now)") if row["method"] == "dps" else (row["value"], row["reason"])

    edit_metrics(spec, failing)
    tables_stage.main(str(spec))
    with pytest.raises(SystemExit):
        reproduce.main(str(spec))
    first = rows_of(spec.parents[1] / "tables/reproduction.csv")[0]
    assert first["method"] == "dps" and first["reason"] == "here: failed (now)"


def test_a_row_that_does_not_run_any_more_is_not_reproduced(spec, capsys):
    def not_there(row):
        is_it = row["method"] == "dps"
        return ("", "n/a (needs DECODER)") if is_it else (row["value"], row["reason"])

    edit_metrics(spec, not_there)
    path = spec.parents[1] / "runs/gmm-phase/dps/seed0/samples.safetensors"
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"status": "n/a", "reason": "needs DECODER"})
    tables_stage.main(str(spec))
    with pytest.raises(SystemExit):
        reproduce.main(str(spec))
    differ = [
        cell
        for cell in rows_of(spec.parents[1] / "tables/reproduction.csv")
        if cell["verdict"] == DIFFERS
    ]
    assert {(cell["task"], cell["method"]) for cell in differ} == {("gmm-phase", "dps")}
    assert {cell["reason"] for cell in differ} == {"here: n/a (needs DECODER)"}
    assert "energy" in {cell["metric"] for cell in differ}


def test_a_metric_without_a_number_is_not_testable_and_not_counted(spec, capsys):
    def empty(row):
        is_it = row["metric"] == "energy" and row["method"] == "dps"
        return ("", "n/a (weights absent)") if is_it else (row["value"], row["reason"])

    edit_metrics(spec, empty)
    tables_stage.main(str(spec))
    reproduce.main(str(spec))
    assert "; 1 not testable; published by" in capsys.readouterr().out
    page = (spec.parents[1] / "tables/reproduction.md").read_text()
    assert "- 1 cells of dps: here: n/a (weights absent)." in page


def test_only_reproduced_cells_are_counted_as_equal():
    cells = [
        Cell("task", "row", "nfe", how="equality", verdict=DIFFERS),
        Cell("task", "row", "energy", how="equal to the published digits"),
    ]
    found = Reproduction("small", "0123456789ab", tuple(cells), ())
    assert "reproduced in 1 of 2 cells (1 of them equal)" in found.summary()


def test_tasks_of_other_measurements_are_reported_and_not_compared(spec, capsys):
    path = REFERENCE / "synthetic/provenance.json"
    record = read_json(path)
    record["observations_sha256"]["gmm-phase"] = "other"
    write_json(path, record)
    with pytest.raises(SystemExit):  # not all that is published is reproduced
        reproduce.main(str(spec))
    printed = capsys.readouterr().out
    assert "so nothing is compared: gmm-phase." in printed and "runs are absent here" in printed
    assert "gmm-phase" not in {
        cell["task"] for cell in rows_of(spec.parents[1] / "tables/reproduction.csv")
    }


def test_a_published_row_that_is_absent_here_is_reported_and_not_reproduced(spec, capsys):
    path = REFERENCE / "synthetic/summary.csv"
    summary = pd.read_csv(path)
    lines = summary[summary["method"] == "dps"].assign(method="dps-old")
    _write(path, pd.concat([summary, lines]))
    with pytest.raises(SystemExit):
        reproduce.main(str(spec))
    assert f"{lines['task'].nunique()} published runs are absent here" in capsys.readouterr().out


def test_results_without_a_row_in_common_are_not_called_reproduced(spec):
    for file in (REFERENCE / "synthetic").glob("*.csv*"):  # the values are packed
        frame = pd.read_csv(file)
        if "method" in frame:
            _write(file, frame.assign(method="old-" + frame["method"]))
    path = REFERENCE / "synthetic/provenance.json"
    write_json(path, {k: v for k, v in read_json(path).items() if k != "values_sha256"})
    with pytest.raises(UserError, match="no row has the name of a published one"):
        reproduce.main(str(spec))


def test_cells_of_which_none_can_be_tested_are_not_called_reproduced():
    cell = Cell("task", "row", "energy", verdict=UNTESTED, reason="2 measurements are too few")
    found = Reproduction("small", "0123456789ab", (cell,), ())
    assert not found.is_reproduced and "reproduced in 0 of 0 cells" in found.summary()


def test_nothing_published_or_an_unfinished_suite_is_one_line(spec):
    (spec.parents[1] / "tables/summary.csv").unlink()
    with pytest.raises(UserError, match="finish the suite first"):
        reproduce.main(str(spec))
    with pytest.raises(UserError, match="run the suite first"):
        reproduce.main("results/nothing/specs/suite.json")
    for file in (REFERENCE / "synthetic").glob("*.csv"):
        file.unlink()
    with pytest.raises(UserError, match="suite synthetic has no published rows"):
        reproduce.main(str(spec))


def test_a_comparison_with_older_results_is_not_published(spec):
    reproduce.main(str(spec))
    _publish(spec)
    assert not list((REFERENCE / "synthetic").glob("reproduction*"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """DPS as published, with other random streams, and with a step size larger by 20 %."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "config").mkdir()
    (folder / "config/small.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSTERIOR_BENCH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        task = bench.load_task("gmm-denoise", suite="small")
        found = {}
        for name, zeta, seed in (("published", 0.2, 0), ("diverged", 0.2, 1), ("changed", 0.24, 2)):
            with torch.no_grad():
                x, _ = draw_samples(
                    method_of("dps", {"num_steps": 50, "zeta": zeta}), task, 32, seed
                )
            frame = bench.evaluate(task, x)
            frame = frame[frame["metric"].map(is_shown) & (frame["measurement"] != "all")]
            own = frame.dropna(subset="value").assign(task=task.name, method="dps", seed=0)
            found[name] = own[[*KEYS, "value"]]
    return found


def test_a_rerun_whose_samples_have_diverged_is_reproduced(runs):
    cells = compare_values(runs["published"], runs["diverged"])
    assert len(cells) > 8 and {cell.verdict for cell in cells} == {REPRODUCED}
    assert not any(cell.difference == 0 for cell in cells)


def test_a_step_size_larger_by_a_fifth_is_found(runs):
    cells = compare_values(runs["published"], runs["changed"])
    assert sum(cell.verdict == DIFFERS for cell in cells) >= 3
