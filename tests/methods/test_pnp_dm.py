"""PnP-DM at a fixed rho against the posterior of the wider noise: on a Gaussian exactly, on a mixture by draws."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.gaussian_bed import (
    SHAPE,
    GaussianBed,
    isotropic,
    law_of,
    metered,
    relative_errors,
)

from bench.core.rng import Rng
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import posterior_of
from methods.pnp_dm import PnPDM

TAU, MANY = 0.5, 10**9


def fixed(rho: float, **settings) -> PnPDM:
    """Return chains at one rho, of one sample each."""
    return PnPDM(num_chains=MANY, rho_max=rho, rho_min=rho, **{"thin": 1} | settings)


@pytest.mark.parametrize("operator", ["inpaint-box", "blur"])
def test_at_a_fixed_rho_the_noise_of_the_measurement_is_wider(operator):
    bed, rho = GaussianBed(isotropic(TAU), operator), 1.0
    truth = bed.posterior(extra=rho**2)
    # an iteration keeps 1 / (1 + (rho / tau)^2) = 0.2 of x at most: 3e-6 after eight
    errors = [
        relative_errors(law_of(fixed(rho, num_warmup=7, num_steps=n), bed), truth) for n in (8, 16)
    ]
    # reverse diffusion is of first order in its steps: its error is halved, up to terms of second order
    assert errors[1][0] < 0.62 * errors[0][0] + 1e-3 and errors[1][1] < 0.62 * errors[0][1]
    assert max(errors[1]) < 0.25
    # which is not the posterior of the measurement's own noise
    assert relative_errors(truth, bed.posterior())[1] > 0.5


def mixture() -> GMM:
    """Three Gaussians on 4 x 4 images that overlap, so that chains move between them."""
    rng = Rng(("test", "mixture"), range(3))
    factor = rng.randn((16, 16)) / 4
    eye = torch.eye(16, dtype=torch.float64)
    covariances = 0.05 * factor @ factor.mT + 0.01 * eye
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    return GMM(weights, 0.2 * rng.randn(SHAPE), covariances)


def test_on_a_mixture_the_samples_follow_the_posterior_of_the_wider_noise():
    prior, sigma_y, rho, n = mixture(), 0.2, 0.4, 800
    problem = make_problem("denoise", {}, sigma_y, SHAPE)
    wider = make_problem("denoise", {}, math.hypot(sigma_y, rho), SHAPE)
    rng = Rng(("test", "pnp_dm"), range(1), range(n))
    y = problem.simulate(prior.sample(1, rng)[:, 0], rng)
    x = fixed(rho, num_warmup=8, num_steps=50).sample(prior, problem, y, n, rng=rng)[0]
    exact, narrow = (
        posterior_of(prior, given).sample(y, 8 * n, Rng(("test", "exact"), range(1), range(8 * n)))[
            0
        ]
        for given in (wider, problem)
    )
    # a mean of n draws errs by its deviation over root n, one of 8 n draws less; four of these errors in 19 numbers
    error = 4 * (1 / n + 1 / (8 * n)) ** 0.5
    assert ((x.mean(0) - exact.mean(0)).abs() < error * exact.std(0)).all()
    shares, exact_shares = (prior.log_joint(part).softmax(1) for part in (x, exact))
    assert ((shares.mean(0) - exact_shares.mean(0)).abs() < error * exact_shares.std(0)).all()
    # 50 steps of reverse diffusion lose up to 6 per cent of the variance; its sum over 16 pixels errs as six normals do
    total = exact.var(0).sum()
    assert float(x.var(0).sum() / total) == pytest.approx(1, abs=0.06 + error * (2 / 6) ** 0.5)
    assert float(narrow.var(0).sum() / total) < 0.75


def test_langevin_draws_of_z_tend_to_the_exact_ones():
    bed = GaussianBed(isotropic(TAU), "denoise", sigma_y=0.5)
    settings = {"num_warmup": 0, "num_steps": 4, "sigma_min": 0.1}
    exact = law_of(fixed(0.5, **settings), bed)
    langevin = fixed(0.5, inner="langevin", num_langevin=80, step=0.01, **settings)
    # z has precision 8: the chain forgets 1 - 0.08 a step, 1e-3 after 80, and is too wide by 1 / (1 - 0.04)
    mean, covariance = relative_errors(law_of(langevin, bed), exact)
    assert mean < 0.01 and covariance < 0.06


def test_rho_falls_to_its_least_value_and_stays_there():
    bed = GaussianBed(isotropic(TAU), "denoise")
    grids = PnPDM(num_warmup=4, rho_max=1.6, rho_min=0.1, num_steps=3)._grids(bed.prior, bed.y)
    expected = torch.tensor([1.6, 0.8, 0.4, 0.2, 0.1], dtype=torch.float64)
    torch.testing.assert_close(grids[:, 0], expected)
    assert (grids[:, -1] == 0).all() and (grids.diff(dim=1) < 0).all()


@pytest.mark.parametrize("settings", [{}, {"num_chains": 5}, {"inner": "langevin"}])
def test_rows_are_counted_and_none_goes_back(settings):
    method = PnPDM(
        **{"num_chains": 2, "num_warmup": 3, "num_steps": 2, "num_langevin": 2} | settings
    )
    bed = GaussianBed(isotropic(TAU), "blur")
    assert metered(method, bed, 5) == method.nfe(bed.prior, 5)[:2]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"thin": 0}, "thin = 0"),
        ({"num_warmup": -1}, "num_warmup = -1"),
        ({"rho_min": 0.0}, "rho_min = 0.0"),
        ({"rho_max": 0.01}, "rho_max = 0.01"),
        ({"inner": "hmc"}, "inner = 'hmc'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        PnPDM(**settings)
