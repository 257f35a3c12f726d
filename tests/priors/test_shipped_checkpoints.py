"""The trained checkpoints in results/reference/priors: small, pinned by the suites that use them, and trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from helpers.repository import REPOSITORY

from bench.datasets.photos import Photos
from bench.priors._card import denoiser_errors
from bench.priors._checkpoint import SHIPPED, Checkpoint
from bench.priors.adapters.preconditioning import denoiser_of

MEBIBYTE = 2**20


def entries() -> list[dict]:
    """Return the priors of our suites that open a checkpoint of ours."""
    suites = [
        yaml.safe_load(file.read_text()) for file in sorted((REPOSITORY / "config").glob("*.yaml"))
    ]
    priors = [entry for suite in suites for entry in suite.get("priors", {}).values()]
    return [entry for entry in priors if entry.get("pipeline", "").startswith(SHIPPED)]


def folders() -> list[Path]:
    return sorted(path.parent for path in (REPOSITORY / SHIPPED).glob("*/model_index.json"))


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_a_checkpoint_is_small_and_used_by_a_suite(folder):
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 8 * MEBIBYTE
    assert f"{SHIPPED}{folder.name}" in [entry["pipeline"] for entry in entries()]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: Path(entry["pipeline"]).name)
def test_a_suite_pins_what_is_there_from_any_folder_and_it_denoises(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipeline = Checkpoint(entry["pipeline"], sha256=entry["sha256"]).open()
    x = Photos(num_train=1, num_validation=1, num_test=32).load()["test"]
    with torch.no_grad():
        (error,) = denoiser_errors(denoiser_of(pipeline), x, [0.5]).values()
    # pixel by pixel the best linear estimate leaves sigma s / sqrt(sigma^2 + s^2); the mixture `photos` leaves 0.12
    s = x.std().item()
    assert error < 0.6 * 0.5 * s / (0.25 + s**2) ** 0.5
