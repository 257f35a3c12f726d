"""A task of three measurements with six methods, and the lines that `evaluate` writes of it."""

import csv
import io
import math
from pathlib import Path

import pytest
import torch

from bench.core.artefacts import read_csv, write_json, write_tensors
from bench.problems.measurements import content_hash
from bench.stages import evaluate

M, S, E, SHAPE, SIGMA_Y = 3, 8, 20, (1, 8, 8), 0.5
METHODS = ("oracle", "broken", "decoder", "crash", "chain", "first")


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def posterior(y: torch.Tensor, num_samples: int, seed: int) -> torch.Tensor:
    """x ~ N(0, I) seen as y = x + sigma_y n: N(0.8 y, 0.2 I)."""
    return 0.8 * y[:, None] + math.sqrt(0.2) * normal(M, num_samples, *SHAPE, seed=seed)


def write_run(root: Path, method: str, x: torch.Tensor, sha256: str, **changes: object) -> None:
    header = {
        "method": method,
        "seed": 0,
        "status": "ok",
        "reason": "",
        "joint": "independent",
        "num_chains": 0,
    }
    path = root / "runs" / "task" / method / "seed0" / "samples.safetensors"
    write_tensors(path, {"x": x}, header | {"observations_sha256": sha256} | changes)


@pytest.fixture(name="spec")
def spec_of_tiny_task(tmp_path: Path) -> Path:
    return write_task(tmp_path)


def write_task(tmp_path: Path) -> Path:
    """Write a task of three measurements, the last one without an admitted reference, and six methods."""
    x_true = normal(M, *SHAPE, seed=0)
    noise = SIGMA_Y * normal(M, *SHAPE, seed=1)
    tensors = {"x_true": x_true, "y": x_true + noise, "noise": noise, "image_id": torch.arange(M)}
    sha256, y, empty = content_hash(tensors), tensors["y"], torch.zeros(M, 0, *SHAPE)
    described = {"task": "task", "operator": "denoise", "parameters": {}, "sigma_y": SIGMA_Y}
    described["observations_sha256"] = sha256
    write_tensors(tmp_path / "tasks/task/observations.safetensors", tensors, described)
    exact = {
        "x_a": posterior(y, E, 2),
        "x_b": posterior(y, E, 3),
        "mean": 0.8 * y,
        "std": 0 * y + math.sqrt(0.2),
    }
    exact["x_a"][2, 0] = math.nan
    admission = {
        "admitted": [True, True, False],
        "reasons": ["", "", "two runs differ"],
        "kind": "closed form",
    }
    admission["observations_sha256"] = sha256
    write_tensors(tmp_path / "tasks/task/exact.safetensors", exact, admission)
    samples = posterior(y, S, 4)
    write_run(tmp_path, "oracle", samples, sha256)
    broken = samples.clone()
    broken[1, :3, 0, 0, 0] = math.nan
    write_run(tmp_path, "broken", broken, sha256)
    write_run(tmp_path, "decoder", empty, sha256, status="n/a", reason="needs DECODER")
    write_run(tmp_path, "crash", empty, sha256, status="failed", reason="ValueError: no, really")
    write_run(tmp_path, "chain", samples, sha256, joint="chain", num_chains=2)
    first = samples.clone()
    first[1:] = math.nan
    write_run(tmp_path, "first", first, sha256, num_measurements=1)
    num = math.prod(SHAPE)
    gaussian = {
        "weights": torch.ones(1),
        "means": torch.zeros(1, *SHAPE),
        "covariances": torch.eye(num)[None],
    }
    write_tensors(
        tmp_path / "priors/normal/gmm.safetensors", gaussian, {"family": "gmm", "settings": {}}
    )
    path = tmp_path / "specs/evaluate/task.json"
    runs = [{"method": method, "seed": 0} for method in METHODS]
    of_prior = {"prior": "normal", "family": "gmm"}
    write_json(
        path, {"root": str(tmp_path), "task": "task", "runs": runs, "num_samples": S} | of_prior
    )
    return path


def evaluated(spec: Path) -> list[dict[str, str]]:
    evaluate.main(str(spec))
    return list(
        csv.DictReader(io.StringIO(read_csv(spec.parents[2] / "tasks/task/metrics.csv")[0]))
    )
