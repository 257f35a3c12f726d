"""Exact posteriors of a mixture of factor analysers against dense conjugacy, at 32 x 32 x 3 against plain algebra."""

import math
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from bench.core.packed import pack
from bench.core.rng import Rng
from bench.priors._mfa import MFA
from bench.priors._mfa_basis import Basis
from bench.priors._mixture import GMM
from bench.problems import make_problem
from bench.problems.posteriors import (
    Conjugate,
    FactorConjugate,
    NoPosterior,
    TemperedSMC,
    posterior_of,
    teacher_posterior,
)
from bench.problems.posteriors import factors as module

EVERY = {
    "denoise": ("denoise", {}, "Hidden"),
    "small box": ("inpaint-box", {"box": 3}, "Hidden"),
    "large box": ("inpaint-box", {"box": 7}, "Gram"),
    "many pixels": ("inpaint-random", {"visible_fraction": 0.7}, "Hidden"),
    "few pixels": ("inpaint-random", {"visible_fraction": 0.3}, "Gram"),
    "pool": ("average-pool", {"factor": 2}, "Gram"),
    "blur": ("blur", {"kernel_size": 5, "std": 1.0}, "Blocks"),
    "bicubic": ("bicubic", {"factor": 2}, "Gram"),
    "kernels of their own": ("motion-blur", {"kernel_size": 5}, "Gram"),
    "lines of the Fourier transform": ("fourier", {"acceleration": 2.0}, "Blocks"),
    "kernels for each colour": ("motion-blur", {"kernel_size": 3}, "Blocks"),
    "colours": ("colourise", {}, "Gram"),
}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture(num_components, shape, rank, seed=0):
    """Means of 0.3, strong smooth factors, noise that falls with frequency, as in photographs."""
    size = math.prod(shape)
    images = F.avg_pool2d(normal(100, *shape, seed=seed), 3, 1, 1, count_include_pad=False)
    fall = 1 / (1 + torch.arange(size, dtype=torch.float64)).sqrt()
    return MFA(
        normal(num_components, seed=seed + 1).softmax(0),
        0.3 * normal(num_components, *shape, seed=seed + 2),
        fall[:, None] * normal(num_components, size, rank, seed=seed + 3),
        (0.3 * fall + 0.01) * (0.5 + normal(num_components, size, seed=seed + 4).square()),
        Basis.fitted(images),
    )


def dense(prior):
    basis = prior.basis.matrix()
    covariances = basis @ (prior.factors @ prior.factors.mT + torch.diag_embed(prior.psi)) @ basis.T
    return GMM(prior.weights, prior.means, covariances)


def measured(prior, problem, m):
    x = prior.sample(1, Rng(("truth",), range(m)))[:, 0]
    return problem.simulate(x, Rng(("noise",), range(m)))


PRIOR = mixture(4, (1, 8, 8), rank=3)
COLOURS = mixture(4, (3, 4, 4), rank=3)


@pytest.mark.parametrize("operator, parameters, way", EVERY.values(), ids=EVERY)
def test_weights_moments_and_evidence_are_those_of_the_dense_mixture(operator, parameters, way):
    prior = COLOURS if operator == "colourise" or parameters == {"kernel_size": 3} else PRIOR
    problem = make_problem(operator, parameters, 0.3, prior.shape)
    y = measured(prior, problem, 5)
    found, expected = posterior_of(prior, problem), Conjugate(dense(prior), problem)
    assert isinstance(found, FactorConjugate)
    assert type(found._condition(y[:1], 0)).__name__ == way
    exact = {"rtol": 0, "atol": 1e-9}
    torch.testing.assert_close(found.weights(y), expected.mixture(y)[0], **exact)
    torch.testing.assert_close(found.moments(y), expected.moments(y), **exact)
    torch.testing.assert_close(found.log_z(y), expected.log_z(y), **exact)
    torch.testing.assert_close(found.perplexity(y), expected.perplexity(y), **exact)


@pytest.mark.parametrize("shape", [(1, 1, 8), (3, 1, 6), (3, 5, 1)])
@pytest.mark.parametrize(
    "operator, parameters", [("fourier", {"acceleration": 1.0}), ("denoise", {})]
)
def test_images_of_one_pixel_along_a_side_have_their_posterior(shape, operator, parameters):
    """They have no odd cosines along it."""
    prior = mixture(2, shape, rank=2)
    problem = make_problem(operator, parameters, 0.3, shape)
    y = measured(prior, problem, 2)
    found, expected = posterior_of(prior, problem), Conjugate(dense(prior), problem)
    torch.testing.assert_close(found.moments(y), expected.moments(y), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["small box", "few pixels", "blur"])
def test_draws_have_the_moments_of_the_formula(name):
    operator, parameters, _ = EVERY[name]
    problem, n = make_problem(operator, parameters, 0.3, PRIOR.shape), 2000
    y = measured(PRIOR, problem, 2)
    posterior = posterior_of(PRIOR, problem)
    draws = posterior.sample(y, n, Rng(("draws",), range(2), range(n)))
    mean, std = posterior.moments(y)
    # 64 pixels of 2 measurements, each beyond 4.5 standard errors once in 150,000 times
    assert ((draws.mean(1) - mean).abs() < 4.5 * std / n**0.5).all()
    assert ((draws.std(1) / std - 1).abs() < 4.5 * (1 / (2 * n)) ** 0.5).all()


