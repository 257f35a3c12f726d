"""The mixture of factor analysers against dense Gaussians, automatic differentiation and finer integrators."""

import dataclasses
import json
import math
import warnings

import pytest
import torch
from torch.distributions import (
    Categorical,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
)

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors import _mfa_rows
from bench.priors._card import bits_per_dimension
from bench.priors._mfa import MFA
from bench.priors._mfa_basis import Basis
from bench.priors._mfa_fit import Settings, fit_mfa, shrunk
from bench.priors.mfa import MFAFamily

SHAPE = (3, 4, 6)
SETTINGS = Settings(
    num_components=3, rank=4, num_rounds=4, num_updates=2, shrinkage=5.0, floor=1e-4
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(num, shape, seed=0):
    """Images whose neighbouring pixels are alike."""
    noise = normal(num, *shape, seed=seed)
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1, count_include_pad=False)


def mixture(num_components=4, shape=SHAPE, rank=3, seed=0):
    """Means and factors of about half a unit, noise between 0.05 and 0.4."""
    size = math.prod(shape)
    basis = Basis.fitted(smooth(200, shape, seed))
    return MFA(
        normal(num_components, seed=seed + 1).softmax(0),
        0.5 * normal(num_components, *shape, seed=seed + 2),
        0.4 * normal(num_components, size, rank, seed=seed + 3),
        0.05 + 0.1 * normal(num_components, size, seed=seed + 4).square(),
        basis,
    )


def covariances(prior):
    """Of all components, as the contract of the file says."""
    basis = prior.basis.matrix()
    return basis @ (prior.factors @ prior.factors.mT + torch.diag_embed(prior.psi)) @ basis.T


def law(prior, sigma=0.0):
    """The density of x + sigma eps according to torch."""
    noise = sigma**2 * torch.eye(prior.psi.shape[1], dtype=torch.float64)
    components = MultivariateNormal(prior.means.flatten(1), covariances(prior) + noise)
    return MixtureSameFamily(Categorical(prior.weights), components)


# ---- the basis


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


def test_fit_recovers_a_mixture_from_its_draws():
    truth = mixture(3, shape=(1, 4, 4), rank=2)
    weights, psi = double([0.2, 0.3, 0.5]), torch.full_like(truth.psi, 0.1)  # in any basis
    truth = dataclasses.replace(truth, means=4 * truth.means, weights=weights, psi=psi)
    x = truth.sample(6000, Rng(("fit",), (0,)))[0]
    settings = dataclasses.replace(SETTINGS, rank=2, num_rounds=10, shrinkage=0.0)
    fitted = fit_mfa(x, settings).to(double(0.0))
    order = torch.cdist(truth.means.flatten(1), fitted.means.flatten(1)).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    torch.testing.assert_close(fitted.weights[order], truth.weights, rtol=0, atol=0.03)
    torch.testing.assert_close(fitted.means[order], truth.means, rtol=0, atol=0.15)
    held_out = truth.sample(1000, Rng(("held out",), (0,)))[0]
    # a fit of p parameters to n images loses about p / (2 n) nats: 200 / 12000
    lost = (truth.log_prob(held_out) - fitted.log_prob(held_out)).mean().item()
    assert 0 < lost < 0.1


def test_rounds_raise_the_likelihood():
    x = mixture().sample(2000, Rng(("fit",), (0,)))[0]
    fits = [fit_mfa(x, dataclasses.replace(SETTINGS, num_rounds=n)) for n in (1, 3, 10)]
    likelihoods = [fitted.log_prob(x).mean().item() for fitted in fits]
    assert likelihoods == sorted(likelihoods)


def test_eigenvalues_of_few_images_are_shrunk_to_what_new_images_show():
    """Along the direction found in n = 200 images of 400 pixels, against the true covariance."""
    size, n, true = 400, 200, torch.tensor([20.0, 10.0, 1.0])
    scales = torch.ones(size)
    scales[:3] = true.sqrt()
    found, seen = [], []
    for seed in range(4):
        x = normal(n, size, seed=seed).float() * scales
        strength, vectors = torch.linalg.eigh(x.T @ x / n)
        strength, vectors = strength.flip(0)[:3], vectors.flip(1)[:, :3]
        found.append(shrunk(strength, size / n))
        seen.append((vectors.square() * scales[:, None].square()).sum(0) - 1)
    found, seen = torch.stack(found).mean(0), torch.stack(seen).mean(0)
    # fluctuations of eigenvalues: l sqrt(2 / n) / sqrt(4 seeds)
    torch.testing.assert_close(found[:2], seen[:2], rtol=0.15, atol=0)
    assert found[2] == 0  # noise alone


# ---- the family and its file


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mfa")
    x = mixture(shape=(1, 8, 8)).sample(500, Rng(("images",), (0,)))[0].float()
    data = {"train": x[:300], "validation": x[300:400], "test": x[400:]}
    family = MFAFamily(num_components=3, rank=4, num_rounds=2)
    return family, *family.fit(data, folder, None), folder


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"num_components": 0}, "num_components must be a positive integer, got 0"),
        ({"rank": 0}, "rank must be a positive integer, got 0"),
        ({"num_rounds": 1.5}, "num_rounds must be a positive integer, got 1.5"),
        ({"floor": 0.0}, "floor must be positive, got 0.0"),
        ({"shrinkage": -1}, "shrinkage must be a number, 0 or more, got -1"),
    ],
)
def test_impossible_parameters_are_told(fields, words):
    with pytest.raises(ValueError, match=f"^mfa: {words}$"):
        MFAFamily(**fields)


