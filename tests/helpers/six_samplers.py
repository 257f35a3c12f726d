"""A task with an exact posterior, and samplers on it with known faults."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from bench.core.artefacts import write_json, write_tensors
from bench.problems.measurements import content_hash

M, S, E, SHAPE, SIGMA_Y = 16, 40, 160, (1, 4, 4), 0.5
COPIES = 4
STD = math.sqrt(0.2)  # x ~ N(0, I) seen as y = x + sigma_y n: N(0.8 y, 0.2 I)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def samplers(y: torch.Tensor) -> dict[str, tuple[torch.Tensor, int]]:
    """Return samples (M, S, *x) by name and the number of chains that they are states of, 0 for independent ones."""
    mean = 0.8 * y[:, None]
    noise, other = (normal(M, S, *SHAPE, seed=seed) for seed in (2, 3))
    exact, prior = mean + STD * noise, other
    jitter = 0.01 * normal(M, S, *SHAPE, seed=4)
    four = exact[:, :COPIES].repeat(1, S // COPIES, 1, 1, 1)  # sample t C + c is state t of chain c
    two = exact[:, :2].repeat_interleave(COPIES, 1)
    return {
        "oracle": (exact, 0),
        "frozen-prior": (prior[:, :1].expand_as(exact) + 0, 1),
        "frozen-posterior": (exact[:, :1].expand_as(exact) + 0, 1),
        "trembling": (exact[:, :1] + jitter, 1),
        "trembling-together": (exact[:, :1] + jitter, COPIES),
        "frozen-chains": (four + jitter, COPIES),
        "same-chains": (exact[:, : S // COPIES].repeat_interleave(COPIES, 1), COPIES),
        "in-turn": (
            two.repeat(1, S // (2 * COPIES), 1, 1, 1),
            COPIES,
        ),  # two states, one after the other
        "copied": (exact[:, : S // COPIES].repeat_interleave(COPIES, 1), 0),
        "biased": (exact + STD, 0),
        "wide": (mean + 2 * STD * noise, 0),
        "collapsed": (mean + 0.05 * STD * noise, 0),
        "independent": (mean + STD * other, COPIES),  # chains that have mixed
    }


def write_task(root: Path) -> Path:
    """Write task, runs and specs into a folder; return the spec of the suite."""
    x_true, noise = normal(M, *SHAPE, seed=0), SIGMA_Y * normal(M, *SHAPE, seed=1)
    tensors = {"x_true": x_true, "y": x_true + noise, "noise": noise, "image_id": torch.arange(M)}
    y, common = tensors["y"], {"observations_sha256": content_hash(tensors)}
    described = {"task": "task", "operator": "denoise", "parameters": {}, "sigma_y": SIGMA_Y}
    write_tensors(root / "tasks/task/observations.safetensors", tensors, described | common)
    draws = [0.8 * y[:, None] + STD * normal(M, E, *SHAPE, seed=seed) for seed in (5, 6)]
    exact = {"x_a": draws[0], "x_b": draws[1], "mean": 0.8 * y, "std": torch.full_like(y, STD)}
    admission = {"admitted": [True] * M, "reasons": [""] * M, "kind": "closed form"}
    write_tensors(root / "tasks/task/exact.safetensors", exact, admission | common)
    names = tuple(samplers(y))
    for name, (x, num_chains) in samplers(y).items():
        folder = root / f"runs/task/{name}/seed0"
        header = {"method": name, "seed": 0, "status": "ok", "reason": "", "num_chains": num_chains}
        header |= {"joint": "chain" if num_chains else "independent"}
        write_tensors(folder / "samples.safetensors", {"x": x}, header | common)
        cost = {"nfe": 10, "nfe_vjp": 0, "rows": M * S, "seconds": 1.0}
        write_json(
            folder / "cost.json",
            cost | dict.fromkeys(("train_seconds", "train_nfe", "train_nfe_vjp"), 0),
        )
    num = math.prod(SHAPE)
    gaussian = {
        "weights": torch.ones(1),
        "means": torch.zeros(1, *SHAPE),
        "covariances": torch.eye(num)[None],
    }
    path = root / "priors/normal/gmm.safetensors"
    write_tensors(path, gaussian, {"family": "gmm", "settings": {}})
    of_task = {"root": str(root), "task": "task", "prior": "normal", "family": "gmm"}
    runs = [{"method": name, "seed": 0} for name in names]
    write_json(root / "specs/evaluate/task.json", of_task | {"runs": runs, "num_samples": S})
    numbers = {"seeds": [0], "num_measurements": M, "num_samples": S}
    suite = {"root": str(root), "name": "six", "tasks": ["task"], "methods": names}
    write_json(root / "specs/suite.json", suite | numbers)
    return root / "specs/suite.json"
