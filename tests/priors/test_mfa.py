"""The mixture of factor analysers against dense Gaussians, automatic differentiation and finer integrators."""

import dataclasses
import math

import pytest
import torch
from helpers.factor_mixtures import (
    SHAPE,
    covariances,
    double,
    law,
    mixture,
    normal,
    smooth,
)

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors import _mfa_rows
from bench.priors._mfa_basis import Basis


@pytest.mark.parametrize("shape", [SHAPE, (1, 5, 5), (1, 3, 4)])
def test_the_basis_is_orthonormal_and_its_columns_are_what_coordinates_are_of(shape):
    x = smooth(200, shape)
    basis = Basis.fitted(x)
    matrix = basis.matrix()
    eye = torch.eye(len(matrix)).double()
    torch.testing.assert_close(matrix.T @ matrix, eye, atol=1e-13, rtol=0)
    torch.testing.assert_close(basis.coordinates(x), x.flatten(1) @ matrix, atol=1e-13, rtol=0)
    torch.testing.assert_close(basis.images(basis.coordinates(x)), x, atol=1e-13, rtol=0)
    values = torch.arange(2.0 * len(matrix)).double().view(2, -1)
    variances = (values @ matrix.square().T).view(2, *shape)
    torch.testing.assert_close(basis.diagonals(values), variances, atol=1e-11, rtol=0)


def test_coordinates_are_cosines_of_colours_that_are_not_correlated():
    from scipy.fft import dctn

    x = smooth(200, SHAPE)
    basis = Basis.fitted(x)
    coloured = torch.einsum("dc,nchw->ndhw", basis.colours, x)
    expected = torch.from_numpy(dctn(coloured.numpy(), axes=(2, 3), norm="ortho"))
    found = basis.coordinates(x).unflatten(1, (3, 6, 4)).mT
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)
    covariance = torch.cov(coloured.transpose(0, 1).flatten(1))
    torch.testing.assert_close(covariance, covariance.diag().diag(), atol=1e-13, rtol=0)
    assert (covariance.diag().diff() < 0).all()


# ---- density, score, denoiser


@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.3, 5.0])
def test_density_score_and_denoiser_are_those_of_the_dense_mixture(sigma):
    prior, level = mixture(), double(sigma)
    x = ((1 + sigma) * normal(6, *SHAPE, seed=9)).requires_grad_()
    expected = law(prior, sigma).log_prob(x.flatten(1))
    torch.testing.assert_close(prior.log_prob(x, level), expected, rtol=0, atol=1e-8)
    (gradient,) = torch.autograd.grad(expected.sum(), x, create_graph=True)
    torch.testing.assert_close(prior.score(x, level), gradient, rtol=0, atol=1e-8)
    denoised = x + sigma**2 * gradient
    torch.testing.assert_close(prior.denoise(x, level), denoised, rtol=0, atol=1e-8)
    own = torch.autograd.grad(prior.log_prob(x, sigma).sum(), x)[0]
    torch.testing.assert_close(prior.score(x, sigma), own, rtol=0, atol=1e-8)
    direction = normal(6, *SHAPE, seed=10)
    (second,) = torch.autograd.grad((gradient * direction).sum(), x)
    (found,) = torch.autograd.grad((prior.score(x, level) * direction).sum(), x)
    torch.testing.assert_close(found, second, rtol=0, atol=1e-8)
    _, vjp = torch.func.vjp(lambda v: prior.score(v, level), x.detach())
    torch.testing.assert_close(vjp(direction)[0], found)


def test_rows_with_noise_levels_of_their_own_are_as_each_alone():
    prior, sigma = mixture(), double([0.3, 0.0, 5.0, 0.3, 1.0, 80.0])
    x = (1 + sigma).view(-1, 1, 1, 1) * normal(6, *SHAPE, seed=9)
    alone = torch.cat([prior.score(x[i : i + 1], sigma[i]) for i in range(6)])
    torch.testing.assert_close(prior.score(x, sigma), alone, rtol=1e-12, atol=1e-12)
    both = prior.log_prob_and_score(x, sigma)
    assert torch.equal(both[1], prior.score(x, sigma))
    expected = torch.cat([prior.log_prob(x[i : i + 1], sigma[i]) for i in range(6)])
    torch.testing.assert_close(both[0], expected, rtol=1e-12, atol=1e-12)


def test_many_noise_levels_come_from_a_table_that_is_exact_to_rounding():
    prior = mixture()
    sigma = torch.logspace(math.log10(0.002), math.log10(200), 40, dtype=torch.float64)
    x = (1 + sigma).view(-1, 1, 1, 1) * normal(40, *SHAPE, seed=9)
    direction = normal(40, *SHAPE, seed=10)
    x.requires_grad_()
    found = prior.score(x, sigma)
    alone = torch.cat([prior.score(x[i : i + 1], sigma[i]) for i in range(40)])
    assert "_tabled" in vars(prior)
    torch.testing.assert_close(found, alone, rtol=1e-9, atol=1e-9)
    derivatives = [torch.autograd.grad((part * direction).sum(), x)[0] for part in (found, alone)]
    torch.testing.assert_close(*derivatives, rtol=1e-9, atol=1e-9)
    single = prior.to(torch.empty(0))
    denoised = single.denoise(x.detach().float(), sigma.float())
    assert denoised.dtype == torch.float32
    # up to sigma = 3: at 200 the state itself is rounded to 4e-5
    few = slice(25)
    expected = prior.denoise(x, sigma)
    torch.testing.assert_close(denoised.double()[few], expected[few], rtol=0, atol=1e-4)


