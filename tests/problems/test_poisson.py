"""Poisson noise: the law of the counts, the likelihood, DPS's approximation of it, and the posteriors."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import Enumeration, TemperedSMC, posterior_of

RATE = 0.5
PHOTONS = 255 * RATE


def poisson(operator="denoise", parameters=None, x_shape=(1, 4, 4), rate=RATE, posterior=None):
    return make_problem(operator, parameters or {}, None, x_shape, posterior, rate=rate)


def images(n, x_shape=(1, 4, 4)):
    return 2 * Rng(("images",), range(n)).rand(x_shape) - 1


def test_counts_follow_the_law_of_photons():
    """Whole counts; mean and variance are those of DPS's noise: white is 255 rate photons."""
    problem, n = poisson(), 4000
    x = torch.linspace(-1, 1, 16, dtype=torch.float64).view(1, 1, 4, 4).expand(n, -1, -1, -1)
    y = problem.simulate(x, Rng(("law",), range(4)))
    counts = PHOTONS / 2 * (y + 1)
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-9)
    mean = (PHOTONS / 2 * (x[0] + 1)).clamp_min(RATE)
    error = (counts.mean(0) - mean) / (mean / n).sqrt()
    assert error.abs().max() < 4
    # the variance of the empirical variance of a Poisson variable is about (2 mean^2 + mean) / n
    spread = (counts.var(0) - mean) / ((2 * mean**2 + mean) / n).sqrt()
    assert spread.abs().max() < 4
    assert problem.sigma_y == pytest.approx(math.sqrt(2 / PHOTONS))
    grey = problem.simulate(torch.zeros(n, 1, 4, 4).double(), Rng(("grey",), range(4)))
    assert grey.std().item() == pytest.approx(problem.sigma_y, rel=0.02)


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [
        ("denoise", {}),
        ("inpaint-random", {"visible_fraction": 0.5}),
        ("motion-blur", {"kernel_size": 3}),
    ],
)
def test_log_likelihood_is_scipys_up_to_a_constant(operator, parameters):
    problem, x = poisson(operator, parameters), images(6)
    y = problem.simulate(x, Rng(("y",), range(6)))
    values, mask = problem.unpack(y)
    counts = np.rint(PHOTONS / 2 * (values.numpy() + 1))

    def expected(image):
        image = problem.operator(image, y)  # a mask says below what was seen
        mean = np.maximum(PHOTONS / 2 * (image.numpy() + 1), RATE)
        seen = np.ones_like(counts) if mask is None else mask.numpy()
        return (stats.poisson.logpmf(counts, mean) * seen).sum((1, 2, 3))

    other = x.flip(0)
    difference = problem.log_likelihood(x, y) - problem.log_likelihood(other, y)
    np.testing.assert_allclose(difference, expected(x) - expected(other), rtol=1e-10)
    rounded = torch.cat([values.float().double(), y[:, 1:]], 1)  # values as files keep them
    stored = problem.log_likelihood(x, rounded)
    assert (stored - problem.log_likelihood(x, y)).abs().max() < 1e-9


def test_gradient_of_the_log_likelihood_is_that_of_finite_differences():
    problem, x = poisson("blur", {"kernel_size": 3, "std": 1.0}), images(2)
    y = problem.simulate(x, Rng(("y",), range(2)))
    assert torch.autograd.gradcheck(lambda x: problem.log_likelihood(x, y), x.requires_grad_())


def test_residual_is_the_gaussian_approximation_of_dps():
    """Its noise has the standard deviation sigma_y for bright and dark values, and unmeasured ones give zero."""
    n = 4000
    x = torch.tensor([-0.8, -0.3, 0.3, 0.9]).double().view(1, 1, 2, 2)
    problem = poisson(x_shape=(1, 2, 2), rate=4.0)
    y = problem.simulate(x.expand(n, -1, -1, -1), Rng(("r",), range(4)))
    residual = problem.residual(x.expand(n, -1, -1, -1), y)
    np.testing.assert_allclose(residual.std(0) / problem.sigma_y, 1, atol=0.05)
    dim = poisson(x_shape=(1, 2, 2), rate=0.05)  # mean counts from 1.3 to 12
    dark = dim.simulate(x.expand(n, -1, -1, -1), Rng(("d",), range(4)))
    chi2 = (dim.residual(x.expand(n, -1, -1, -1), dark) / dim.sigma_y).square().mean(0)
    assert chi2.min() > 0.5 and chi2.max() < 1.2
    counts = 4.0 * 255 / 2 * (y + 1)
    expected = (y - x) * (4.0 * 255 / 2 / (counts + 1)).sqrt()
    torch.testing.assert_close(residual, expected)
    masked = poisson("inpaint-box", {"box": 2})
    y = masked.simulate(images(2), Rng(("m",), range(2)))
    assert not masked.residual(images(2) + 1, y)[..., 1:3, 1:3].any()


def test_a_black_pixel_that_caught_a_photon_rules_out_no_image():
    """Without a floor all of these black atoms would be impossible, and their posterior not a number."""
    atoms = images(8).clone()
    atoms[:, :, :2] = -1.0
    problem = poisson()
    y = torch.full((1, 1, 4, 4), 2 * 3 / PHOTONS - 1, dtype=torch.float64)
    weights = Enumeration(Atoms(atoms), problem).weights(y)
    assert weights.isfinite().all() and weights.sum().item() == pytest.approx(1.0)


def test_enumeration_is_exact_under_poisson_noise():
    atoms, problem = images(5), poisson(rate=0.02)
    y = problem.simulate(atoms[:2], Rng(("e",), range(2)))
    posterior = posterior_of(Atoms(atoms), problem)
    assert isinstance(posterior, Enumeration)
    counts = np.rint(255 * 0.02 / 2 * (y.numpy() + 1))
    mean = np.maximum(255 * 0.02 / 2 * (atoms.numpy() + 1), 0.02)
    joint = stats.poisson.pmf(counts[:, None], mean[None]).prod((2, 3, 4))
    np.testing.assert_allclose(posterior.weights(y), joint / joint.sum(1, keepdims=True), rtol=1e-9)


def test_the_closed_form_of_mixtures_is_not_claimed():
    gaussian = GMM(torch.ones(1), torch.zeros(1, 1, 4, 4), 0.1 * torch.eye(16)[None])
    assert isinstance(posterior_of(gaussian, poisson()), TemperedSMC)
    assert not poisson().caps & (Cap.LINEAR | Cap.SPECTRUM)
    assert Cap.LINEAR | Cap.SPECTRUM in make_problem("denoise", {}, 0.1, (1, 4, 4)).caps


@pytest.mark.parametrize(
    ("operator", "parameters", "rate", "words"),
    [
        ("denoise", {}, -1.0, "rate must be a positive number, got -1.0"),
        ("phase", {"oversample": 2.0}, 1.0, "counts photons, but Phase measures no intensities"),
        ("fourier", {}, 1.0, "counts photons, but Fourier measures no intensities"),
    ],
)
def test_mistakes_are_named(operator, parameters, rate, words):
    with pytest.raises(ValueError, match=words):
        poisson(operator, parameters, (1, 12, 12), rate)