def test_draws_do_not_depend_on_other_draws():
    problem = make_problem("inpaint-random", {"visible_fraction": 0.5}, 0.3, PRIOR.shape)
    y = measured(PRIOR, problem, 3)
    whole = posterior_of(PRIOR, problem).sample(y, 6, Rng(("draws",), range(3), range(6)))
    alone = posterior_of(PRIOR, problem).sample(y[2:], 2, Rng(("draws",), (2,), range(4, 6)))
    torch.testing.assert_close(alone[0], whole[2, 4:], rtol=0, atol=1e-12)


def test_measurements_with_one_mask_share_a_factorisation_for_each_component(monkeypatch):
    made = []
    condition = module.condition
    monkeypatch.setattr(module, "condition", lambda on, k: made.append(k) or condition(on, k))
    box = make_problem("inpaint-box", {"box": 3}, 0.3, PRIOR.shape)
    y = measured(PRIOR, box, 5)
    posterior = posterior_of(PRIOR, box)
    posterior.moments(y)
    posterior.sample(y[1:3], 4, Rng(("draws",), range(2), range(4)))
    posterior.perplexity(y[:1])
    assert made == [0, 1, 2, 3]
    pixels = make_problem("inpaint-random", {"visible_fraction": 0.6}, 0.3, PRIOR.shape)
    made.clear()
    posterior_of(PRIOR, pixels).perplexity(measured(PRIOR, pixels, 3))
    assert made == 3 * [0, 1, 2, 3]


def test_kept_factorisations_are_bounded_in_memory():
    kept = module.Kept(10)
    for name in "abc":
        assert kept.get(name, lambda name=name: name.upper(), lambda _: 4) == name.upper()
    assert list(kept.results) == ["b", "c"]
    kept.get("large", lambda: "LARGE", lambda _: 100)
    assert list(kept.results) == ["large"]


def test_single_precision_in_gives_single_precision_out():
    problem = make_problem("average-pool", {"factor": 2}, 0.3, PRIOR.shape)
    y = measured(PRIOR, problem, 2)
    expected = posterior_of(PRIOR, problem).moments(y)[0]
    single = posterior_of(PRIOR.to(torch.empty(0)), problem)
    mean, _ = single.moments(y.float())
    rng = Rng(("draws",), range(2), range(3), dtype=torch.float32)
    assert mean.dtype == single.sample(y.float(), 3, rng).dtype == torch.float32
    torch.testing.assert_close(mean.double(), expected, rtol=0, atol=1e-4)


def test_other_operators_have_particles_for_few_pixels_and_a_reason_for_many():
    saturate = make_problem("saturate", {"gain": 2.0}, 0.3, PRIOR.shape)
    assert isinstance(posterior_of(PRIOR, saturate), TemperedSMC)
    large = mixture(1, (3, 16, 16), rank=1)
    posterior = posterior_of(large, make_problem("saturate", {"gain": 2.0}, 0.3, large.shape))
    assert isinstance(posterior, NoPosterior) and "would take hours" in posterior.why


def test_a_map_distilled_from_it_has_the_exact_posterior_of_its_teacher():
    @dataclass
    class Student:
        teacher: MFA

    problem = make_problem("average-pool", {"factor": 2}, 0.3, PRIOR.shape)
    assert isinstance(teacher_posterior(Student(PRIOR), problem), FactorConjugate)
    large = mixture(1, (3, 16, 16), rank=1)
    saturate = make_problem("saturate", {"gain": 2.0}, 0.3, large.shape)
    assert teacher_posterior(Student(large), saturate) is None


# ---- at 32 x 32 x 3, against formulas with matrices of all pixels


@pytest.fixture(scope="module")
def photographs():
    """Two components that a measurement does not tell apart with certainty, and their dense covariances."""
    prior = mixture(2, (3, 32, 32), rank=8)
    means = prior.means[:1] + torch.tensor([0.0, 0.02])[:, None, None, None] * prior.means[1:]
    prior = MFA(
        prior.weights,
        means,
        prior.factors[:1].expand(2, -1, -1),
        prior.psi[:1].expand(2, -1),
        prior.basis,
    )
    basis = prior.basis.matrix()
    covariance = (basis * prior.psi[0]) @ basis.T
    loadings = basis @ prior.factors[0]
    return prior, covariance + loadings @ loadings.T


# pixels whose variances are compared, of all rows, columns and colours
SOME = slice(None, None, 31)
PROBLEMS = {
    "mask": lambda: make_problem("inpaint-box", {"box": 16}, 0.1, (3, 32, 32)),
    "pool": lambda: make_problem("average-pool", {"factor": 4}, 0.1, (3, 32, 32)),
    "bicubic": lambda: make_problem("bicubic", {"factor": 4}, 0.1, (3, 32, 32)),
    "blur": lambda: make_problem("blur", {"kernel_size": 9, "std": 1.5}, 0.1, (3, 32, 32)),
}


