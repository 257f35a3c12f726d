"""Rewards: the tempered class probability, its gradient, what it simulates, and its posteriors."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.rewards import DEFINITION, NAME, SHAPE, K, images, rng
from torch import nn

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems.classifier import untrained
from bench.problems.posteriors import posterior_of
from bench.problems.reward import Reward, check_reward, one_hot
from methods.latent_langevin import LatentLangevin


def reward(beta=4.0, differentiable=True):
    return Reward(untrained(DEFINITION, rng("weights")), beta, SHAPE, differentiable)


def test_the_classifier_is_the_documented_network():
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

    shape = latent_shape = SHAPE

    def decode(self, z):
        return z / 2


def test_chains_in_noise_space_need_nothing_but_the_log_likelihood():
    problem, y = reward(beta=3.0), one_hot(torch.tensor([1, 6]), K).double()
    x = LatentLangevin(num_chains=16, thin=6).sample(
        Scaled(), problem, y, 512, rng=rng("chains", m=2)
    )
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
        ({"classifier": "vgg", "beta": 1}, SHAPE, "one of digits-cnn-v1, .* got 'vgg'"),
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
def test_impossible_rewards_are_refused_with_a_message(parameters, shape, words):
    with pytest.raises(ValueError, match=words):
        check_reward(parameters, shape)
