"""Exact posteriors against textbook formulas, grids, importance sampling and brute-force Bayes."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from bench.core.rng import Rng
from bench.numerics.distances import energy_distance, mean_distance_within
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import (
    Conjugate,
    Enumeration,
    TemperedSMC,
    enumeration,
    posterior_of,
)

LINEAR = {
    "denoise": {},
    "inpaint-box": {"box": 2},
    "inpaint-random": {"visible_fraction": 0.4},
    "average-pool": {"factor": 2},
    "blur": {"kernel_size": 3, "std": 1.0},
    "motion-blur": {"kernel_size": 3},
    "fourier": {"acceleration": 2.0, "centre_fraction": 0.25},
}
NON_LINEAR = {"saturate": {"gain": 2.0}, "phase": {"oversample": 2.0}}
OPERATORS = LINEAR | NON_LINEAR


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture(num_components, shape, seed=0):
    """Means of unit size, variances between about 0.1 and 1."""
    size = math.prod(shape)
    factor = 0.5 * normal(num_components, size, size, seed=seed) / size**0.5
    covariances = factor @ factor.mT + 0.1 * torch.eye(size, dtype=torch.float64)
    weights = normal(num_components, seed=seed + 1).softmax(0)
    return GMM(weights, normal(num_components, *shape, seed=seed + 2), covariances)


def measured(prior, operator, sigma_y, m=3, parameters=None):
    """A problem and m measurements (m, *y) of prior draws, each with a mask of its own where there is one."""
    problem = make_problem(
        operator, OPERATORS[operator] if parameters is None else parameters, sigma_y, prior.shape
    )
    x = prior.sample(1, Rng(("truth", operator), range(m)))[:, 0]
    return problem, problem.simulate(x, Rng(("noise", operator), range(m)))


def matrix(problem, y):
    """A of one measurement y (1, *y), (P, D), by its adjoint: row p is A^T e_p."""
    values, _ = problem.unpack(y)
    basis = torch.eye(values.numel(), dtype=torch.float64).view(-1, *values.shape[1:])
    return problem.operator.adjoint(basis, y.expand(len(basis), *y.shape[1:])).flatten(1)


def textbook(mean, covariance, a, values, sigma_y):
    """Posterior mean and covariance of one Gaussian by the Kalman gain, and log p(values)."""
    marginal = a @ covariance @ a.T + sigma_y**2 * torch.eye(len(a), dtype=torch.float64)
    gain = torch.linalg.solve(marginal, a @ covariance).T
    evidence = MultivariateNormal(a @ mean, marginal).log_prob(values)
    return mean + gain @ (values - a @ mean), covariance - gain @ a @ covariance, evidence


def test_atoms_are_measured_some_at_a_time(monkeypatch):
    """So that 20,000 colour images of 32 x 32 pixels need no copies of all of them."""
    prior = Atoms(normal(50, 1, 4, 4))
    problem, y = measured(prior, "saturate", 0.5)
    posterior = Enumeration(prior, problem)
    expected = [posterior.weights(y), *posterior.moments(y)]
    monkeypatch.setattr(enumeration, "VALUES_AT_ONCE", 7 * 16)
    for found, whole in zip([posterior.weights(y), *posterior.moments(y)], expected, strict=True):
        torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)


# ---- conjugate


@pytest.mark.parametrize("operator", LINEAR)
def test_one_gaussian_has_the_textbook_posterior(operator):
    prior = mixture(1, (1, 4, 4))
    problem, y = measured(prior, operator, 0.3)
    weights, means, precision = Conjugate(prior, problem).mixture(y)
    assert weights.tolist() == [[1]] * 3
    for i in range(3):
        values, _ = problem.unpack(y[i : i + 1])
        mean, covariance, _ = textbook(
            prior.means[0].flatten(),
            prior.covariances[0],
            matrix(problem, y[i : i + 1]),
            values.flatten(),
            0.3,
        )
        # condition numbers of about 1e2: rounding of 1e-13
        torch.testing.assert_close(means[i, 0], mean, rtol=0, atol=1e-10)
        torch.testing.assert_close(
            torch.linalg.inv(precision[i, 0]), covariance, rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("operator", ["inpaint-box", "inpaint-random"])
def test_masked_measurements_are_those_of_the_observed_pixels_alone(operator):
    """Rows that nothing was measured in are deleted here, and zero there; the mask differs between measurements."""
    prior = mixture(4, (1, 4, 4))
    problem, y = measured(prior, operator, 0.3, m=5)
    posterior = Conjugate(prior, problem)
    weights, means, _ = posterior.mixture(y)
    values, masks = problem.unpack(y)
    assert operator == "inpaint-box" or not torch.equal(masks[0], masks[1])
    mean, std = posterior.moments(y)
    for i in range(5):
        seen = masks[i].flatten().bool()
        a = torch.eye(16, dtype=torch.float64)[seen]
        parts = [
            textbook(mu.flatten(), c, a, values[i].flatten()[seen], 0.3)
            for mu, c in zip(prior.means, prior.covariances, strict=True)
        ]
        expected = (
            prior.weights.log() + torch.stack([evidence for *_, evidence in parts])
        ).softmax(0)
        centres = torch.stack([centre for centre, *_ in parts])
        variances = torch.stack([c.diagonal() for _, c, _ in parts])
        torch.testing.assert_close(weights[i], expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(means[i], centres, rtol=0, atol=1e-10)
        torch.testing.assert_close(mean[i].flatten(), expected @ centres, rtol=0, atol=1e-10)
        variance = expected @ (variances + centres.square()) - (expected @ centres).square()
        torch.testing.assert_close(std[i].flatten().square(), variance, rtol=0, atol=1e-10)


def grid_posterior(prior, problem, y, step=0.03, half_width=6.0):
    """Points (n, 1, 1, 2) of a grid and the posterior's mass at each, for one measurement y (1, *y)."""
    axis = torch.arange(-half_width, half_width + step / 2, step, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis).view(-1, 1, 1, 2)
    log_density = prior.log_prob(points) + problem.log_likelihood(
        points, y.expand(len(points), *y.shape[1:])
    )
    return points, log_density.softmax(0)


