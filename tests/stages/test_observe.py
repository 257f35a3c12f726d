"""All measurements of a task: a stored measurement depends on its own streams, and its file is complete."""

import pytest
import torch

from bench.core.artefacts import ArtefactError, read_json, read_tensors, write_json, write_tensors
from bench.core.errors import UserError
from bench.core.rng import stream
from bench.problems import make_problem
from bench.problems.measurements import content_hash, problem_of, read_measurements
from bench.stages import data as prepare
from bench.stages import observe
from bench.stages.observe import measure

TASK = {
    "task": "gmm-inpaint-random",
    "prior": "gmm",
    "family": "gmm",
    "dataset": "digits",
    "operator": "inpaint-random",
    "parameters": {"visible_fraction": 0.3},
    "sigma_y": 0.1,
    "num_measurements": 5,
    "num_reference": 8,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("suite")
    write_json(
        root / "data.json",
        {"root": str(root), "dataset": "digits", "plugin": "digits", "parameters": {}},
    )
    prepare.main(str(root / "data.json"))
    gaussian = {
        "weights": torch.ones(1),
        "means": torch.zeros(1, 1, 8, 8),
        "covariances": torch.eye(64)[None],
    }
    write_tensors(root / "priors" / "gmm" / "gmm.safetensors", gaussian, {"family": "gmm"})
    return root


def observed(root, **changes):
    """Folder of the task after `observe` ran on TASK with changes."""
    spec = {"root": str(root), **TASK, **changes}
    write_json(root / "task.json", spec)
    observe.main(str(root / "task.json"))
    return root / "tasks" / spec["task"]


def test_noise_and_mask_depend_on_task_and_image_alone():
    problem = make_problem("inpaint-random", {"visible_fraction": 0.3}, 0.1, (1, 8, 8))
    x_true, ids = torch.zeros(6, 1, 8, 8), torch.tensor([4, 8, 15, 16, 23, 42])
    whole, some = measure(problem, "t", x_true, ids), torch.tensor([5, 0, 3])
    part = measure(problem, "t", x_true[some], ids[some])
    assert all(part[name].equal(whole[name][some]) for name in ("y", "noise", "mask"))
    expected = 0.1 * torch.from_numpy(stream("noise", "t", 42).standard_normal((1, 8, 8)))
    assert whole["noise"][5].equal(whole["mask"][5] * expected.float())
    assert not measure(problem, "u", x_true, ids)["mask"].equal(whole["mask"])


def test_kernels_depend_on_task_and_image_alone():
    problem = make_problem("motion-blur", {"kernel_size": 5}, 0.1, (1, 8, 8))
    x_true, ids = torch.zeros(6, 1, 8, 8), torch.tensor([4, 8, 15, 16, 23, 42])
    whole, some = measure(problem, "t", x_true, ids), torch.tensor([5, 0, 3])
    part = measure(problem, "t", x_true[some], ids[some])
    assert whole["kernels"].shape == (6, 5, 5) and len(whole["kernels"].unique(dim=0)) == 6
    assert part["kernels"].equal(whole["kernels"][some])
    assert not measure(problem, "u", x_true, ids)["kernels"].equal(whole["kernels"])


def test_poisson_noise_is_stored_as_the_difference_from_the_clean_measurement(root):
    facts = {"task": "gmm-poisson", "operator": "inpaint-box", "parameters": {"box": 4}}
    path = observed(root, **facts, sigma_y=None, rate=0.2) / "observations.safetensors"
    measurements, tensors = read_measurements(path), read_tensors(path)[0]
    header = measurements.header
    assert (header["rate"], header["sigma_y"], header["noise"]) == (0.2, None, "y - A(x), Poisson")
    problem = problem_of(header, measurements.x_true.shape[1:])
    expected = tensors["mask"] * (tensors["y"] - tensors["x_true"])
    torch.testing.assert_close(tensors["noise"], expected, rtol=0, atol=1e-6)
    counts = 255 * 0.2 / 2 * (tensors["y"][tensors["mask"] == 1].double() + 1)
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-5)
    assert problem.log_likelihood(measurements.x_true, measurements.y).isfinite().all()


