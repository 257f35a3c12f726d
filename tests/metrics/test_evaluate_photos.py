"""metrics.csv of colour images: numbers by networks of the workflow, and reasons or numbers by published ones."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_task
from helpers.tiny_task import evaluated, normal, write_task

from bench.core import weights
from bench.core.artefacts import read_json, read_tensors, write_json, write_tensors
from bench.core.layout import Layout
from bench.core.rng import Rng
from bench.metrics._embeddings import untrained_lpips
from bench.problems import convnet
from bench.stages import evaluate

COLOUR = (3, 32, 32)
ABSENT = "n/a (weights absent: python -m bench weights fetch {})"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A task of three measurements of the data set `photos`, made here, and an empty folder for weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tiny_task, "SHAPE", COLOUR)
    # no metric of so large images asks for it, and a dense prior of them takes seconds
    monkeypatch.setattr(evaluate, "posterior_score", lambda spec: (None, evaluate.NO_DENSITY))
    spec, layout = write_task(tmp_path), Layout(tmp_path)
    parts = {"train": 20, "validation": 10, "test": 11}
    images = {part: normal(num, *COLOUR, seed=num) for part, num in parts.items()}
    write_tensors(layout.data("photos"), images, {})
    network = convnet.untrained(COLOUR, 7, Rng(("test", "photos"), (0,), dtype=torch.float32))
    write_tensors(layout.classifier("photos-convnet-v1"), network.weights, {})
    path = layout.task("task").measurements
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"dataset": "photos"})
    metrics = {
        "perceptual": {"networks": ["percept-photos-v1", "lpips-alex-v0.1"]},
        "sets": {"extractors": ["photos-convnet-v1", "inception-v3-compat"]},
        "ssim": {"windows": [0.5, 1.5]},
    }
    write_json(spec, read_json(spec) | {"metrics": metrics})
    return spec


def cells_of_oracle(spec) -> dict[str, dict[str, str]]:
    """Return the cells of the first measurement, and those of the whole task."""
    rows = [row for row in evaluated(spec) if row["method"] == "oracle"]
    return {row["metric"]: row for row in rows if row["observation"] in ("0", "all")}


@pytest.mark.slow
def test_absent_weights_leave_reasons_and_random_ones_numbers(photos):
    cells = cells_of_oracle(photos)
    numbers = ("psnr_mean", "ssim-g0.5_mean", "ssim-g1.5_mean", "percept-photos-v1_sample")
    assert all(cells[id]["value"] for id in (*numbers, "kid-photos-convnet-v1-n24", "energy"))
    assert cells["lpips-alex-v0.1@[-1,1]_mean"]["reason"] == ABSENT.format("alexnet")
    assert cells["kid-inception-v3-compat-n24"]["reason"] == ABSENT.format("inception")
    file = weights.folder() / weights.WEIGHTS["alexnet"].file
    file.parent.mkdir(parents=True)
    parts = untrained_lpips("alex").net.children()
    state = {f"features.{key}": x for part in parts for key, x in part.state_dict().items()}
    torch.save(state, file)
    cells = cells_of_oracle(photos)
    of_lpips = {id: row for id, row in cells.items() if id.startswith("lpips-alex-v0.1")}
    mark = weights.unverified("alexnet")
    assert len(of_lpips) == 4 and all(f"-{mark}@[-1,1]_" in id for id in of_lpips)
    assert all(row["value"] for row in of_lpips.values())