IN_TWO_PIXELS = {
    "denoise": {},
    "inpaint-random": {"visible_fraction": 0.5},
    "average-pool": {"factor": 1},
}


@pytest.mark.parametrize("operator, parameters", IN_TWO_PIXELS.items(), ids=IN_TWO_PIXELS)
def test_moments_agree_with_a_grid_in_two_dimensions(operator, parameters):
    prior = mixture(3, (1, 1, 2))
    problem, y = measured(prior, operator, 0.3, parameters=parameters)
    mean, std = Conjugate(prior, problem).moments(y)
    for i in range(3):
        points, mass = grid_posterior(prior, problem, y[i : i + 1])
        expected = torch.einsum("n,ncij->cij", mass, points)
        variance = torch.einsum("n,ncij->cij", mass, (points - expected).square())
        # The trapezoidal rule has error exp(-2 pi^2 d^2 / step^2) for the narrowest deviation d = 0.2, below 1e-300.
        # The border is 6.7 or more deviations away from each component: beyond it lies 1e-10 of the mass at most.
        torch.testing.assert_close(mean[i], expected, rtol=0, atol=1e-8)
        torch.testing.assert_close(std[i], variance.sqrt(), rtol=0, atol=1e-8)


def test_moments_agree_with_importance_sampling():
    prior = mixture(3, (1, 4, 4))
    problem, y = measured(prior, "average-pool", 0.5, m=1)
    mean, std = Conjugate(prior, problem).moments(y)
    x = prior.sample(100_000, Rng(("importance",), (0,)))[0]
    weights = problem.log_likelihood(x, y.expand(len(x), *y.shape[1:])).softmax(0)
    assert 1 / weights.square().sum() > 1000
    for power, expected in ((1, mean[0]), (2, std[0].square() + mean[0].square())):
        estimate = torch.einsum("n,ncij->cij", weights, x**power)
        # delta method for a self-normalised estimate
        error = torch.einsum("n,ncij->cij", weights.square(), (x**power - estimate).square()).sqrt()
        assert ((estimate - expected).abs() < 5 * error).all()


