"""Rewards: the tempered class probability, its classifier, what is measured of samples, and a task made of them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers.metric_values import truth_of
from scipy.linalg import sqrtm
from torch import nn

from bench.core.artefacts import (
    ArtefactError,
    read_header,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
)
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.datasets.digits import Digits
from bench.metrics.reward import RewardQuality
from bench.numerics.frechet import BLOCK, frechet_distance, frechet_in_blocks, moments
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems.classifier import (
    DEFINITIONS,
    classifier_path,
    load_classifier,
    tensors_of,
    trained,
    untrained,
)
from bench.problems.measurements import problem_of, read_measurements
from bench.problems.posteriors import posterior_of
from bench.problems.reward import Reward, check_reward, one_hot
from bench.stages import classifier as teach
from bench.stages import data as prepare
from bench.stages import observe
from methods.latent_langevin import LatentLangevin

NAME, SHAPE, K = "digits-cnn-v1", (1, 8, 8), 10
DEFINITION = DEFINITIONS[NAME]
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


def rng(*axes, m=1, dtype=torch.float64):
    return Rng(("test", "reward", *axes), range(m), dtype=dtype)


def images(n, *axes):
    return rng("images", *axes).randn((n, *SHAPE))[0]


def reward(beta=4.0, differentiable=True):
    return Reward(untrained(DEFINITION, rng("weights")), beta, SHAPE, differentiable)


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


# the reward


def test_the_classifier_is_the_network_that_it_says():
    classifier = untrained(DEFINITION, rng("weights"))
    layers = {
        "near": nn.Conv2d(1, 16, 3, padding=1),
        "far": nn.Conv2d(16, 32, 3, padding=1, stride=2),
        "body": nn.Linear(32 * 4 * 4, 16),
        "head": nn.Linear(16, K),
    }
    for name, layer in layers.items():
        layer.load_state_dict(
            {part: classifier.weights[f"{name}.{part}"] for part in ("weight", "bias")}
        )
    near, far, body, head = layers.values()
    seen = nn.Sequential(near, nn.SiLU(), far, nn.SiLU(), nn.Flatten(), body, nn.SiLU())
    x = images(5)
    assert (
        classifier.features(x).dtype == torch.float64
        and classifier.features(x.float()).dtype == torch.float32
    )
    # sums of at most 512 float32 products of order 1
    torch.testing.assert_close(
        classifier.features(x).float(), seen(x.float()), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        classifier.log_probs(x).exp().sum(1), torch.ones(5).double(), rtol=0, atol=1e-5
    )
    expected = head(seen(x.float())).softmax(1).log()
    torch.testing.assert_close(classifier.log_probs(x).float(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_log_likelihood_is_beta_times_the_log_probability_of_the_class(beta):
    problem, x, classes = reward(beta), images(20), torch.arange(20) % K
    y = one_hot(classes, K).double()
    assert y.shape == (20, *problem.y_shape) and y.sum() == 20
    log_probs = problem.classifier.log_probs(x)[torch.arange(20), classes]
    torch.testing.assert_close(problem.log_likelihood(x, y), beta * log_probs, rtol=1e-12, atol=0)
    torch.testing.assert_close(problem.log_reward(x, y), log_probs, rtol=1e-12, atol=0)


def test_its_gradient_is_that_of_the_log_probability():
    problem, x, direction = reward(), images(4), images(4, "direction")
    y, h = one_hot(torch.arange(4), K).double(), 1e-2
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(problem.log_likelihood(leaf, y).sum(), leaf)
    slope = (gradient * direction).flatten(1).sum(1)
    difference = (
        problem.log_likelihood(x + h * direction, y) - problem.log_likelihood(x - h * direction, y)
    ) / (2 * h)
    # values near 10 are rounded to 1e-6 in float32, so differences over 2 h to 1e-4; the third derivative adds h^2
    torch.testing.assert_close(slope, difference, rtol=2e-2, atol=2e-3)


def test_a_black_box_has_the_same_values_and_no_gradient():
    open_box, black_box = reward(), reward(differentiable=False)
    x, y = images(6).requires_grad_(), one_hot(torch.arange(6), K).double()
    assert Cap.GRAD in open_box.caps and Cap.GRAD not in black_box.caps
    values = black_box.log_likelihood(x, y)
    assert not values.requires_grad and values.equal(open_box.log_likelihood(x, y).detach())
    for problem in (open_box, black_box):
        assert Cap.SIMULATE in problem.caps and not problem.caps & (
            Cap.RESIDUAL | Cap.LINEAR | Cap.EXACT
        )
    assert Cap.EXACT in dataclasses.replace(open_box, posterior=object()).caps


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_simulated_classes_have_the_tempered_frequencies(beta):
    problem, n = reward(beta), 40_000
    x = images(1)
    y = problem.simulate(x.expand(n, *SHAPE), rng("simulate"))
    assert (
        y.shape == (n, *problem.y_shape) and y.flatten(1).sum(1).eq(1).all() and y.dtype == x.dtype
    )
    expected = problem.classifier.log_probs(x)[0].exp() ** beta
    expected /= expected.sum()
    error = (expected * (1 - expected) / n).sqrt()
    # five standard errors, ten classes: once in 2e5 tests
    assert ((y.flatten(1).mean(0) - expected).abs() < 5 * error + 1 / n).all()


def test_each_measurement_simulates_from_its_own_stream():
    problem, x = reward(0.1), images(6)
    together = problem.simulate(x, rng("streams", m=3))
    alone = problem.simulate(x[2:4], Rng(("test", "reward", "streams"), [1]))
    assert together[2:4].equal(alone)
    with pytest.raises(ValueError, match="6 rows cannot be shared evenly by 4"):
        problem.simulate(x, rng(m=4))


def test_the_posterior_over_atoms_is_the_tempered_class_probability():
    problem, atoms = reward(beta=2.0), images(30, "atoms")
    y = one_hot(torch.tensor([3, 7]), K).double()
    weights = posterior_of(Atoms(atoms), problem).weights(y)
    expected = problem.classifier.log_probs(atoms).exp()[:, [3, 7]].square()
    torch.testing.assert_close(weights.T, expected / expected.sum(0), rtol=1e-6, atol=0)


def test_the_particle_reference_agrees_with_importance_sampling():
    """Also of a black box: the reference may look inside."""
    problem = reward(beta=3.0, differentiable=False)
    means = torch.stack([images(1, "means")[0], torch.zeros(SHAPE).double()])
    prior = GMM(
        torch.tensor([0.5, 0.5]).double(), means, 0.3 * torch.eye(64).double().repeat(2, 1, 1)
    )
    y = one_hot(torch.tensor([4]), K).double()
    x = prior.sample(20_000, rng("prior"))[0]
    log_reward = problem.log_reward(x, y.expand(len(x), -1, -1, -1))
    weights = (problem.beta * log_reward).softmax(0)
    expected = weights @ log_reward
    ess = 1 / weights.square().sum()
    posterior = dataclasses.replace(posterior_of(prior, problem), num_particles=512)
    drawn = posterior.sample(y, 256, rng("smc"))[0]
    found = problem.log_reward(drawn, y.expand(len(drawn), -1, -1, -1))
    # 256 draws, correlated by resampling: as good as 100 independent ones
    error = (found.var() / 100 + weights @ (log_reward - expected).square() / ess).sqrt()
    assert ess > 300 and (found.mean() - expected).abs() < 4 * error
    assert found.mean() > log_reward.mean() + 5 * error  # it has power


@dataclasses.dataclass(frozen=True)
class Scaled:
    """x = z / 2."""

    latent_shape = SHAPE

    def decode(self, z):
        return z / 2


def test_chains_in_noise_space_need_nothing_but_the_log_likelihood():
    problem, y = reward(beta=3.0), one_hot(torch.tensor([1, 6]), K).double()
    x = LatentLangevin().sample(Scaled(), problem, y, 512, rng=rng("chains", m=2))
    chains = [
        problem.log_reward(x[i], y[i].expand(512, *y.shape[1:])).view(-1, 16).mean(0)
        for i in range(2)
    ]
    prior = Scaled().decode(images(20_000, "importance"))
    for found, wanted in zip(chains, y, strict=True):
        log_reward = problem.log_reward(prior, wanted.expand(len(prior), *wanted.shape))
        weights = (3 * log_reward).softmax(0)
        expected, ess = weights @ log_reward, 1 / weights.square().sum()
        error = (found.var() / len(found) + weights @ (log_reward - expected).square() / ess).sqrt()
        # 16 independent chains, so Student's t with 15 degrees: beyond 5 once in 6000
        assert ess > 300 and (found.mean() - expected).abs() < 5 * error
        assert found.mean() > log_reward.mean() + 5 * error  # it has power


@pytest.mark.parametrize(
    ("parameters", "shape", "words"),
    [
        ({"classifier": "vgg", "beta": 1}, SHAPE, "one of digits-cnn-v1, got 'vgg'"),
        ({"classifier": NAME, "beta": 0}, SHAPE, "beta must be a positive number"),
        (
            {"classifier": NAME, "beta": 1},
            (1, 16, 16),
            r"for images \(1, 8, 8\), got \(1, 16, 16\)",
        ),
        ({"classifier": NAME}, SHAPE, "expected classifier, beta"),
        ({"classifier": NAME, "beta": 1, "sharp": True}, SHAPE, "expected classifier, beta"),
    ],
)
def test_impossible_rewards_are_refused_in_words(parameters, shape, words):
    with pytest.raises(ValueError, match=words):
        check_reward(parameters, shape)


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


def test_mistakes_in_the_task_are_told(root):
    with pytest.raises(UserError, match="task.json.*one of digits-cnn-v1, got 'vgg'"):
        observed(root, parameters={"classifier": "vgg", "beta": 1})


def test_labels_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    data, target = Digits().load(), load_digits().target
    for part in ("train", "validation", "test"):
        assert data[f"{part}_label"].tolist() == target[data[f"{part}_id"]].tolist()
    assert math.isclose(data["train_label"].double().mean().item(), 4.5, abs_tol=0.3)
