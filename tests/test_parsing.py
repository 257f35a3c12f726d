"""Reading the Snakefile writes nothing and takes no lock; and the workflow runs without its profile.

Jobs are stubs, since what is looked at is what Snakemake does around them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import pytest
from helpers.repository import (
    copy_of_the_repository,
    jobs,
    replace_jobs_by_stubs,
    run_to_the_end,
    snakemake,
)

pytestmark = pytest.mark.slow

SUITE = """
name: tiny
seeds: [0]
num_measurements: 2
num_samples: 4
num_reference: 16
rows_per_chunk: 8
datasets: {digits: {}}
priors: {atoms: {family: atoms, dataset: digits}}
tasks: {atoms-denoise: {operator: denoise, sigma_y: 0.5}}
methods: {oracle: {}}
"""
# its log and its empty folders, which it makes before it reads the Snakefile
SNAKEMAKES_OWN = ".snakemake"


@pytest.fixture
def fresh(tmp_path) -> Path:
    folder = copy_of_the_repository(tmp_path, SUITE)
    replace_jobs_by_stubs(folder)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A copy in which the suite was run without the profile."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("finished"), SUITE)
    replace_jobs_by_stubs(folder)
    run_to_the_end(folder, "--workflow-profile", "none")
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Return time and hash of each file and folder that is not Snakemake's own."""
    paths = [path for path in folder.rglob("*") if SNAKEMAKES_OWN not in path.parts]
    content = {path: path.read_bytes() if path.is_file() else b"" for path in paths}
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(content[path]).hexdigest())
        for path in paths
    }


@pytest.mark.parametrize("arguments", [["-n"], ["--dag"], ["--lint"]])
def test_parsing_writes_no_file(fresh, arguments):
    before = snapshot(fresh)
    done = snakemake(fresh, *arguments)
    assert "Traceback" not in done.stdout + done.stderr and (
        done.returncode == 0 or arguments == ["--lint"]
    )
    assert snapshot(fresh) == before and not (fresh / "results/tiny").exists()


@pytest.mark.parametrize("arguments", [["-n"], ["--dag"]])
def test_a_dry_run_works_while_the_suite_is_run_and_a_second_run_waits(finished, arguments):
    lock = os.open(finished / "results/tiny/.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        before = snapshot(finished)
        done = snakemake(finished, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert snapshot(finished) == before
        second = snakemake(finished, "--forceall")
        assert second.returncode != 0
        assert (
            "results/tiny: another run is at work here; wait for it to end"
            in second.stdout + second.stderr
        )
    finally:
        os.close(lock)


def test_the_workflow_runs_without_its_profile(finished):
    assert (finished / "results/tiny/report.html").exists()
    assert jobs(finished) == {}  # with the profile, too