@pytest.mark.parametrize("operator", ["denoise", "inpaint-random", "average-pool"])
def test_draws_have_the_moments_of_the_formula(operator):
    prior, n = mixture(4, (1, 4, 4)), 4000
    problem, y = measured(prior, operator, 0.3)
    posterior = Conjugate(prior, problem)
    x = posterior.sample(y, n, Rng(("draws",), range(3), range(n)))
    assert x.shape == (3, n, 1, 4, 4)
    mean, std = posterior.moments(y)
    # 48 pixels twice, five standard errors each: fails by accident once in 20,000 seeds
    assert ((x.mean(1) - mean).abs() < 5 * std / n**0.5).all()
    squares = (x - mean[:, None]).square()
    assert ((squares.mean(1) - std.square()).abs() < 5 * squares.std(1) / n**0.5).all()
    # the whole covariance, along ten directions
    weights, means, precision = posterior.mixture(y)
    v = normal(16, 10, seed=9)
    within = (torch.linalg.inv(precision) @ v * v[None, None]).sum(2)
    across = (means - mean.flatten(1)[:, None]) @ v
    variance = torch.einsum("mk,mkv->mv", weights, within + across.square())
    projected = ((x - mean[:, None]).flatten(2) @ v).square()
    assert ((projected.mean(1) - variance).abs() < 5 * projected.std(1) / n**0.5).all()


def test_draws_of_one_measurement_do_not_depend_on_batch_or_chunk():
    prior = mixture(4, (1, 4, 4))
    problem, y = measured(prior, "inpaint-random", 0.3, m=4)
    posterior = Conjugate(prior, problem)
    whole = posterior.sample(y, 6, Rng(("draws",), range(4), range(6)))
    part = posterior.sample(y[2:3], 3, Rng(("draws",), (2,), range(1, 4)))
    torch.testing.assert_close(part, whole[2:3, 1:4], rtol=0, atol=1e-10)
    for together, alone in zip(posterior.moments(y), posterior.moments(y[2:3]), strict=True):
        torch.testing.assert_close(alone, together[2:3], rtol=0, atol=1e-10)


@pytest.mark.parametrize("operator", LINEAR)
def test_weights_and_perplexity_between_no_and_full_information(operator):
    prior = mixture(4, (1, 4, 4))
    problem, y = measured(prior, operator, 0.3)
    posterior = Conjugate(prior, problem)
    weights, *_ = posterior.mixture(y)
    torch.testing.assert_close(
        weights.sum(1), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-14
    )
    assert ((posterior.perplexity(y) >= 1 - 1e-12) & (posterior.perplexity(y) <= 4)).all()
    # with sigma_y = 1e4 log likelihoods differ by 10 / 1e8
    blind = Conjugate(prior, make_problem(operator, LINEAR[operator], 1e4, prior.shape))
    entropy = -(prior.weights * prior.weights.log()).sum()
    torch.testing.assert_close(blind.perplexity(y), entropy.exp().expand(3), rtol=0, atol=1e-5)
    mean = torch.einsum("k,kcij->cij", prior.weights, prior.means).expand(3, 1, 4, 4)
    torch.testing.assert_close(blind.moments(y)[0], mean, rtol=0, atol=1e-5)


def test_a_clear_measurement_leaves_the_image_itself():
    prior = mixture(4, (1, 4, 4))
    problem, y = measured(prior, "denoise", 1e-4)
    posterior = Conjugate(prior, problem)
    mean, std = posterior.moments(y)
    # E[x | y] = y + sigma_y^2 score(y) with a score of 1e2 at most
    torch.testing.assert_close(mean, y, rtol=0, atol=1e-6)
    torch.testing.assert_close(std, torch.full_like(std, 1e-4), rtol=1e-4, atol=0)


# ---- enumeration


