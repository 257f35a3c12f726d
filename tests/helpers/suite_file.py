"""A repository of its own with two methods, and a suite's file in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from helpers.forked import run_command
from helpers.repository import REPOSITORY

DENOISE = {"operator": "denoise", "sigma_y": 1}
MAP = {"family": "consistency", "dataset": "digits", "teacher": "gmm"}
SUITE = """
name: mine
seeds: [0]
num_measurements: 4
num_samples: 8
num_reference: 32
rows_per_chunk: 256
datasets: {digits: {}, shapes: {side: 16}}
priors:
  gmm: {family: gmm, dataset: digits, num_components: 5, shrinkage: 30, floor: 0.002}
  atoms: {family: atoms, dataset: digits}
  shapes: {family: atoms, dataset: shapes}
tasks:
  gmm-inpaint-box: {operator: inpaint-box, box: 4, sigma_y: 0.1}
  gmm-saturate: {operator: saturate, gain: 2.0, sigma_y: 0.2}
  atoms-sr2: {operator: average-pool, factor: 2, sigma_y: 0.8}
  shapes-phase: {operator: phase, oversample: 2.0, sigma_y: 0.5}
methods: {toy: {}, toy-n5: {num_steps: 5}}
"""
TUNE = {
    "seconds": 9,
    "num_measurements": 2,
    "num_samples": 4,
    "tasks": ["gmm-saturate"],
    "methods": ["ranged"],
}
METHOD = """
from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = ["Toy"]


@dataclass(frozen=True)
class Toy:
    needs: ClassVar[int] = 0
    num_steps: int = 10
    zeta: float = 1.0
    drift: Literal["prior", "flat"] = "prior"
    step: float | None = None

    def __post_init__(self):
        if self.num_steps < 1:
            raise ValueError(f"num_steps must be positive, got {self.num_steps}")
"""


@pytest.fixture(name="folder")
def folder_of_two_methods(tmp_path, monkeypatch):
    """A repository of its own, with the real schema, the real harness, and two methods."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    shutil.copytree(
        REPOSITORY / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/__init__.py").touch()
    (tmp_path / "methods/toy.py").write_text(METHOD)
    (tmp_path / "methods/broken.py").write_text("import nothing_of_that_name\n__all__ = ['X'\n")
    monkeypatch.chdir(tmp_path)
    # constructors are tried in a process of their own, which imports torch
    forked = SimpleNamespace(run=run_command, DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr("bench.plan.folder.subprocess", forked)
    return tmp_path


def suite_file(folder: Path, **changes: object) -> dict:
    """Write my.yaml, the suite with changes (`a/b` reaches inside); return Snakemake's config for it."""
    content = yaml.safe_load(SUITE)
    for name, value in changes.items():
        *path, last = name.split("/")
        entry = content
        for key in path:
            entry = entry.setdefault(key, {})
        entry[last] = value
        if value is None:
            del entry[last]
    Path("my.yaml").write_text(yaml.safe_dump(content))
    return {"suite": "my.yaml"}
