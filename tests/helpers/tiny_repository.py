"""A copy of the repository in which a tiny suite was run for real, by the command that a user gives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from helpers.made_once import made_once
from helpers.repository import command, copy_of_the_repository, environment_of

M, S, E = 2, 4, 16
SUITE = f"""
name: tiny
claims: true
seeds: [0]
num_measurements: {M}
num_samples: {S}
num_reference: {E}
rows_per_chunk: 5
datasets:
  digits: {{}}
priors:
  gmm: {{family: gmm, dataset: digits, num_components: 3, shrinkage: 30, floor: 0.002}}
  atoms: {{family: atoms, dataset: digits}}
tasks:
  gmm-denoise: {{operator: denoise, sigma_y: 0.5}}
  atoms-saturate: {{operator: saturate, gain: 2.0, sigma_y: 0.5}}
restrict:
  pays: {{tasks: [gmm-denoise], num_measurements: 1}}
methods:
  pays: {{}}
  oracle: {{}}
  unconditional: {{}}
  dps: {{num_steps: 25}}
"""
TASKS, METHODS = ("gmm-denoise", "atoms-saturate"), ("oracle", "unconditional", "dps")
GENTLE = '''"""One denoising step. https://example.org"""
from dataclasses import dataclass
from typing import ClassVar
import torch
from bench.core.types import Cap
__all__ = ["Gentle"]

@dataclass(frozen=True)
class Gentle:
    needs: ClassVar[Cap] = Cap.DENOISER
    search: ClassVar[dict] = {}
    sigma: float = 0.5

    def sample(self, prior, problem, y, num_samples, *, rng):
        x_t = y[:, None] + self.sigma * rng.per_sample.randn(prior.shape)
        return prior.denoise(x_t.flatten(0, 1), torch.tensor(self.sigma)).view_as(x_t)
'''
PAYS = (
    GENTLE.replace("Gentle", "Pays")
    .replace("*, rng):", "*, rng, state):")
    .replace("y[:, None]", "state['mean']")
)
TRAIN = """    def train(self, prior, problem, *, rng):
        return {'mean': prior.sample(9, rng)[0].mean(0)}

    def sample"""
PAYS = PAYS.replace("    def sample", TRAIN)


def tiny_repository(folder: Path) -> Path:
    """Return a copy of the repository with the suite and the method that trains, in which nothing was run yet."""
    copy_of_the_repository(folder, SUITE)
    (folder / "methods/pays.py").write_text(PAYS)
    return folder


def finished_repository(factory: pytest.TempPathFactory) -> Path:
    """Return the copy in which the suite was run without disturbance; tests only read it, or copy it with its times."""

    def run(folder: Path) -> None:
        tiny_repository(folder)
        quiet = {"capture_output": True, "text": True, "timeout": 900}
        done = subprocess.run(command(), cwd=folder, env=environment_of(folder), **quiet)
        assert done.returncode == 0, done.stdout + done.stderr

    return made_once(factory, "finished-repository", run)