@pytest.mark.parametrize("operator", ["inpaint-random", "saturate", "phase"])
def test_enumeration_is_bayes_rule_atom_by_atom(operator):
    prior, sigma_y = Atoms(normal(30, 1, 4, 4).clamp(-1, 1)), 2.0
    problem, y = measured(prior, operator, sigma_y)
    posterior = Enumeration(prior, problem)
    weights, (mean, std) = posterior.weights(y), posterior.moments(y)
    values, mask = problem.unpack(y)
    for i in range(3):
        clean = torch.cat([problem.operator(atom[None], y[i : i + 1]) for atom in prior.atoms])
        misfit = clean - values[i] if mask is None else (clean - values[i])[:, mask[i].bool()]
        joint = [math.exp(-row.square().sum() / (2 * sigma_y**2)) for row in misfit]
        expected = torch.tensor(joint, dtype=torch.float64) / sum(joint)
        torch.testing.assert_close(weights[i], expected, rtol=0, atol=1e-12)
        centre = sum(w * atom for w, atom in zip(expected, prior.atoms, strict=True))
        spread = sum(
            w * (atom - centre).square() for w, atom in zip(expected, prior.atoms, strict=True)
        ).sqrt()
        torch.testing.assert_close(mean[i], centre, rtol=0, atol=1e-12)
        torch.testing.assert_close(std[i], spread, rtol=0, atol=1e-12)
        entropy = -sum(w * math.log(w) for w in expected.tolist())
        assert posterior.perplexity(y)[i] == pytest.approx(math.exp(entropy))
    assert weights.max() < 0.99  # so that the test saw more than one atom


def test_enumerated_draws_have_the_posterior_weights():
    prior, n = Atoms(normal(10, 1, 4, 4)), 20_000
    problem, y = measured(prior, "saturate", 1.0)
    posterior = Enumeration(prior, problem)
    x = posterior.sample(y, n, Rng(("draws",), range(3), range(n)))
    matches = (x[:, :, None] == prior.atoms).flatten(3).all(3)
    assert (matches.sum(2) == 1).all()  # every draw is an atom
    weights, shares = posterior.weights(y), matches.double().mean(1)
    # 30 binomial shares; 1 / n more for those of very little weight
    assert ((shares - weights).abs() < 5 * (weights * (1 - weights) / n).sqrt() + 5 / n).all()


def test_enumerated_draws_do_not_depend_on_batch_or_chunk():
    prior = Atoms(normal(10, 1, 4, 4))
    problem, y = measured(prior, "phase", 1.0)
    posterior = Enumeration(prior, problem)
    whole = posterior.sample(y, 6, Rng(("draws",), range(3), range(6)))
    assert torch.equal(
        posterior.sample(y[1:2], 3, Rng(("draws",), (1,), range(2, 5))), whole[1:2, 2:5]
    )


def test_perplexity_of_atoms_between_one_and_all():
    prior = Atoms(normal(30, 1, 4, 4))
    problem, y = measured(prior, "saturate", 1e-3)
    # two atoms' saturated images differ by 0.1 or more in some pixel: exp(-0.1^2 / 2e-6) = 0
    assert Enumeration(prior, problem).perplexity(y).tolist() == pytest.approx([1] * 3, abs=1e-12)
    blind = make_problem("saturate", {"gain": 2.0}, 1e5, prior.shape)
    # log likelihoods differ by at most 16 * 2^2 / 2e10
    assert Enumeration(prior, blind).perplexity(y).tolist() == pytest.approx([30] * 3, abs=1e-6)


# ---- tempered SMC

# A resampling that leaves 60 % of the particles effective adds up to 1 / 0.6 - 1 to the variance of a mean over
# independent draws, and there are about 6 temperatures here: n particles are worth n / 5 draws, if moves help nothing.
WORTH = 5


def energy_share(a, b):
    within = mean_distance_within(b)
    return energy_distance(a, b, within) / (2 * within)


def test_particles_agree_with_the_closed_form_on_a_linear_problem():
    prior, n = mixture(3, (1, 2, 2)), 2048
    problem, y = measured(prior, "average-pool", 0.2)
    exact = Conjugate(prior, problem)
    x = TemperedSMC(prior, problem).sample(y, n, Rng(("smc",), range(3)))
    mean, std = exact.moments(y)
    assert ((x.mean(1) - mean).abs() < 4 * std * (WORTH / n) ** 0.5).all()
    # Of two independent sets of n draws the share is (1 / n) sum_j p_j (Z_j^2 - 1) with sum_j p_j = 1: it scatters most
    # with a single term, and then exceeds 10 / n once in 1000 times. Particles are worth fewer draws.
    draws = exact.sample(y, n, Rng(("exact",), range(3), range(n)))
    assert (energy_share(x.flatten(2), draws.flatten(2)) < 10 * (1 + WORTH) / 2 / n).all()
    from_prior = prior.sample(n, Rng(("prior",), range(3)))
    # what this test would see
    assert energy_share(from_prior.flatten(2), draws.flatten(2)).max() > 0.2