def test_more_components_than_images_are_refused(tmp_path):
    few = {"train": smooth(7, SHAPE)}
    with pytest.raises(ValueError, match="^mfa: num_components is 48, there are 7 images for tra"):
        MFAFamily().fit(few, tmp_path, None)


def test_equal_images_are_fitted_by_components_that_share_them(tmp_path):
    """Four images in all, each many times: no component has a covariance without the floor, and two have no image."""
    x = smooth(4, SHAPE).repeat(20, 1, 1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of k-means, which finds fewer clusters
        prior = fit_mfa(x.float(), dataclasses.replace(SETTINGS, num_components=6))
    law_of = law(prior)
    torch.testing.assert_close(prior.log_prob(x[:4]), law_of.log_prob(x[:4].flatten(1)))
    assert prior.sample(3, Rng(("equal",), range(2))).isfinite().all()


def test_the_file_keeps_its_contract(fitted):
    family, tensors, _, folder = fitted
    stored = {name: tensor.double() for name, tensor in tensors.items()}
    basis, factors, psi = (stored[name] for name in ("basis", "factors", "psi"))
    assert stored["weights"].shape == (3,) and stored["means"].shape == (3, 1, 8, 8)
    assert factors.shape == (3, 64, 4) and psi.shape == (3, 64) and basis.shape == (64, 64)
    covariance = basis @ (factors @ factors.mT + torch.diag_embed(psi)) @ basis.T
    components = MultivariateNormal(stored["means"].flatten(1), covariance)
    expected = MixtureSameFamily(Categorical(stored["weights"]), components)
    x = normal(5, 1, 8, 8)
    prior = family.load(stored, folder, None)
    torch.testing.assert_close(
        prior.log_prob(x), expected.log_prob(x.flatten(1)), rtol=0, atol=1e-8
    )


def test_the_card_has_bits_errors_and_a_picture(fitted):
    from PIL import Image

    _, _, card, folder = fitted
    assert set(card["bits_per_dimension"]) == {"train", "validation", "test"}
    assert card["decoder"]["rms_error_against_fine_integrator"] < 5e-3
    assert set(card["denoiser_rms_error"]) == {"0.1", "0.5", "2"}
    json.dumps(card, allow_nan=False)
    with Image.open(folder / "samples.png") as picture:
        assert picture.size == (8 * 8 * 3, 8 * 8 * 3)


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_density_and_denoiser_of_64_pixels_are_those_of_low_rank_gaussians(sigma):
    prior = mixture(2, (3, 64, 64))
    x = prior.sample(3, Rng(("large",), (0,)))[0].requires_grad_()
    noisy = LowRankMultivariateNormal(prior.centres, prior.factors, prior.psi + sigma**2)
    law = MixtureSameFamily(Categorical(prior.weights), noisy)
    # an orthonormal basis leaves densities as they are
    expected = law.log_prob(prior.coordinates(x))
    # sums of 12,288 terms of about one, rounded at 1e-16 each
    torch.testing.assert_close(prior.log_prob(x, sigma), expected, rtol=0, atol=1e-8)
    (gradient,) = torch.autograd.grad(expected.sum(), x)
    denoised = prior.denoise(x, double(sigma))
    torch.testing.assert_close(denoised, x + sigma**2 * gradient, rtol=0, atol=1e-8)


def test_bits_are_those_of_values_that_noise_spreads():
    prior = mixture(1, shape=(1, 2, 2), rank=1)
    std = 0.1
    prior = dataclasses.replace(
        prior,
        factors=torch.zeros_like(prior.factors),
        psi=torch.full_like(prior.psi, std**2),
    )
    x = prior.sample(20_000, Rng(("bits",), (0,)))[0]
    # entropy of a Gaussian, over the width 2 / 256 of a step between values
    expected = math.log2(std * math.sqrt(2 * math.pi * math.e)) + 7
    assert bits_per_dimension(prior.log_prob(x), 4) == pytest.approx(expected, abs=0.01)


def test_images_of_64_pixels_are_fitted_without_a_matrix_of_all_values(tmp_path):
    x = smooth(60, (3, 64, 64)).float()
    family = MFAFamily(num_components=2, rank=2, num_rounds=1, num_ode_steps=2)
    tensors, _ = family.fit({"train": x, "validation": x[:2], "test": x[:2]}, tmp_path, None)
    assert "basis" not in tensors and tensors["colours"].shape == (3, 3)


def test_a_prior_in_single_precision_draws_from_streams_of_double_precision(tmp_path):
    family = MFAFamily(**MFAFamily.tiny)
    data = {part: torch.rand(40, 3, 8, 8) for part in ("train", "validation", "test")}
    prior = family.load(family.fit(data, tmp_path, None)[0], tmp_path, None)
    assert prior.sample(3, Rng(("draws",), range(2))).dtype == torch.float32
