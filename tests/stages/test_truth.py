"""Tasks whose x_true are draws of the prior: the draws, and the calibration of an exact sampler."""

import pytest
import torch
from helpers.metric_values import context_of

from bench.core.artefacts import read_tensors, write_json, write_tensors
from bench.core.metric import Truth
from bench.core.rng import Rng
from bench.core.specs import TaskSpec
from bench.figures._levels import sampling_band
from bench.metrics._ranks import LEVELS
from bench.metrics.calibration import Calibration
from bench.metrics.coverage import Coverage
from bench.priors.gmm import GMM
from bench.stages import data as prepare
from bench.stages import observe
from bench.task import open_task

M, S = 64, 31
TASK = {
    "task": "gmm-denoise",
    "prior": "gmm",
    "family": "gmm",
    "dataset": "digits",
    "operator": "denoise",
    "sigma_y": 0.5,
    "num_measurements": M,
    "num_reference": 8,
}
MEANS = torch.stack([torch.full((1, 8, 8), value) for value in (-0.5, 0.5)]).double()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A suite with real digits and a prior that is far from them: two wide Gaussians."""
    root = tmp_path_factory.mktemp("suite")
    spec = {"root": str(root), "dataset": "digits", "plugin": "digits", "parameters": {}}
    write_json(root / "data.json", spec)
    prepare.main(str(root / "data.json"))
    covariances = 0.09 * torch.eye(64).double().expand(2, 64, 64)
    prior = {"weights": torch.tensor([0.3, 0.7]).double(), "means": MEANS}
    write_tensors(
        root / "priors/gmm/gmm.safetensors",
        prior | {"covariances": covariances.contiguous()},
        {"family": "gmm"},
    )
    return root


def observed(root, **changes) -> TaskSpec:
    """Return the spec of a task that was measured."""
    content = {"root": str(root), **TASK, **changes}
    path = root / "specs" / f"{content['task']}.json"
    write_json(path, content)
    observe.main(str(path))
    return TaskSpec.read(path)


def test_x_true_is_a_draw_of_the_prior_from_a_stream_of_its_own(root):
    spec = observed(root, truth="prior")
    files = spec.layout.task(spec.task)
    everything, header = read_tensors(files.all_measurements)
    assert header["truth"] == "prior"
    ids = everything["image_id"].tolist()
    assert ids == list(range(500)) and everything["is_test"].sum() == 300
    prior = open_task(spec).prior
    assert isinstance(prior, GMM)
    some = [3, 77, 480]
    alone = prior.sample(1, Rng(("x_true", spec.task), some))[:, 0].float()
    torch.testing.assert_close(everything["x_true"][some], alone, rtol=0, atol=1e-6)
    measured = everything["y"] - everything["noise"]
    torch.testing.assert_close(measured, everything["x_true"], rtol=0, atol=1e-6)


def test_there_may_be_more_draws_than_images(root):
    spec = observed(root, task="gmm-many", truth="prior", num_measurements=320)
    assert len(open_task(spec).x_true) == 320


def shares_of_exact_sampler(root, **changes) -> dict[str, float]:
    """Return coverage, TARP and SBC of x_true for draws of the exact posterior, by column id."""
    task = open_task(observed(root, **changes))
    assert task.posterior is not None
    x = task.posterior.sample(task.y, S, Rng(("sample",), task.image_id.tolist(), range(S)))
    context = context_of(task.x_true, S)
    truth = Truth(task.problem, task.x_true, task.y, x, x.mean(1), x.std(1), context)
    values = Calibration().compute(x, truth) | Coverage().compute(x, truth)
    return {name: value.mean().item() for name, value in values.items() if "x_true" in name}


def outside(shares: dict[str, float], name: str) -> list[float]:
    """Return the levels at which a share lies outside the band of a calibrated sampler."""
    bands = {level: sampling_band(level, M) for level in LEVELS}
    return [x for x in LEVELS if not bands[x][0] <= shares[f"{name}@{x}"] <= bands[x][1]]


@pytest.mark.parametrize("name", ["coverage_x_true", "tarp_x_true", "sbc-misfit_x_true"])
def test_an_exact_sampler_is_calibrated_on_draws_of_the_prior_and_not_on_real_images(root, name):
    assert outside(shares_of_exact_sampler(root, truth="prior"), name) == []
    assert len(outside(shares_of_exact_sampler(root), name)) > 2
