"""Formulas of diffusion and of Markov chains against their definitions, and against brute force."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from bench.numerics import mcmc, smc
from bench.numerics.diffusion import ancestral_step, ddpm_sigmas, rk4


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(dim=3):
    """Mean, covariance, and the target (log density and gradient) of a correlated Gaussian."""
    factor = torch.eye(dim, dtype=torch.float64) + 0.4 * normal(dim, dim, seed=5).tril()
    law = MultivariateNormal(torch.arange(dim, dtype=torch.float64), scale_tril=factor)

    def target(x):
        return law.log_prob(x), (law.mean - x) @ law.precision_matrix

    return law, target


# ---- diffusion


def test_ddpm_sigmas_are_those_of_the_paper():
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    abar = (1 - beta).cumprod(0)
    sigmas = ddpm_sigmas(1000)
    assert sigmas.shape == (1001,) and sigmas[0] == 0
    # a product of 1000 factors near 1 is off by up to 1000 roundings of 1e-16, and sigma_1^2 = 1e-4 magnifies 1e4 times
    torch.testing.assert_close(sigmas[1:], ((1 - abar) / abar).sqrt(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("num_steps", [21, 50, 200, 4000])
def test_ddpm_sigmas_keep_the_total_noise(num_steps):
    sigmas = ddpm_sigmas(num_steps)
    assert sigmas.shape == (num_steps + 1,) and sigmas.diff().min() > 0
    # beta adds up to 10.05 whatever N is, and beta < -log(1 - beta) < beta / (1 - beta) with beta at most 20 / N
    assert 10.05 < torch.log1p(sigmas[-1].square()) < 10.05 / (1 - 20 / num_steps)


def test_ddpm_sigmas_refuse_too_few_steps_with_a_message():
    with pytest.raises(ValueError, match="num_steps = 20: .* at least 21"):
        ddpm_sigmas(20)


@pytest.mark.parametrize("i", [1, 2, 500, 1000])
def test_ancestral_step_is_the_posterior_of_ddpm(i):
    """Equations 6 and 7 of https://arxiv.org/abs/2006.11239, in the variance-preserving x_i = sqrt(abar_i) x_t."""
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    abar = torch.cat([torch.ones(1), (1 - beta).cumprod(0)])
    b, a, a_next = beta[i - 1], abar[i], abar[i - 1]
    x_t, x_0, noise = normal(3, 5, 2)
    mean = a_next.sqrt() * b / (1 - a) * x_0 + (1 - b).sqrt() * (1 - a_next) / (1 - a) * (
        a.sqrt() * x_t
    )
    expected = (mean + ((1 - a_next) / (1 - a) * b).sqrt() * noise) / a_next.sqrt()
    sigmas = ddpm_sigmas(1000)
    step = ancestral_step(x_t, x_0, sigmas[i], sigmas[i - 1], noise)
    # 1 - abar_1 = 1e-4 has lost 4 of 16 digits in the form above
    torch.testing.assert_close(step, expected, rtol=0, atol=1e-10)


def test_ancestral_steps_carry_the_forward_process_back():
    # q(x_t | x_0) followed by q(x_next | x_t, x_0) is q(x_next | x_0): deviation sigma_next around x_0
    n, x_0, sigma, sigma_next = 200_000, 0.7, torch.tensor(3.0), torch.tensor(1.2)
    noise = normal(2, n)
    x_next = ancestral_step(
        x_0 + sigma * noise[0], torch.full_like(noise[0], x_0), sigma, sigma_next, noise[1]
    )
    assert (x_next.mean() - x_0).abs() < 5 * 1.2 / n**0.5
    assert (x_next.std() - 1.2).abs() < 5 * 1.2 / (2 * n) ** 0.5
    assert torch.equal(
        ancestral_step(noise[0], noise[1], sigma, torch.tensor(0.0), noise[0]), noise[1]
    )


def test_rk4_has_order_four_and_solves_cubics_exactly():
    def error(num_steps):
        grid = torch.linspace(0, 2, num_steps + 1, dtype=torch.float64) ** 1.5
        end = rk4(lambda x, t: x * torch.cos(t), torch.ones(1, dtype=torch.float64), grid)
        return (end - grid[-1].sin().exp()).abs().item()

    # the next term of the error is smaller by the step, so the orders seen are 4 + O(1 / num_steps)
    orders = [math.log2(error(n) / error(2 * n)) for n in (40, 80)]
    assert orders == pytest.approx([4, 4], abs=0.15)
    cubic = rk4(lambda x, t: 4 * t**3, torch.zeros(1, dtype=torch.float64), double([0.0, 0.3, 2.0]))
    assert cubic.item() == pytest.approx(16, abs=1e-13)


