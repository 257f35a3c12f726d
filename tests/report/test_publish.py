"""Publishing: clean results of one commit only, unless forced, which a note below the tables then says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from helpers.synthetic_results import PROVENANCE, TASKS, write_results
from typer.testing import CliRunner

from bench import __main__ as command_line
from bench.core.artefacts import (
    check,
    read_csv,
    read_json,
    read_tensors,
    write_bytes,
    write_csv,
    write_json,
    write_tensors,
)
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.results import FIGURES
from bench.plan import snakemake
from bench.stages import claims as claims_stage
from bench.stages import publish
from bench.stages import tables as tables_stage


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with tables and stand-ins for figures, all of one clean commit."""
    root = tmp_path_factory.mktemp("suite")
    spec = write_results(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables_stage, "provenance", lambda: PROVENANCE)
        patch.setattr(claims_stage, "provenance", lambda: PROVENANCE)
        tables_stage.main(str(spec))
        claims_stage.main(str(spec))
    for stem in (*FIGURES, *(f"grid-{task}" for task in TASKS)):
        write_csv(root / "figures" / f"{stem}.csv", "value\n1\n", {"provenance": PROVENANCE})
        write_bytes(root / "figures" / f"{stem}.png", b"picture")
    return root


def _remake_run(root: Path, **changes: object) -> None:
    path = Layout(root).run("gmm-phase", "dps", 0).samples
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, {**header, "provenance": {**PROVENANCE, **changes}})


def test_clean_results_are_copied_with_their_hashes(suite, tmp_path):
    publish.main(str(suite), "--into", str(tmp_path))
    into = tmp_path / "synthetic"
    for name in (
        "summary.csv",
        "provenance.json",
        "figures/distance.csv",
        "figures/grid-gmm-inpaint-box.csv",
    ):
        check(into / name)
    names = {str(path.relative_to(into)) for path in into.rglob("*")}
    assert {
        "summary.md",
        "distance.md",
        "verdict.md",
        "report.html",
        "figures/distance.png",
        "figures/grid-atoms-sr4.png",
    } <= names
    assert "figures/grid-gmm-phase.png" not in names  # one grid per prior
    assert all(path.stat().st_size < 1.5e6 for path in into.rglob("*"))
    record = read_json(into / "provenance.json")
    assert record["other_prior"] == {"gmm_map-denoise": ["aps", "dps", "dps-n1000"]}
    assert record["commits"] == [PROVENANCE["commit"]] and record["faults"] == []
    rows, whole = (
        read_csv(folder / "summary.csv")[0].splitlines() for folder in (into, suite / "tables")
    )
    assert set(whole) - set(rows) and all(
        row.endswith("n/a (left out by the suite)") for row in set(whole) - set(rows)
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dirty": True}, "artefacts were made from uncommitted sources"),
        ({"dirty": None}, "artefacts were made from uncommitted sources"),
        ({"commit": "fedcba"}, "artefacts of 2 commits are mixed"),
    ],
    ids=["edited", "unknown state", "mixed"],
)
def test_dirty_or_mixed_results_are_refused_unless_asked(suite, tmp_path, changes, words):
    _remake_run(suite, **changes)
    try:
        with pytest.raises(UserError, match=words):
            publish.main(str(suite), "--into", str(tmp_path))
        assert not list(tmp_path.iterdir())
        publish.main(str(suite), "--into", str(tmp_path), "--allow-dirty")
        for name in ("summary.md", "distance.md"):
            last = (tmp_path / "synthetic" / name).read_text().splitlines()[-1]
            assert last.startswith("- Published with --allow-dirty") and words in last
    finally:
        _remake_run(suite)


def test_artefacts_of_several_commits_are_published_where_nothing_would_be_made_anew(
    suite, tmp_path
):
    _remake_run(suite, commit="fedcba")
    try:
        publish.main(str(suite), "--into", str(tmp_path), "--unchanged")
    finally:
        _remake_run(suite)
    record = read_json(tmp_path / "synthetic" / "provenance.json")
    assert record["commits"] == sorted(["fedcba", PROVENANCE["commit"]])
    assert record["faults"] == [] and record["unchanged_since_they_were_made"]


def test_edited_sources_are_refused_whether_or_not_anything_would_be_made_anew(suite, tmp_path):
    _remake_run(suite, dirty=True)
    try:
        with pytest.raises(UserError, match="uncommitted sources"):
            publish.main(str(suite), "--into", str(tmp_path), "--unchanged")
    finally:
        _remake_run(suite)


@pytest.mark.parametrize(
    ("printed", "status", "unchanged"),
    [
        ("Nothing to be done (all requested files are present).", 0, True),
        ("Job stats:", 0, False),
        ("", 1, False),
    ],
)
def test_the_command_finds_out_which_jobs_the_workflow_would_rerun(
    printed, status, unchanged, monkeypatch
):
    done, given = subprocess.CompletedProcess([], status, stdout=printed), []
    monkeypatch.setattr(snakemake, "start", lambda *_, **__: done)
    monkeypatch.setattr(publish, "main", lambda *arguments: given.extend(arguments))
    result = CliRunner().invoke(command_line.app, ["publish", "results/smoke"])
    assert result.exit_code == 0
    assert ("--unchanged" in given) == unchanged


def test_tables_older_than_the_metrics_are_refused(tmp_path):
    spec = write_results(tmp_path / "suite")
    tables_stage.main(str(spec))
    path = tmp_path / "suite" / "runs" / "gmm-phase" / "dps" / "seed0" / "cost.json"
    write_json(path, {**read_json(path), "nfe": 7})
    with pytest.raises(UserError, match="older than the metrics"):
        publish.main(str(tmp_path / "suite"), "--into", str(tmp_path / "out"), "--allow-dirty")