@pytest.mark.parametrize("operator", NON_LINEAR)
def test_particles_agree_with_a_grid_on_a_non_linear_problem(operator):
    """Phase has up to eight modes here: two pixels may change places and sign."""
    prior, n = mixture(3, (1, 1, 2)), 4096
    problem, y = measured(prior, operator, 0.3)
    x = TemperedSMC(prior, problem, num_particles=n).sample(y, n, Rng(("smc",), range(3)))
    for i in range(3):
        points, mass = grid_posterior(prior, problem, y[i : i + 1])
        even = torch.full((n,), 1 / n, dtype=torch.float64)
        # pixels, their squares and product, and the share of each quadrant: bounded functions or nearly so
        found, expected = features(x[i]), features(points)
        mean = mass @ expected
        deviation = (mass @ (expected - mean).square()).sqrt()
        assert ((even @ found - mean).abs() < 4 * deviation * (WORTH / n) ** 0.5 + 1e-3).all()


def features(x):
    """Functions of images of two pixels whose means tell distributions apart, (n, 1, 1, 2) -> (n, 9)."""
    a, b = x.flatten(1).T
    quadrants = [
        ((a > 0) == right) & ((b > 0) == up) for right in (True, False) for up in (True, False)
    ]
    return torch.stack(
        [a, b, a * a, b * b, a * b, *(quadrant.double() for quadrant in quadrants)], 1
    )


@pytest.mark.parametrize("operator", OPERATORS)
def test_particles_move_along_the_tempered_posterior(operator):
    """MALA corrects a wrong gradient, and a density slightly wrong hides in the scatter: so both are looked at here."""
    prior, beta = mixture(3, (1, 4, 4)), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    problem, y = measured(prior, operator, 0.3)
    x = normal(3, 16, seed=9).requires_grad_()
    images = x.unflatten(1, prior.shape)
    expected = prior.log_prob(images) + beta * problem.log_likelihood(images, y)
    (gradient,) = torch.autograd.grad(expected.sum(), x)
    state = TemperedSMC(prior, problem)._model(x.detach()[:, None], y)
    found = (state.log_density(beta)[:, 0], state.gradient(beta)[:, 0])
    torch.testing.assert_close(found, (expected.detach(), gradient), rtol=1e-12, atol=1e-10)


def test_particles_of_one_measurement_do_not_depend_on_the_others():
    prior = mixture(3, (1, 2, 2))
    problem, y = measured(prior, "saturate", 0.3)
    posterior = TemperedSMC(prior, problem, num_particles=128)
    whole = posterior.sample(y, 16, Rng(("smc",), range(3)))
    assert whole.shape == (3, 16, 1, 2, 2)
    assert torch.equal(posterior.sample(y[1:2], 16, Rng(("smc",), (1,))), whole[1:2])


def test_particles_can_be_fewer_than_the_samples_asked_for():
    prior = mixture(3, (1, 2, 2))
    problem, y = measured(prior, "saturate", 0.3)
    x = TemperedSMC(prior, problem, num_particles=4).sample(y[:1], 64, Rng(("smc",), (0,)))
    assert len(x[0].flatten(1).unique(dim=0)) == 64  # each has moved since it was last resampled


def test_the_posterior_fits_the_prior_and_the_operator():
    prior, atoms = mixture(3, (1, 4, 4)), Atoms(normal(5, 1, 4, 4))
    linear, other = (
        make_problem("denoise", {}, 0.3, (1, 4, 4)),
        make_problem("saturate", {"gain": 2.0}, 0.3, (1, 4, 4)),
    )
    assert isinstance(posterior_of(prior, linear), Conjugate)
    assert isinstance(posterior_of(prior, other), TemperedSMC)
    assert isinstance(posterior_of(atoms, linear), Enumeration)
    assert isinstance(posterior_of(atoms, other), Enumeration)
    y = normal(2, 1, 4, 4)
    assert posterior_of(prior, other).moments(y) is posterior_of(prior, other).perplexity(y) is None