def textbook(prior, covariance, problem, y):
    """Weights (K,), mean (D,) and variances of SOME pixels for a measurement y (1, *y), components differing in mean.

    By the Kalman gain, with the matrices that the operator makes of all pixels.
    """
    values, mask = problem.unpack(y)
    seen = torch.ones(values.numel()).bool() if mask is None else mask.flatten().bool()

    def measure(rows):
        side = None if mask is None else pack(values, mask).expand(len(rows), -1, -1, -1)
        return problem.operator(rows.unflatten(1, (3, 32, 32)), side).flatten(1)[:, seen]

    joint = measure(covariance)  # C A^T
    noise = problem.sigma_y**2 * torch.eye(joint.shape[1], dtype=torch.float64)
    root = torch.linalg.cholesky(measure(joint.T) + noise)
    means = prior.means.flatten(1)
    residual = values.flatten()[seen] - measure(means)
    pull = torch.cholesky_solve(residual.T, root)
    weights = (prior.weights.log() - (residual.T * pull).sum(0) / 2).softmax(0)
    centres = means + (joint @ pull).T
    mean = weights @ centres
    known = torch.linalg.solve_triangular(root, joint[SOME].T, upper=False).square().sum(0)
    within = covariance.diagonal()[SOME] - known
    return weights, mean, within + weights @ (centres - mean)[:, SOME].square()


@pytest.mark.parametrize("name", PROBLEMS)
def test_draws_of_colour_images_have_the_moments_of_plain_algebra(name, photographs):
    (prior, covariance), problem, n = photographs, PROBLEMS[name](), 200
    y = measured(prior, problem, 1)
    weights, mean, variance = textbook(prior, covariance, problem, y)
    posterior = posterior_of(prior, problem)
    torch.testing.assert_close(posterior.weights(y)[0], weights, rtol=0, atol=1e-7)
    found, std = (moment[0].flatten() for moment in posterior.moments(y))
    torch.testing.assert_close(found, mean, rtol=0, atol=1e-8)
    torch.testing.assert_close(std[SOME].square(), variance, rtol=0, atol=1e-8)
    draws = posterior.sample(y, n, Rng(("draws",), (0,), range(n)))[0].flatten(1)
    # 3072 pixels, each beyond 5 standard errors once in two million times
    assert ((draws.mean(0) - mean).abs() < 5 * std / n**0.5).all()
    # the variance of a Gaussian's sample has standard error sqrt(2 / n)
    assert ((draws.var(0)[SOME] / variance - 1).abs() < 6 * (2 / n) ** 0.5).all()


# ---- at 64 x 64 x 3, where matrices of all pixels are out of reach


LARGE = mixture(1, (3, 64, 64), rank=4)


@pytest.mark.parametrize(
    "operator, parameters, way, rows",
    [
        ("blur", {"kernel_size": 13, "std": 3.0}, "blocks", 1024),
        ("inpaint-box", {"box": 32}, "hidden", 3072),
        ("inpaint-random", {"visible_fraction": 0.3}, "gram", None),
        ("average-pool", {"factor": 8}, "gram", 192),
        ("motion-blur", {"kernel_size": 13}, "blocks", 4096),
        ("fourier", {"acceleration": 2.0}, "blocks", 1024),
        ("colourise", {}, "gram", 4096),
    ],
)
def test_no_factorisation_at_64_pixels_is_of_all_values(operator, parameters, way, rows):
    problem = make_problem(operator, parameters, 0.1, LARGE.shape)
    posterior = posterior_of(LARGE, problem)
    assert isinstance(posterior, FactorConjugate)
    on = posterior._instrument(measured(LARGE, problem, 1))
    assert (on.way, on.size) == (way, rows or on.num_seen)
    assert on.size <= module.MOST_ROWS


def test_the_posterior_mean_of_a_blur_at_64_pixels_solves_its_equation():
    grey = mixture(1, (1, 64, 64), rank=4)  # channels have blocks of their own
    problem = make_problem("blur", {"kernel_size": 13, "std": 3.0}, 0.1, grey.shape)
    y = measured(grey, problem, 1)
    posterior = posterior_of(grey, problem)
    residual = problem.residual(grey.means, y)
    shift = posterior._condition(y, 0).shift(residual)
    # with M = A C A^T + sigma^2 I: shift = C A^T M^-1 r, and M^-1 r = (r - A shift) / sigma^2
    pull = (residual - problem.operator(shift, y)) / problem.sigma_y**2
    on = posterior._instrument(y)
    again = grey.images(on.covered(on.projected(pull), 0))
    torch.testing.assert_close(again, shift, rtol=0, atol=1e-8)


def test_an_error_for_too_large_matrices_states_their_size_and_what_to_do(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 1000)
    posterior = posterior_of(LARGE, make_problem("inpaint-box", {"box": 32}, 0.1, LARGE.shape))
    assert isinstance(posterior, NoPosterior)
    assert posterior.why == (
        "a posterior of 3 x 64 x 64 images would take a factorisation of 3072 x 3072 numbers for each component, "
        "1000 at most are affordable: take smaller images, or the prior `atoms`"
    )