def test_more_noise_is_the_same_noise_scaled():
    quiet, loud = (make_problem("denoise", {}, sigma_y, (1, 8, 8)) for sigma_y in (0.1, 0.4))
    x_true, ids = torch.zeros(2, 1, 8, 8), torch.arange(2)
    y_quiet, y_loud = (measure(problem, "t", x_true, ids)["y"] for problem in (quiet, loud))
    torch.testing.assert_close(4 * y_quiet, y_loud, rtol=3e-7, atol=0)  # two roundings to float32


def test_all_measurements_cover_the_test_and_validation_images(root):
    folder = observed(root)
    all_measurements, header = read_tensors(folder / "all_measurements.safetensors")
    data, _ = read_tensors(root / "data" / "digits.safetensors")
    assert (
        all_measurements["image_id"].tolist()
        == data["test_id"].tolist() + data["validation_id"].tolist()
    )
    assert all_measurements["is_test"].sum() == 300 and header["task"] == TASK["task"]
    measurements = read_measurements(folder / "observations.safetensors")
    assert measurements.image_id.equal(data["test_id"][:5]) and measurements.x_true.float().equal(
        data["test"][:5]
    )
    assert measurements.y.float().equal(
        torch.cat([all_measurements["y"], all_measurements["mask"]], dim=1)[:5]
    )
    assert read_measurements(folder / "all_measurements.safetensors").y.shape == (500, 2, 8, 8)


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [
        ("phase", {"oversample": 2.0}),
        ("blur", {"kernel_size": 5, "std": 1.0}),
        ("inpaint-box", {"box": 4}),
        ("motion-blur", {"kernel_size": 5}),
        ("exposure-blur", {"kernel_size": 5}),
        ("fourier", {"acceleration": 2.0, "centre_fraction": 0.2}),
        ("jpeg", {"quality": 20}),
    ],
)
def test_measurements_are_the_operator_plus_the_stored_noise(root, operator, parameters):
    path = (
        observed(root, task=f"gmm-{operator}", operator=operator, parameters=parameters)
        / "observations.safetensors"
    )
    measurements, tensors = read_measurements(path), read_tensors(path)[0]
    problem = problem_of(measurements.header, measurements.x_true.shape[1:])
    # y and noise are float32, |y| < 16: half a unit in the last place is below 1e-6.
    residual = problem.residual(measurements.x_true, measurements.y)
    torch.testing.assert_close(residual, tensors["noise"].double(), rtol=0, atol=1e-6)
    beside = {"blur": "kernel", "motion-blur": "kernels", "exposure-blur": "kernels"}
    beside |= dict.fromkeys(("inpaint-box", "fourier"), "mask")
    known = {"x_true", "y", "noise", "image_id"} | ({"picture"} if operator == "fourier" else set())
    assert set(tensors) - known == ({beside[operator]} if operator in beside else set())


def test_hash_is_of_the_content_alone(root):
    folder = observed(root)
    before = read_measurements(folder / "observations.safetensors").header["observations_sha256"]
    again = observed(root) / "observations.safetensors"
    assert read_measurements(again).header["observations_sha256"] == before
    tensors, header = read_tensors(again)
    assert content_hash(dict(reversed(tensors.items()))) == before
    tensors["y"][0, 0, 0, 0] += 1
    write_tensors(again, tensors, header)
    with pytest.raises(ArtefactError, match="observations_sha256"):
        read_measurements(again)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_measurements": 301}, "301.*300 test images"),
        ({"operator": "haze"}, "haze"),
        ({"sigma_y": -1.0}, "sigma_y"),
    ],
)
def test_mistakes_name_the_spec(root, changes, words):
    with pytest.raises(UserError, match=f"task.json: .*{words}"):
        observed(root, **changes)


def test_specs_are_checked(root):
    observed(root)
    (root / "task.json").write_text((root / "task.json").read_text().replace("0.1", "0.2"))
    with pytest.raises(ArtefactError, match="task.json"):
        read_json(root / "task.json")


def test_perplexity_is_in_the_header_of_the_measurements(root):
    header = read_measurements(observed(root) / "observations.safetensors").header
    assert header["perplexity_of"] == "components"
    # of a single component
    assert header["posterior_perplexity"] == pytest.approx([1.0] * TASK["num_measurements"])
