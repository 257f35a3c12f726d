"""The diffusion model of signals on a sphere: its start, the effect of training, and its errors in a card."""

import math
from pathlib import Path

import pytest
import torch

from bench.core.errors import UserError
from bench.core.registry import build
from bench.core.rng import Rng
from bench.datasets.sphere import Sphere
from bench.numerics.climate import covariances
from bench.priors.sphere_edm import smooth_basis

V = 42
SETTINGS = {"num_functions": 36, "width": 64, "num_layers": 2, "num_draws": 600}


@pytest.fixture(scope="module")
def climate(tmp_path_factory):
    data = Sphere("climate", V).load()
    family = build("prior", "climate", {})
    tensors, card = family.fit(data, tmp_path_factory.mktemp("climate"), None)
    return data, family.load(tensors, Path(), None), card


def fitted(climate, **settings):
    family = build("prior", "sphere_edm", SETTINGS | settings)
    with torch.no_grad():
        tensors, card = family.fit(climate[0], Path(), climate[1])
    return tensors, family.load(tensors, Path(), climate[1]), card


@pytest.fixture(scope="module")
def untrained(climate):
    return fitted(climate, num_iterations=1, learning_rate=1e-9)


def test_fields_of_the_data_set_are_as_likely_as_draws_of_the_closed_form(climate):
    data, prior, card = climate
    drawn = prior.log_prob(prior.sample(1000, Rng(("draws",), (0,)))[0])
    for part, log_prob in card["log_prob_nats"].items():
        standard_error = drawn.std() * math.sqrt(1 / 1000 + 1 / len(data[part]))
        assert abs(log_prob - drawn.mean()) < 4 * standard_error
    assert card["decoder"]["rms_error_against_fine_integrator"] < 0.01
    assert (prior.covariances - torch.from_numpy(covariances(V))).abs().max() == 0


def test_before_training_it_is_the_best_linear_denoiser_along_each_axis(untrained):
    tensors, prior, _ = untrained
    x, sigma = torch.randn(4, 1, V, 1, generator=torch.Generator().manual_seed(0)), 0.1
    basis, rest = tensors["basis"], tensors["rest"]
    variances = basis @ torch.diag(tensors["scales"] ** 2) @ basis.T
    variances += rest**2 * (torch.eye(V) - basis @ basis.T)
    filtered = variances @ torch.linalg.inv(variances + sigma**2 * torch.eye(V))
    expected = tensors["mean"].flatten() + (x - tensors["mean"]).flatten(1) @ filtered
    error = prior.denoise(x, torch.tensor(sigma)).flatten(1) - expected
    assert error.abs().max() < 1e-5  # float32


def test_training_on_draws_of_the_climate_brings_the_score_nearer_to_the_exact_one(
    climate, untrained
):
    trained = fitted(climate, num_iterations=250)[2]["relative_error_of_score"]
    before = untrained[2]["relative_error_of_score"]
    for sigma in ("0.1", "0.5"):
        assert trained[sigma] < 0.8 * before[sigma]
    assert trained["2"] < 0.02


def test_draws_have_the_mean_and_the_spread_of_the_signals(untrained):
    tensors, prior, card = untrained
    x = prior.sample(500, Rng(("draws",), (0,)))[0]
    assert x.std(0).mean() == pytest.approx(
        (tensors["scales"].square().sum() + 6 * tensors["rest"] ** 2).div(V).sqrt().item(), rel=0.1
    )
    assert card["rms_error_against_fine_integrator"] < 0.01
    assert card["share_of_variance_in_basis"] > 0.9


def test_the_basis_is_orthonormal_and_spans_smooth_functions():
    basis = smooth_basis(162, 25)
    assert (basis.T @ basis - torch.eye(25)).abs().max() < 1e-5
    ones = torch.ones(162)
    assert (basis @ (basis.T @ ones) - ones).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["climate", "sphere_edm"])
def test_images_are_refused_in_one_line(family, tmp_path):
    data = {part: torch.zeros(3, 1, 8, 8) for part in ("train", "validation", "test")}
    with pytest.raises(UserError, match=f"{family}: expected signals"):
        build("prior", family, {}).fit(data, tmp_path, None)
