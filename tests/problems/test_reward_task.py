"""A task of rewards: the classifier that it fits, what is measured of samples, and its measurements."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers.metric_values import truth_of
from helpers.rewards import DEFINITION, NAME, SHAPE, K, images, rng
from scipy.linalg import sqrtm

from bench.core.artefacts import (
    ArtefactError,
    read_header,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
)
from bench.core.errors import UserError
from bench.datasets.digits import Digits
from bench.metrics.reward import RewardQuality
from bench.numerics.frechet import BLOCK, frechet_distance, frechet_in_blocks, moments
from bench.problems.classifier import classifier_path, load_classifier, tensors_of, trained
from bench.problems.measurements import problem_of, read_measurements
from bench.problems.reward import Reward, one_hot
from bench.stages import classifier as teach
from bench.stages import data as prepare
from bench.stages import observe

SHORT = dataclasses.replace(DEFINITION, num_steps=15)
TASK = {
    "task": "atoms-class",
    "prior": "atoms",
    "family": "atoms",
    "dataset": "digits",
    "operator": "class",
    "parameters": {"classifier": NAME, "beta": 4},
    "sigma_y": None,
    "num_measurements": 12,
    "num_reference": 8,
    "num_particles": None,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A suite's folder with the digits, their classifier and the prior of atoms."""
    root = tmp_path_factory.mktemp("suite")
    write_json(
        root / "data.json",
        {"root": str(root), "dataset": "digits", "plugin": "digits", "parameters": {}},
    )
    write_json(root / "classifier.json", {"root": str(root), "classifier": NAME})
    prepare.main(str(root / "data.json"))
    teach.main(str(root / "classifier.json"))
    data, _ = read_tensors(root / "data" / "digits.safetensors")
    write_tensors(
        root / "priors" / "atoms" / "atoms.safetensors",
        {"atoms": data["train"]},
        {"family": "atoms"},
    )
    return root


def observed(root, **changes):
    """Folder of the task after `observe` ran on TASK with changes."""
    spec = {"root": str(root), **TASK, **changes}
    write_json(root / "task.json", spec)
    observe.main(str(root / "task.json"))
    return root / "tasks" / spec["task"]


# the classifier


def test_same_seed_same_bits():
    data, before = Digits().load(), torch.get_rng_state()

    def weights(seed):
        return trained(
            SHORT, data["train"], data["train_label"], rng(seed, dtype=torch.float32)
        ).weights

    first, again, other = weights(0), weights(0), weights(1)
    assert all(first[name].equal(again[name]) and not first[name].requires_grad for name in first)
    assert not first["head.weight"].equal(other["head.weight"])
    assert torch.get_rng_state().equal(before)


def test_it_recognises_digits_it_has_not_seen(root):
    card = read_json(classifier_path(root, NAME).with_name("card.json"))
    # 300 test images: at a true accuracy of 0.99 fewer than 291 right ones once in 1000
    assert card["accuracy"]["test"] >= 0.97 and card["accuracy"]["validation"] >= 0.97
    assert min(card["num_held_out"]) >= BLOCK and sum(card["num_held_out"]) == 500
    classifier, header = load_classifier(classifier_path(root, NAME))
    assert header["definition"]["num_steps"] == DEFINITION.num_steps
    stored, _ = read_tensors(classifier_path(root, NAME))
    assert (
        all(stored[name].equal(part) for name, part in tensors_of(classifier).items())
        and len(stored) == 11
    )


# what is measured


def spd(*axes, size=4):
    root = rng("covariance", *axes).randn((size, size))[0]
    return root @ root.T / size + 0.1 * torch.eye(size).double()


def test_frechet_distance_of_gaussians_with_common_axes():
    """|m_a - m_b|^2 + sum of (a_i - b_i)^2 over the standard deviations along the axes."""
    axes = torch.linalg.qr(rng("axes").randn((3, 3))[0]).Q
    std_a, std_b = torch.tensor([1.0, 0.5, 2.0]).double(), torch.tensor([0.1, 0.7, 2.0]).double()
    covariances = [axes * std.square() @ axes.T for std in (std_a, std_b)]
    shift = torch.tensor([1.0, -2.0, 0.5]).double()
    found = frechet_distance(torch.zeros(3).double(), covariances[0], shift, covariances[1])
    expected = shift.square().sum() + (std_a - std_b).square().sum()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


def test_frechet_distance_of_any_gaussians():
    a, b, means = spd("a"), spd("b"), rng("means").randn((2, 4))[0]
    root = sqrtm(a.numpy() @ b.numpy()).real
    expected = (means[0] - means[1]).square().sum() + a.trace() + b.trace() - 2 * np.trace(root)
    found = frechet_distance(means[0], a, means[1], b)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=0)
    torch.testing.assert_close(frechet_distance(means[1], b, means[0], a), found, rtol=1e-8, atol=0)


def test_frechet_distance_of_equal_sets_is_zero():
    points = rng("points").randn((3, 40, 6))[0]
    flat = points.clone()
    flat[..., 4:] = 0  # no spread along two axes
    for x in (points, flat):
        # eigenvalues are wrong by 1e-15, their roots by 3e-8 where they should vanish
        assert (frechet_distance(*moments(x), *moments(x)) < 1e-6).all()


