"""Mixtures of factor analysers are fitted by EM, and their card and file say what they are."""

import dataclasses
import json
import math
import warnings

import pytest
import torch
from helpers.factor_mixtures import (
    SETTINGS,
    SHAPE,
    double,
    law,
    mixture,
    normal,
    smooth,
)
from torch.distributions import (
    Categorical,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
)

from bench.core.rng import Rng
from bench.priors._card import bits_per_dimension
from bench.priors._mfa_fit import fit_mfa, shrunk
from bench.priors.mfa import MFAFamily


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
    assert "reason" in card["learned_model"]  # that is recorded for crops of photographs
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
