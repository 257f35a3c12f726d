"""The denoiser of a finite set of images against brute force, limits and a mixture of tiny Gaussians."""

import math

import pytest
import torch

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors.atoms import Atoms, AtomsFamily
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import posterior_of


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SHAPE = (1, 2, 3)
PRIOR = Atoms(normal(40, *SHAPE))


def posterior_weights(x_t, sigma):
    """p(a_i | x_t) of one row by Bayes' rule, atom by atom."""
    distances = [(x_t - atom).square().sum().item() for atom in PRIOR.atoms]
    likelihoods = [math.exp((min(distances) - d) / (2 * sigma**2)) for d in distances]
    return [likelihood / sum(likelihoods) for likelihood in likelihoods]


@pytest.mark.parametrize("sigma", [0.05, 0.5, 3.0])
def test_denoiser_agrees_with_brute_force(sigma):
    x_t = (1 + sigma) * normal(5, *SHAPE, seed=1)
    expected = [
        sum(w * a for w, a in zip(posterior_weights(x, sigma), PRIOR.atoms, strict=True))
        for x in x_t
    ]
    # logits up to 1e2 / (2 sigma^2) = 2e4 in float64: weights are rounded to 1e-11
    torch.testing.assert_close(
        PRIOR.denoise(x_t, double(sigma)), torch.stack(expected), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_denoiser_is_that_of_a_mixture_of_tiny_gaussians(sigma):
    # variance v at each atom moves the denoiser by O(v |x_t - x| / sigma^2), here at most 1e-12 * 10 / 0.01, and
    # reweights the components by the same order
    tiny = 1e-12 * torch.eye(6, dtype=torch.float64).expand(40, 6, 6)
    mixture = GMM(torch.full((40,), 1 / 40, dtype=torch.float64), PRIOR.atoms, tiny)
    x_t, level = normal(5, *SHAPE, seed=1), double(sigma)
    torch.testing.assert_close(
        PRIOR.denoise(x_t, level), mixture.denoise(x_t, level), rtol=0, atol=1e-7
    )


def test_limits_of_little_and_much_noise():
    x_t = normal(5, *SHAPE, seed=1)
    nearest = PRIOR.atoms[torch.cdist(x_t.flatten(1), PRIOR.atoms.flatten(1)).argmin(1)]
    assert torch.equal(PRIOR.denoise(x_t, double(1e-4)), nearest)
    assert torch.equal(PRIOR.denoise(PRIOR.atoms, double(1e-4)), PRIOR.atoms)
    # E[x | x_t] = mean + C x_t / sigma^2 + ..., of order 1 / sigma for x_t of order sigma
    mean = PRIOR.atoms.mean(0).expand_as(x_t)
    torch.testing.assert_close(PRIOR.denoise(1e6 * x_t, double(1e6)), mean, rtol=0, atol=1e-5)


def test_a_noise_level_per_row():
    x_t, sigma = normal(5, *SHAPE, seed=1), double([1e-3, 0.1, 1.0, 10.0, 1e4])
    rows = torch.cat([PRIOR.denoise(x_t[i : i + 1], sigma[i]) for i in range(5)])
    # logits of 1e7 at sigma = 1e-3, weights of which all but one are zero; at the others rounding is below 1e-11
    torch.testing.assert_close(PRIOR.denoise(x_t, sigma), rows, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_derivative_of_the_denoiser_is_the_covariance_over_the_variance(sigma):
    x_t = normal(1, *SHAPE, seed=1)
    jacobian = torch.autograd.functional.jacobian(lambda x: PRIOR.denoise(x, double(sigma)), x_t)
    weights = double(posterior_weights(x_t[0], sigma))
    covariance = PRIOR.atoms.flatten(1).T.cov(correction=0, aweights=weights)
    torch.testing.assert_close(jacobian.view(6, 6), covariance / sigma**2, rtol=0, atol=1e-10)


def test_draws_are_atoms_and_all_are_equally_likely():
    n = 40_000
    draws = PRIOR.sample(n // 2, Rng(("draws",), (0, 1)))
    assert draws.shape == (2, n // 2, *SHAPE)
    matches = (draws.flatten(0, 1)[:, None] == PRIOR.atoms).flatten(2).all(2)
    assert (matches.sum(1) == 1).all()
    counts = matches.sum(0)
    # 40 binomial counts of mean 1000: one beyond 5 standard errors once in 40,000 times
    assert (counts - 1000).abs().max() < 5 * (1000 * 39 / 40) ** 0.5


def test_draws_do_not_depend_on_batch_or_chunk():
    whole = PRIOR.sample(1, Rng(("draws",), (4, 5), range(6)).per_sample.flat).unflatten(0, (2, 6))
    assert torch.equal(
        PRIOR.sample(1, Rng(("draws",), (5,), range(3, 5)).per_sample.flat), whole[1, 3:5]
    )


def test_it_offers_a_denoiser_only():
    assert PRIOR.caps == Cap.DENOISER
    assert PRIOR.shape == PRIOR.latent_shape == SHAPE


@pytest.mark.parametrize(("num", "expected"), [(0, 40), (7, 7)])
def test_the_atoms_are_the_first_images_or_all_of_them(num, expected, tmp_path):
    tensors, card = AtomsFamily(num_atoms=num).fit({"train": PRIOR.atoms}, tmp_path, None)
    assert torch.equal(tensors["atoms"], PRIOR.atoms[:expected])
    assert card == {"num_atoms": expected}


def test_more_atoms_than_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="num_atoms is 41, there are 40 images"):
        AtomsFamily(num_atoms=41).fit({"train": PRIOR.atoms}, tmp_path, None)
    with pytest.raises(ValueError, match="num_atoms must be 0 or more, got -1"):
        AtomsFamily(num_atoms=-1)


def test_images_of_64_pixels_have_the_denoiser_and_the_posterior_of_bayes_rule():
    prior = Atoms(normal(30, 3, 64, 64).tanh())

    def mean(distances, sigma):
        """The mean of the atoms by their distances (atoms, rows, *y) to rows with noise sigma."""
        weights = (-distances.square().flatten(2).sum(2) / (2 * sigma**2)).softmax(0)
        return torch.einsum("ir,ichw->rchw", weights, prior.atoms)

    x_t = prior.atoms[:2] + 5 * normal(2, *prior.shape, seed=1)
    expected = mean(x_t - prior.atoms[:, None], 5.0)
    torch.testing.assert_close(prior.denoise(x_t, double(5.0)), expected, rtol=0, atol=1e-9)
    problem = make_problem("blur", {"kernel_size": 13, "std": 3.0}, 2.0, prior.shape)
    y = problem.simulate(prior.atoms[4:6], Rng(("noise",), range(2)))
    expected = mean(y - problem.operator(prior.atoms)[:, None], 2.0)
    found, _ = posterior_of(prior, problem).moments(y)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