# ---- Langevin and Metropolis


@pytest.mark.parametrize(
    "step", [double(0.3), uniform(6, 1) + 0.05], ids=["one step", "step per row"]
)
def test_mala_accepts_by_the_metropolis_ratio(step):
    law, target = gaussian()
    x, noise, eye = law.mean + normal(6, 3), normal(6, 3, seed=2), torch.eye(3, dtype=torch.float64)

    def log_proposal(new, old):
        """log density of the Langevin proposal, by its definition."""
        return MultivariateNormal(
            old + step * target(old)[1], 2 * step.expand(6, 1)[..., None] * eye
        ).log_prob(new)

    state, acceptance = mcmc.mala_step(
        mcmc.start(x, target), target, step, noise, torch.zeros(6).double()
    )
    new = state.position
    torch.testing.assert_close(new, x + step * target(x)[1] + (2 * step).sqrt() * noise)
    ratio = law.log_prob(new) + log_proposal(x, new) - law.log_prob(x) - log_proposal(new, x)
    assert (ratio < 0).any() and (ratio > 0).any()
    # terms of at most 1e2 in float64
    torch.testing.assert_close(acceptance, ratio.exp().clamp_max(1), rtol=0, atol=1e-12)


def test_mala_stays_where_it_refuses_and_caches_where_it_accepts():
    _, target = gaussian()
    x, step = normal(500, 3), double(1.0)
    state, acceptance = mcmc.mala_step(
        mcmc.start(x, target), target, step, normal(500, 3, seed=2), u := uniform(500)
    )
    accepted = u < acceptance
    assert 0 < accepted.sum() < 500
    assert torch.equal(state.position[~accepted], x[~accepted])
    assert state.position[accepted].ne(x[accepted]).all()
    for cached, fresh in zip(state, mcmc.start(state.position, target), strict=True):
        torch.testing.assert_close(cached, fresh)


def test_mala_leaves_a_gaussian_invariant():
    law, target = gaussian()
    n = 20_000
    state, step = mcmc.start(law.mean + normal(n, 3) @ law.scale_tril.T, target), double(0.5)
    rates = []
    for i in range(20):
        state, acceptance = mcmc.mala_step(
            state, target, step, normal(n, 3, seed=10 + i), uniform(n, seed=100 + i)
        )
        rates.append(acceptance.mean().item())
    assert min(rates) > 0.3 and max(rates) < 0.95  # so that the correction has something to do
    white = torch.linalg.solve_triangular(
        law.scale_tril, (state.position - law.mean).T, upper=False
    ).T
    # chains are independent: a mean has error 1 / sqrt(n), a variance sqrt(2 / n), a covariance 1 / sqrt(n)
    assert white.mean(0).abs().max() < 5 / n**0.5
    assert (white.T.cov() - torch.eye(3)).abs().max() < 5 * (2 / n) ** 0.5


def test_unadjusted_langevin_has_its_known_bias_and_mala_has_none():
    # x' = (1 - h) x + sqrt(2 h) noise on N(0, 1) has stationary variance 1 / (1 - h / 2)
    def target(x):
        return -x.square().sum(1) / 2, -x

    n, h = 20_000, double(0.5)
    unadjusted = adjusted = mcmc.start(normal(n, 1), target)
    for i in range(15):
        noise = normal(n, 1, seed=10 + i)
        unadjusted = mcmc.langevin_step(unadjusted, target, h, noise)
        adjusted, _ = mcmc.mala_step(adjusted, target, h, noise, uniform(n, seed=100 + i))
    tolerance = 5 * (2 / n) ** 0.5
    # 0.5^15 of the start is left
    assert unadjusted.position.var() == pytest.approx(4 / 3, abs=4 / 3 * tolerance)
    assert adjusted.position.var() == pytest.approx(1, abs=tolerance)


