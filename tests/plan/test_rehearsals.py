"""The record of rehearsals: what is written of a finished one, what is refused, and when a suite has changed since."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from bench.core.artefacts import ArtefactError, write_csv, write_json, write_recorded, write_tensors
from bench.core.errors import UserError
from bench.plan import rehearsals
from bench.plan.papers import original
from bench.plan.papers_listing import listing, state_of
from bench.plan.rehearsal import narrow, twin_of
from bench.plan.rehearsals import FILE, fingerprint, read_rehearsals, record_rehearsal
from bench.plan.suite import Suite
from bench.plan.suite_specs import specs_of

OF, COMMIT = "papers/dps_imagenet256", "0123456789abcdef0123456789abcdef01234567"
FOLDER = Path("results/dps_imagenet256-rehearsal")
LINES = """task,method,metric,mean,low,high,num_failed,reason
imagenet-sr4,dps,"lpips-vgg-v0.1@[-1,1]_mean",0.5,,,0,
imagenet-sr4,dps,"lpips-alex-v0.1@[-1,1]_mean",,,,0,n/a (weights absent)
"""


@pytest.fixture
def planned() -> dict:
    """The twin of a suite with its network narrowed, as it is written, but for files."""
    twin = twin_of(original(OF).content, OF)
    entry = twin["datasets"]["imagenet"]
    twin["datasets"]["imagenet"] = entry | {"path": "rehearsals/data", "num_train": 4}
    twin["priors"]["imagenet"] = narrow(twin["priors"]["imagenet"], 32)
    return twin


@pytest.fixture(autouse=True)
def rehearsed(planned, tmp_path, monkeypatch) -> Path:
    """The folder of a finished rehearsal, one run of which was not applicable; nothing else is recorded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rehearsals, "shipped", found)
    file = Path("rehearsals/dps_imagenet256/suite.yaml")
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(planned, sort_keys=False))
    suite = Suite(str(file), planned)
    for path, spec in specs_of(suite):
        spec.write(path)
    for i, run in enumerate(suite.runs):
        ended = {"status": "n/a" if i == 0 else "ok", "reason": ""}
        write_tensors(suite.layout.run(*run).samples, {"x": np.zeros(1)}, ended)
    write_json(suite.layout.prior("imagenet", "adm").with_name("card.json"), {"num_parameters": 7})
    write_csv(suite.layout.table("summary.csv"), LINES, {})
    suite.layout.job_log.write_text(
        '{"job": "tables suite", "seconds": 0, "mib": 1, "cpu_seconds": 90}\n'
    )
    page_of(dirty=False)
    return FOLDER


def found(name: str) -> Path:
    """Return a path in the working directory, as in a folder of one's own."""
    if not Path(name).exists():
        raise UserError(f"{name}: is not there")
    return Path(name)


def page_of(dirty: bool) -> None:
    info = {"provenance": {"commit": COMMIT, "dirty": dirty}}
    write_recorded(FOLDER / "report.html", b"page", info)
    os.utime(FOLDER / "report.html", (86400, 86400))


def test_what_is_recorded_is_read_again(rehearsed):
    row = record_rehearsal(rehearsed)
    assert read_rehearsals() == {OF: row}
    assert (row.commit, row.date, row.minutes) == (COMMIT, "1970-01-02", 1.5)
    assert (row.runs, row.not_applicable, row.failed) == (30, 1, 0)
    assert row.networks == "imagenet: adm, 7 weights"
    # the listed networks have no number, and LPIPS by VGG has one
    assert row.unused_networks == "lpips-alex-v0.1; inception-v3-compat"


def test_the_record_has_no_paths_of_the_machine(rehearsed, tmp_path):
    record_rehearsal(rehearsed.resolve())
    assert all(str(tmp_path) not in path.read_text() for path in FILE.parent.iterdir())


def test_a_second_rehearsal_replaces_the_first_and_leaves_others(rehearsed):
    row = record_rehearsal(rehearsed)
    other = replace(row, suite="papers/common64", failed=2)
    write_csv(FILE, rehearsals.text_of([other, replace(row, runs=1)]), {})
    record_rehearsal(rehearsed)
    assert read_rehearsals() == {OF: row, other.suite: other}


def test_the_state_names_commit_and_date_and_says_when_the_suite_has_changed(
    rehearsed, monkeypatch
):
    row, suite = record_rehearsal(rehearsed), original(OF)
    assert state_of(suite, row) == "rehearsed (0123456789ab, 1970-01-02)"
    some = replace(row, failed=2)
    assert state_of(suite, some) == "rehearsed (0123456789ab, 1970-01-02, 2 of 30 runs failed)"
    changed = Suite(suite.file, dict(suite.content) | {"seeds": [1]})
    expected = "rehearsed with an older suite (0123456789ab, 1970-01-02)"
    assert state_of(changed, row) == expected
    monkeypatch.setattr("bench.plan.papers_listing.gpu_hours", lambda suite: 1.0)
    assert "| papers/dps_imagenet256 | 0123456789ab | 1970-01-02 | 30 | 1 | 0 | 1.5 |" in listing()


def test_a_fingerprint_is_of_what_a_rehearsal_does_and_not_of_its_files(planned):
    wanted = fingerprint(twin_of(original(OF).content, OF))
    assert fingerprint(planned) == wanted
    methods = planned["methods"] | {"dps": {"num_steps": 26}}
    assert fingerprint(planned | {"methods": methods}) != wanted


def test_an_edited_record_is_refused(rehearsed):
    record_rehearsal(rehearsed)
    FILE.write_text(FILE.read_text().replace("1970", "2070"))
    with pytest.raises(ArtefactError, match="rehearsals.csv"):
        read_rehearsals()


def test_what_is_not_a_finished_rehearsal_of_committed_sources_is_refused(rehearsed):
    with pytest.raises(UserError, match="results/digits: is no finished rehearsal"):
        record_rehearsal("results/digits")
    page_of(dirty=True)
    with pytest.raises(UserError, match="report.html: is of sources that are not committed"):
        record_rehearsal(rehearsed)
    (rehearsed / "report.html").unlink()
    with pytest.raises(UserError, match="rehearsal: is no finished rehearsal"):
        record_rehearsal(rehearsed)


def test_a_rehearsal_that_lacks_a_run_is_refused(rehearsed):
    (rehearsed / "runs/imagenet-sr4/dps/seed0/samples.safetensors").unlink()
    with pytest.raises(ArtefactError, match="dps/seed0/samples.safetensors: is missing"):
        record_rehearsal(rehearsed)


def test_a_twin_that_is_not_what_was_run_is_refused(rehearsed, planned):
    file = Path("rehearsals/dps_imagenet256/suite.yaml")
    file.write_text(yaml.safe_dump(planned | {"num_samples": 3}, sort_keys=False))
    with pytest.raises(UserError, match=r"num_samples differs from .*suite.yaml; run posterior"):
        record_rehearsal(rehearsed)
    file.write_text(yaml.safe_dump(planned | {"rehearsal_of": "/home/me/mine.yaml"}))
    with pytest.raises(UserError, match="rehearsal_of is no suite of the papers"):
        record_rehearsal(rehearsed)
    file.unlink()
    with pytest.raises(UserError, match="suite.yaml: is missing"):
        record_rehearsal(rehearsed)
