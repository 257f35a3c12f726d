"""The reference of a prior that learned another one's draws: the other's posterior, where its own is out of reach."""

import dataclasses

import pytest
import torch

from bench.core.artefacts import read_header, write_json, write_tensors
from bench.core.errors import UserError
from bench.core.specs import TaskSpec
from bench.priors import file_hashes, load_prior
from bench.priors.edm import EDMFamily
from bench.problems.posteriors import posterior_of
from bench.report.headers import task_header
from bench.stages import data as prepare
from bench.stages import observe
from bench.stages import reference as draw_reference
from bench.stats.results import TaskResults
from bench.task import Task, open_task

E = 400  # reference draws of a measurement
TASK = {
    "task": "edm-denoise", "prior": "edm", "family": "edm", "dataset": "digits", "operator": "denoise", "sigma_y": 0.5,
    "num_measurements": 3, "num_reference": E,
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A suite with a mixture of two Gaussians, and a tiny network of 18 calls a decoded row that saw its draws."""
    root = tmp_path_factory.mktemp("suite")
    spec = {"root": str(root), "dataset": "digits", "plugin": "digits", "parameters": {}}
    write_json(root / "data.json", spec)
    prepare.main(str(root / "data.json"))
    means = torch.stack([torch.full((1, 8, 8), value) for value in (-0.5, 0.5)]).double()
    covariances = (0.09 * torch.eye(64).double()).repeat(2, 1, 1)
    teacher = root / "priors/gmm/gmm.safetensors"
    weights = torch.tensor([0.3, 0.7]).double()
    mixture = {"weights": weights, "means": means, "covariances": covariances}
    write_tensors(teacher, mixture, {"family": "gmm"})
    (root / "priors/edm").mkdir()
    settings = {"channels": (4, 4), "num_iterations": 3, "num_ode_steps": 18, "num_draws": 64}
    family = EDMFamily(**settings)
    with torch.no_grad():
        tensors, _ = family.fit({}, root / "priors/edm", load_prior(teacher))
    taught = {"teacher": "gmm", "teacher_family": "gmm"}
    taught["teacher_sha256"] = read_header(teacher)["sha256"]
    taught["files"] = file_hashes(root / "priors/edm")
    header = {"family": "edm", "settings": dataclasses.asdict(family), **taught}
    write_tensors(root / "priors/edm/edm.safetensors", tensors, header)
    return root


def measured(root, **changes) -> Task:
    """Return a task that was measured and has a reference."""
    path = root / "specs" / "task.json"
    write_json(path, {"root": str(root), **TASK, **changes})
    observe.main(str(path))
    with torch.no_grad():
        draw_reference.main(str(path))
    return open_task(TaskSpec.read(path), num_samples=8)


def results_of(task: Task, **run) -> TaskResults:
    """Return the results of a task before anything was scored."""
    reference = read_header(task.layout.task(task.name).reference)
    return TaskResults(task.name, task.header, reference, (), {}, {}, ())


def test_the_reference_is_the_exact_posterior_of_the_prior_that_was_learned(root):
    task = measured(root)
    assert task.posterior.kind == "none" and task.reference.under == "gmm"
    teacher = load_prior(root / "priors/gmm/gmm.safetensors")
    mean, std = posterior_of(teacher, task.problem).moments(task.y)
    torch.testing.assert_close(task.reference.mean, mean.float(), rtol=0, atol=1e-5)
    # the mean of E draws over 64 pixels of three measurements: five standard errors
    for draws in (task.reference.x_a, task.reference.x_b):
        assert ((draws.mean(1) - mean) / (std / E**0.5)).abs().max() < 5
    assert not any(task.reference.why_not) and task.reference.teacher is None
    assert task.reference.swapped().under == "gmm"
    assert f"reference draws under gmm: twice {E} for each measurement" in str(task)


def test_its_table_says_whose_posterior_it_is(root):
    said = task_header(results_of(measured(root)))
    assert "exact posterior" in said
    assert (
        "under gmm, from which the prior learned: distances include the error of what it learned"
        in said
    )


def test_a_suite_may_ask_for_it_or_for_none(root):
    assert measured(root, reference="exact").reference.under == "gmm"
    without = measured(root, reference="none")
    assert all("asks for none" in why for why in without.reference.why_not)
    assert without.reference.under == ""
    with pytest.raises(
        UserError, match="edm-denoise: reference: particles: the posterior is known by"
    ):
        measured(root, reference="particles")


def test_particles_of_the_prior_that_was_learned_serve_where_no_formula_does(root):
    saturate = {"task": "edm-saturate", "operator": "saturate", "parameters": {"gain": 2.0}}
    task = measured(root, **saturate, num_measurements=1)
    header = read_header(task.layout.task(task.name).reference)
    assert header["under"] == "gmm" and header["kind"].endswith("SMC")
    assert 1 <= header["posterior_perplexity"][0] <= 2  # of two components