def test_mala_refuses_states_that_are_not_finite():
    def target(x):  # no density beyond 1, no number beyond 2
        log_density = torch.where(x[:, 0] > 1, -math.inf, 0.0).where(x[:, 0] < 2, math.nan)
        return log_density, torch.zeros_like(x)

    x, step = torch.zeros(3, 1).double(), double(0.5)
    noise = double([[0.5], [1.5], [3.0]])
    state, acceptance = mcmc.mala_step(
        mcmc.start(x, target), target, step, noise, torch.zeros(3).double()
    )
    assert acceptance.tolist() == [1, 0, 0]
    assert state.position.flatten().tolist() == [0.5, 0, 0]
    assert state.log_density.isfinite().all()


def test_tamed_langevin_is_langevin_where_the_drift_is_short_and_bounded_elsewhere():
    _, target = gaussian()
    noise, step = normal(4, 3, seed=2), double([[0.01], [0.1], [0.01], [0.1]])
    state = mcmc.start(normal(4, 3), target)
    plain = mcmc.langevin_step(state, target, step, noise)
    torch.testing.assert_close(
        mcmc.tamed_langevin_step(state, target, step, noise).position, plain.position
    )
    steep = state._replace(gradient=1e6 * state.gradient)
    drift = (
        mcmc.tamed_langevin_step(steep, target, step, noise).position
        - state.position
        - (2 * step).sqrt() * noise
    )
    # twice the root mean square length sqrt(2 step D) of the noise, along the gradient
    torch.testing.assert_close(drift.norm(dim=1), 2 * (2 * step[:, 0] * 3).sqrt())
    torch.testing.assert_close(
        torch.cosine_similarity(drift, state.gradient), torch.ones(4).double()
    )
    flat = state._replace(gradient=torch.zeros(4, 3).double())
    assert mcmc.tamed_langevin_step(flat, target, step, noise).position.isfinite().all()


def test_adapted_step_rests_at_the_optimal_acceptance():
    step = torch.tensor([0.1, 0.1, 0.1])
    low, same, high = mcmc.adapted_step(
        step, torch.tensor([0.2, mcmc.MALA_ACCEPTANCE, 0.9]), rate=1.0
    )
    assert low < 0.1 and same == pytest.approx(0.1) and high > 0.1


# ---- sequential Monte Carlo


def effective_share(log_weight):
    weight = log_weight.softmax(1)
    return 1 / weight.square().sum(1) / weight.shape[1]


def test_next_temperature_keeps_the_share_of_effective_particles():
    log_likelihood = double([[100.0], [1000.0], [1e7]]) * normal(3, 500)
    beta = double([0.0, 0.3, 0.0])
    found = smc.next_temperature(log_likelihood, beta, 0.6)
    assert ((found > beta) & (found < 1)).all()
    share = effective_share((found - beta)[:, None] * log_likelihood)
    # 50 bisections leave beta' - beta an error of 1e-15 at most, times the largest log likelihood (about 3e7)
    torch.testing.assert_close(share, double([0.6] * 3), rtol=0, atol=1e-6)


def test_next_temperature_is_one_where_it_can_be():
    log_likelihood = torch.stack([0.01 * normal(500), torch.zeros(500), 100 * normal(500)])
    beta = double([0.0, 0.2, 1 - 1e-4])
    assert smc.next_temperature(log_likelihood, beta, 0.6).tolist() == [1, 1, 1]
    assert smc.next_temperature(100 * normal(1, 500), beta[:1], 0.6) < 1


def test_systematic_resampling_is_unbiased_with_least_scatter():
    n, num_offsets = 50, 2000
    weights = normal(2, n).mul(2).softmax(1)
    offsets = (torch.arange(num_offsets).double() + 0.5) / num_offsets
    counts = torch.zeros(2, n).double()
    for offset in offsets:
        index = smc.systematic_resample(weights, offset.repeat(2))
        assert index.shape == (2, n)
        count = torch.stack([row.bincount(minlength=n) for row in index])
        assert (count >= (n * weights - 1e-9).floor()).all() and (
            count <= (n * weights + 1e-9).ceil()
        ).all()
        counts += count
    # the mean over all offsets by the midpoint rule: each count jumps twice as the offset runs from 0 to 1
    torch.testing.assert_close(counts / num_offsets, n * weights, rtol=0, atol=1 / num_offsets)
    certain = smc.systematic_resample(torch.eye(3).double(), uniform(3))
    assert certain.tolist() == [[i] * 3 for i in range(3)]