def test_moments_are_those_of_numpy():
    x = rng("moments").randn((50, 3))[0]
    mean, covariance = moments(x)
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(covariance, torch.from_numpy(np.cov(x.numpy().T)))


def test_frechet_distance_is_averaged_over_whole_blocks():
    features, (mean, covariance) = (
        rng("blocks").randn((2, 70, 3))[0],
        moments(rng("real").randn((2, 50, 3))[0]),
    )
    blocks = [
        frechet_distance(*moments(features[:, i : i + 32]), mean, covariance) for i in (0, 32)
    ]
    torch.testing.assert_close(
        frechet_in_blocks(features, mean, covariance), (blocks[0] + blocks[1]) / 2
    )
    assert frechet_in_blocks(features[:, : BLOCK - 1], mean, covariance).isnan().all()


def test_metrics_of_a_reward(root):
    """Real digits of the class: no worse than the floor, far better than those of another class, and diverse."""
    problem = problem_of(read_header(observed(root) / "observations.safetensors"), SHAPE)
    data, _ = read_tensors(root / "data" / "digits.safetensors")
    y = one_hot(torch.arange(K), K).double()
    of_class = [data["train"][data["train_label"] == k][: 3 * BLOCK].double() for k in range(K)]
    right, one = (
        torch.stack(of_class),
        torch.stack([x[:1].expand(3 * BLOCK, *SHAPE) for x in of_class]),
    )
    truth = truth_of(problem, right[:, 0], y, right, right[:, 0], right[:, 0], 3 * BLOCK)
    scores, wrong, collapsed = (
        RewardQuality().compute(x, truth) for x in (right, right.roll(1, 0), one)
    )
    distance, floor = f"frechet-{NAME}-n{BLOCK}", f"frechet_floor-{NAME}-n{BLOCK}"
    assert all(value.shape == (K,) and value.isfinite().all() for value in scores.values())
    # at most one block of a class is not among the floor's
    torch.testing.assert_close(scores[distance], scores[floor], rtol=0.5, atol=0)
    assert (wrong[distance] > 5 * scores[distance]).all() and (
        collapsed[distance] > scores[distance]
    ).all()
    assert (scores["log_reward"] > -0.1).all() and (wrong["log_reward"] < -2).all()
    assert (collapsed[f"pairwise-{NAME}"] == 0).all() and (scores[f"pairwise-{NAME}"] > 0.1).all()


# the task


def test_measurements_are_one_image_of_each_class_then_another(root):
    folder = observed(root)
    measurements, data = read_measurements(folder / "observations.safetensors"), Digits().load()
    classes = measurements.y.flatten(1).argmax(1)
    assert classes.tolist() == [*range(K), 0, 1] and len(set(measurements.image_id.tolist())) == 12
    label = dict(zip(data["test_id"].tolist(), data["test_label"].tolist(), strict=True))
    image = dict(zip(data["test_id"].tolist(), data["test"], strict=True))
    for i, image_id in enumerate(measurements.image_id.tolist()):
        assert label[image_id] == classes[i] and image[image_id].equal(
            measurements.x_true[i].float()
        )
    all_measurements, header = read_tensors(folder / "all_measurements.safetensors")
    assert all_measurements["is_test"].tolist() == [True] * 300 + [False] * 200
    assert set(all_measurements["image_id"][:300].tolist()) == set(data["test_id"].tolist())
    assert (
        all_measurements["y"].flatten(1).argmax(1)[300:].equal(data["validation_label"])
        and "noise" not in header
    )


def test_the_problem_comes_from_the_header_or_from_a_spec(root):
    header = read_header(observed(root) / "observations.safetensors")
    classifier, _ = load_classifier(classifier_path(root, NAME))
    x, y = images(10), one_hot(torch.arange(10), K).double()
    for source in (header, {"root": str(root), **TASK}):
        problem = problem_of(source, SHAPE)
        assert problem.beta == 4 and problem.differentiable and problem.x_shape == SHAPE
        expected = Reward(classifier, 4, SHAPE).log_likelihood(x, y)
        assert problem.log_likelihood(x, y).equal(expected)
    black_box = {"classifier": NAME, "beta": 4, "differentiable": False}
    header = read_header(
        observed(root, task="atoms-black", parameters=black_box) / "observations.safetensors"
    )
    assert not problem_of(header, SHAPE).differentiable


def test_another_classifier_than_the_measurements_is_refused(root):
    header = read_header(observed(root) / "observations.safetensors")
    with pytest.raises(ArtefactError, match="measurements of atoms-class were made with 0123"):
        problem_of(header | {"classifier_sha256": "0123"}, SHAPE)


def test_mistakes_in_the_task_are_reported(root):
    with pytest.raises(UserError, match="task.json.*one of digits-cnn-v1, .* got 'vgg'"):
        observed(root, parameters={"classifier": "vgg", "beta": 1})


def test_labels_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    data, target = Digits().load(), load_digits().target
    for part in ("train", "validation", "test"):
        assert data[f"{part}_label"].tolist() == target[data[f"{part}_id"]].tolist()
    assert math.isclose(data["train_label"].double().mean().item(), 4.5, abs_tol=0.3)
