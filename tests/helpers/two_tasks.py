"""Two small tasks on which runs are drawn: a mixture with a linear operator, and a finite set with a clipped one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.artefacts import read_tensors, write_json, write_tensors
from bench.priors import prior_path
from bench.priors._gmm_fit import fit_gmm
from bench.stages import data as prepare
from bench.stages import observe, reference

M, S, SHAPE = 3, 6, (1, 8, 8)
TASKS = {"gmm-denoise": ("denoise", {}), "atoms-saturate": ("saturate", {"gain": 2.0})}


@pytest.fixture(name="root", scope="module")
def root_of_two_tasks(tmp_path_factory) -> Path:
    """A suite's folder up to its reference draws: a linear task on a mixture, a non-linear one on atoms."""
    root = tmp_path_factory.mktemp("suite")
    write_json(
        root / "specs/data.json",
        {"root": str(root), "dataset": "digits", "plugin": "digits", "parameters": {}},
    )
    prepare.main(str(root / "specs/data.json"))
    train = read_tensors(root / "data/digits.safetensors")[0]["train"]
    mixture = fit_gmm(train, num_components=2, shrinkage=30, floor=0.05, num_iterations=3)
    tensors = {name: getattr(mixture, name) for name in ("weights", "means", "covariances")}
    write_tensors(prior_path(root, "gmm", "gmm"), tensors, {"family": "gmm"})
    write_tensors(prior_path(root, "atoms", "atoms"), {"atoms": train[:200]}, {"family": "atoms"})
    for task, (operator, parameters) in TASKS.items():
        path, prior = root / f"specs/tasks/{task}.json", task.partition("-")[0]
        spec = {
            "root": str(root),
            "task": task,
            "prior": prior,
            "family": prior,
            "dataset": "digits",
        }
        spec |= {"operator": operator, "parameters": parameters, "sigma_y": 0.5}
        write_json(
            path, spec | {"num_measurements": M, "num_reference": 2 * S, "num_particles": None}
        )
        observe.main(str(path))
    reference.main(str(root / "specs/tasks/atoms-saturate.json"))
    return root


def run_spec(root: Path, module: str, task: str = "atoms-saturate", **changes: object) -> dict:
    prior = task.partition("-")[0]
    spec = {
        "root": str(root),
        "task": task,
        "prior": prior,
        "family": prior,
        "method": module,
        "module": module,
    }
    return spec | {"settings": {}, "seed": 0, "num_samples": S, "rows_per_chunk": 256} | changes