def test_interpolation_between_nodes_is_exact_to_rounding():
    nodes, _ = _mfa_rows._nodes()
    psi, t = 1e-5, torch.linspace(nodes.min(), nodes.max(), 501, dtype=torch.float64)
    values = 1 / (psi + t.exp())
    found = _mfa_rows.interpolation(t) @ (1 / (psi + nodes.exp()))
    assert (found - values).abs().max() < 1e-12 * values.max()
    assert torch.equal(_mfa_rows.interpolation(nodes), torch.eye(len(nodes)).double())


def test_few_noise_levels_are_done_level_by_level():
    prior = mixture()
    sigma = double([0.3, 0.5]).repeat(9)
    prior.score(normal(18, *SHAPE), sigma)
    assert "_tabled" not in vars(prior)


def test_limits_of_little_and_much_noise():
    prior, x = mixture(), normal(6, *SHAPE, seed=9)
    assert torch.equal(prior.denoise(x, double(0.0)), x)
    # E[x | x_t] = mean + C x_t / sigma^2 + ..., of order 1 / sigma for x_t of order sigma
    mean = torch.einsum("k,kcij->cij", prior.weights, prior.means).expand_as(x)
    torch.testing.assert_close(prior.denoise(1e6 * x, double(1e6)), mean, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sigma", [0.02, 0.3, 2.0])
def test_single_precision_is_close(sigma):
    prior, x_t = mixture(), normal(6, *SHAPE, seed=9)
    single = prior.to(torch.empty(0)).denoise(x_t.float(), double(sigma))
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double(), prior.denoise(x_t, double(sigma)), rtol=0, atol=1e-4
    )


def test_factors_of_one_noise_level_are_kept(monkeypatch):
    prior, x, made = mixture(), normal(2, *SHAPE, seed=9), []
    from bench.priors import _mfa

    level_at = _mfa.level_at
    monkeypatch.setattr(_mfa, "level_at", lambda *given: made.append(given[0]) or level_at(*given))
    for sigma in (0.5, 0.5, 0.5, 0.25, 0.25, 0.5):
        prior.denoise(x, double(sigma))
    assert made == [0.25, 0.0625, 0.25]


# ---- draws and decoder


def test_prior_draws_have_the_moments_and_shares_of_the_mixture():
    prior, n = mixture(shape=(1, 2, 3)), 20_000
    draws = prior.sample(n // 2, Rng(("draws",), (0, 1)))
    assert draws.shape == (2, n // 2, 1, 2, 3)
    x, dense = draws.flatten(0, 1), covariances(prior)
    centred = prior.means.flatten(1) - prior.weights @ prior.means.flatten(1)
    covariance = torch.einsum(
        "k,kij->ij", prior.weights, dense + centred[:, :, None] * centred[:, None]
    )
    apart = x.flatten(1) - prior.weights @ prior.means.flatten(1)
    products = apart[:, :, None] * apart[:, None]
    # each beyond five standard errors once in two million times
    assert (apart.mean(0).abs() < 5 * apart.std(0) / n**0.5).all()
    assert ((products.mean(0) - covariance).abs() < 5 * products.std(0) / n**0.5).all()
    shares = prior.log_joint(x).softmax(1)
    assert ((shares.mean(0) - prior.weights).abs() < 5 * shares.std(0) / n**0.5).all()


def test_prior_draws_do_not_depend_on_batch_or_chunk():
    prior = mixture()
    whole = prior.sample(1, Rng(("draws",), (4, 5), range(6)).per_sample.flat).unflatten(0, (2, 6))
    part = prior.sample(1, Rng(("draws",), (5,), range(3, 5)).per_sample.flat)
    torch.testing.assert_close(part, whole[1, 3:5], rtol=0, atol=1e-13)


def test_the_decoder_of_one_gaussian_along_the_axes_is_affine_for_any_steps():
    prior = mixture(1)
    prior = dataclasses.replace(prior, factors=torch.zeros_like(prior.factors), num_ode_steps=1)
    z = normal(5, *SHAPE, seed=9)
    expected = prior.means + prior.images(prior.coordinates(z) * prior.psi.sqrt())
    torch.testing.assert_close(prior.decode(z), expected, rtol=0, atol=1e-9)


def test_decoder_is_close_to_a_fine_integrator_and_passes_gradients():
    prior, z = mixture(), normal(32, *SHAPE, seed=9)
    decoded = prior.decode(z)
    fine = dataclasses.replace(prior, num_ode_steps=100).decode(z)
    assert (decoded - fine).square().mean().sqrt() < 5e-3
    few, z = (
        dataclasses.replace(mixture(shape=(1, 1, 3)), num_ode_steps=4),
        z[:2, :1, :1, :3],
    )
    assert torch.autograd.gradcheck(few.decode, (z.requires_grad_(),), eps=1e-6, atol=1e-6)


def test_decoded_noise_has_the_moments_of_the_mixture():
    prior, n = mixture(shape=(1, 2, 2)), 4000
    x = prior.decode(normal(n, 1, 2, 2, seed=9)).flatten(1)
    draws = prior.sample(n, Rng(("draws",), (0,)))[0].flatten(1)
    for of in (lambda x: x.mean(0), lambda x: x.std(0)):
        assert (of(x) - of(draws)).abs().max() < 5 * (2 / n) ** 0.5


def test_capabilities_and_cost():
    prior = mixture()
    assert prior.caps == Cap.DENOISER | Cap.DECODER | Cap.DENSITY
    assert prior.shape == prior.latent_shape == SHAPE
    assert prior.decode_nfe == 4 * prior.num_ode_steps


# ---- the fit
