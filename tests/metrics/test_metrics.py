"""Metrics against closed forms, their orientation, and their value for equal distributions."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
from helpers.metric_values import COLUMNS, compute, truth_of

from bench.core.metric import Truth
from bench.core.types import Cap
from bench.metrics._ranks import LEVELS, coverage, rank_interval
from bench.metrics.chains import Chains
from bench.metrics.psnr import MAX_PSNR, psnr
from bench.metrics.ssim import ssim
from bench.metrics.total import Total
from bench.numerics import distances

DOUBLE = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def choice(num_values: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(num_values, shape, generator=torch.Generator().manual_seed(seed))


def within_error(values: torch.Tensor, expected: float, widths: float = 4.0) -> bool:
    """The mean of independent values agrees with its expectation within so many standard errors."""
    return abs(values.mean() - expected) <= widths * values.std() / math.sqrt(values.numel())


def sliced(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return distances.sliced_wasserstein2(distances.projected(x), distances.projected(y))


def energy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return distances.energy_distance(x, y, distances.mean_distance_within(y))


# --- images -------------------------------------------------------------------------------------------------------


def test_psnr_is_the_closed_form_and_is_capped():
    x_true = normal(3, 1, 8, 8)
    x = x_true[:, None] + torch.tensor([0.1, 0.2], dtype=DOUBLE)[:, None, None, None]
    expected = (10 * math.log10(4 / 0.01) + 10 * math.log10(4 / 0.04)) / 2
    torch.testing.assert_close(
        psnr(x, x_true), torch.full((3,), expected, dtype=DOUBLE), rtol=1e-6, atol=0
    )
    assert (psnr(x_true[:, None], x_true) == MAX_PSNR).all()


def test_exact_samples_sit_three_decibels_below_their_mean():
    # x_true and samples iid N(0, I): squared errors of mean and sample are 1 + 1/s and 2 per pixel
    m, s = 40, 64
    x_true, x = normal(m, 1, 16, 16), normal(m, s, 1, 16, 16, seed=1)
    gap = psnr(x.mean(1, keepdim=True), x_true) - psnr(x, x_true)
    assert within_error(gap, 10 * math.log10(2 / (1 + 1 / s)), widths=4)


def test_ssim_of_constant_images_is_the_luminance_term():
    a, b, c1 = 0.25, 0.75, 0.01**2  # on [0, 1]
    x_true = torch.full((2, 1, 8, 8), 2 * b - 1, dtype=DOUBLE)
    x = torch.full((2, 3, 1, 8, 8), 2 * a - 1, dtype=DOUBLE)
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    torch.testing.assert_close(ssim(x, x_true), torch.full((2,), expected, dtype=DOUBLE))


def test_ssim_is_one_for_equal_images_and_falls_with_noise():
    x_true = normal(2, 1, 8, 8).tanh()
    noisy = [
        ssim((x_true + noise * normal(2, 1, 8, 8, seed=1))[:, None], x_true)
        for noise in (0.0, 0.1, 0.5)
    ]
    torch.testing.assert_close(noisy[0], torch.ones(2, dtype=DOUBLE))
    assert (noisy[0] > noisy[1]).all() and (noisy[1] > noisy[2]).all()


# --- distances ----------------------------------------------------------------------------------------------------


def test_sliced_wasserstein_of_a_shift_and_of_a_scale():
    x, shift = normal(3, 50, 6), normal(6, seed=1)
    directions = distances.directions(6)
    # every quantile moves by the projected shift
    expected = (shift @ directions).square().mean().sqrt()
    torch.testing.assert_close(sliced(x, x + shift), expected.expand(3))
    expected = 0.3 * (x @ directions).square().mean((1, 2)).sqrt()  # quantiles q and 1.3 q
    torch.testing.assert_close(sliced(x, 1.3 * x), expected)


def test_sliced_wasserstein_between_gaussians():
    # W2 along a line of N(0, 1) and N(d, s^2) is sqrt(d^2 + (1 - s)^2); 4e4 points leave an error of about 1e-2
    x, y = (
        normal(1, 40_000, 2),
        1.5 * normal(1, 30_000, 2, seed=1) + torch.tensor([1.0, 0.0], dtype=DOUBLE),
    )
    expected = (distances.directions(2)[0].square().mean() + 0.25).sqrt()
    torch.testing.assert_close(sliced(x, y)[0], expected, rtol=0.02, atol=0)


@pytest.mark.parametrize(("n", "e"), [(6, 6), (4, 6), (5, 7), (1, 3), (64, 50)])
def test_wasserstein_of_unequal_sizes_equals_that_of_repeated_points(n, e):
    x, y = normal(3, n).sort(-1).values, normal(3, e, seed=1).sort(-1).values
    repeated = x.repeat_interleave(math.lcm(n, e) // n, -1) - y.repeat_interleave(
        math.lcm(n, e) // e, -1
    )
    torch.testing.assert_close(distances.wasserstein2_squared(x, y), repeated.square().mean(-1))
    assert distances.wasserstein2_squared(x, x.repeat_interleave(3, -1)).tolist() == [0, 0, 0]


def test_energy_distance_of_two_point_masses():
    x, y = torch.zeros(2, 5, 4, dtype=DOUBLE), torch.full((2, 7, 4), 1.5, dtype=DOUBLE)
    # |x - y| = 1.5 sqrt(4)
    torch.testing.assert_close(energy(x, y), torch.full((2,), 2 * 3.0, dtype=DOUBLE))


def test_energy_distance_of_shifted_gaussians_is_unbiased():
    # 2 E|N(d, 2)| - 2 E|N(0, 2)|, folded normal with variance 2
    d = 0.7
    folded = 2 / math.sqrt(math.pi) * math.exp(-d * d / 4) + d * math.erf(d / 2)
    x, y = normal(4000, 8, 1), normal(4000, 12, 1, seed=1)
    assert within_error(energy(x, d + y), 2 * folded - 4 / math.sqrt(math.pi))
    assert within_error(energy(x, y), 0)


@pytest.mark.parametrize("s", [3, 8, 32])
def test_accuracy_for_equal_distributions_is_one_half(s):
    assert within_error(
        distances.two_sample_accuracy(normal(1000, s, 5), normal(1000, s, 5, seed=1)), 0.5
    )
    for num_atoms in (1, 3, 20):  # posteriors over few images repeat them
        atoms = normal(num_atoms, 5)
        x, y = atoms[choice(num_atoms, 1000, s)], atoms[choice(num_atoms, 1000, s, seed=1)]
        assert within_error(distances.two_sample_accuracy(x, y), 0.5)


def test_accuracy_of_separate_distributions_is_one_and_of_rounding_noise_one_half():
    x, y = normal(5, 16, 64), normal(5, 16, 64, seed=1)
    assert (distances.two_sample_accuracy(x, 100 + y) == 1).all()
    # collapsed, where nearest neighbours see nothing
    assert (distances.two_sample_accuracy(0.01 * x, y) == 1).all()
    assert (distances.two_sample_accuracy(0 * x, 0 * x + 1e-6) == 0.5).all()


def test_accuracy_is_that_of_two_far_modes():
    # samples have one of two far modes: right for all samples and for the half of the draws in the other mode
    x, y = (
        0.1 * normal(50, 64, 8),
        0.1 * normal(50, 64, 8, seed=1) + 10.0 * choice(2, 50, 64, 1, seed=2),
    )
    # the share of the draws in the other mode is binomial: standard error 0.25 / sqrt(50 * 64) = 0.0044 in the accuracy
    assert distances.two_sample_accuracy(x, y).mean() == pytest.approx(0.75, abs=0.018)


# --- calibration --------------------------------------------------------------------------------------------------


def test_interval_between_order_statistics():
    # nine samples 1..9: the central 80 % goes from the first to the last, 60 % from the second to the eighth
    samples = torch.arange(1.0, 10, dtype=DOUBLE)[None, :, None]
    values = torch.tensor([0.5, 1.5, 2.5, 5.5, 8.5, 9.5], dtype=DOUBLE)
    for level, inside in [(0.8, [0, 1, 1, 1, 1, 0]), (0.6, [0, 0, 1, 1, 0, 0])]:
        actual = [
            coverage(*rank_interval(samples, v.reshape(1, 1, 1)), level).item() for v in values
        ]
        assert actual == pytest.approx(inside)


@pytest.mark.parametrize("num_values", [1, 2, 3, 50, None])
@pytest.mark.parametrize("s", [3, 16])
def test_coverage_for_equal_distributions_is_the_level(num_values, s):
    draw = (
        normal
        if num_values is None
        else lambda *shape, seed=0: choice(num_values, *shape, seed=seed).double()
    )
    ranks = rank_interval(draw(2000, s, 4), draw(2000, 5, 4, seed=1))
    for level in LEVELS:
        assert within_error(coverage(*ranks, level), level) or num_values == 1
        assert num_values != 1 or coverage(*ranks, level).tolist() == pytest.approx([level] * 2000)


def test_rounding_noise_does_not_uncover_constant_pixels():
    samples, values = (
        torch.full((1, 9, 2), -1 + 1e-6, dtype=DOUBLE),
        torch.full((1, 4, 2), -1.0, dtype=DOUBLE),
    )
    assert coverage(*rank_interval(samples, values), 0.9).item() == pytest.approx(0.9)


# --- all together -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Identity:
    """y = x + sigma_y n."""

    caps: Cap = Cap.RESIDUAL
    sigma_y: float = 0.5

    def log_likelihood(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (y - x).square().flatten(1).sum(1) / (-2 * self.sigma_y**2)

    def residual(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y - x

    def num_measured_values(self, y: torch.Tensor) -> torch.Tensor:
        return torch.full((len(y),), y[0].numel(), dtype=y.dtype)


@dataclasses.dataclass(frozen=True)
class RewardOfIdentity(Identity):
    """The same likelihood as a reward, with the pixels as features."""

    caps: Cap = Cap.NONE

    def log_reward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.log_likelihood(x, y)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)

    def real_features(self, y: torch.Tensor) -> SimpleNamespace:
        mean, covariance = (
            y.flatten(1),
            torch.eye(y[0].numel(), dtype=y.dtype).expand(len(y), -1, -1),
        )
        return SimpleNamespace(mean=mean, covariance=covariance, floor=mean[:, 0])


M, S, SHAPE = 48, 32, (1, 6, 6)


def draws(num_samples: int, seed: int, spread: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    """The posterior of x ~ N(0, I), y = 0, sigma_y = 0.5 is N(0, 0.2 I)."""
    return shift + spread * math.sqrt(0.2) * normal(M, num_samples, *SHAPE, seed=seed)


@pytest.fixture(scope="module")
def truth() -> Truth:
    zero = torch.zeros(M, *SHAPE, dtype=DOUBLE)
    return truth_of(
        Identity(), draws(1, 1)[:, 0], zero, draws(128, 2), zero, math.sqrt(0.2) + zero, S
    )


def test_every_definition_is_computed_in_that_order(truth):
    x = draws(S, 3)
    computed = compute(x, dataclasses.replace(truth, teacher=truth), num_chains=4)
    elsewhere = {
        c.id
        for c in COLUMNS
        if c.needs in ("score", "reward") or "_null" in c.id or "_range" in c.id
    }
    measured = [id for id in computed if id in {c.id for c in COLUMNS}]
    assert measured == [c.id for c in COLUMNS if c.id not in elsewhere]
    assert all(values.shape == (M,) and values.dtype == DOUBLE for values in computed.values())


def test_a_reward_has_no_data_misfit(truth):
    reward = dataclasses.replace(truth, problem=Identity(caps=Cap.NONE))
    computed = set(compute(draws(S, 3), dataclasses.replace(truth, teacher=truth)))
    reward = dataclasses.replace(reward, problem=RewardOfIdentity())
    missing = computed - set(compute(draws(S, 3), dataclasses.replace(reward, teacher=truth)))
    of_images = {"psnr_mean", "psnr_sample", "ssim-g0.5_mean", "ssim-g0.5_sample"}
    of_ranks = {id for id in computed if id.startswith(("tarp_x_true@", "sbc-misfit_x_true@"))}
    assert missing == {"chi2_sample", "ppc-chi2", "ppc-max"} | of_images | of_ranks


def test_totals_are_the_distances_to_the_teachers_draws(truth):
    x, zero = draws(S, 3), torch.zeros(M, *SHAPE, dtype=DOUBLE)
    biased = dataclasses.replace(truth, reference=truth.reference + 0.5, mean=zero + 0.5, cache={})
    own, of_teacher = compute(x, truth), compute(x, biased)
    total = Total().compute(x, dataclasses.replace(truth, teacher=biased))
    for name, values in total.items():
        torch.testing.assert_close(values, of_teacher[name.removesuffix("_total")], rtol=0, atol=0)
        is_worse = values > own[name.removesuffix("_total")]
        assert (~is_worse if name.startswith("worth") else is_worse).all()


def test_a_perfect_sampler_hits_every_target(truth):
    actual = compute(draws(S, 3), truth)
    for metric in COLUMNS:
        # y = 0 is no draw from the joint law
        of_noise = metric.id in ("chi2_sample", "ppc-chi2", "ppc-max")
        if (
            isinstance(metric.better, float)
            and metric.id in actual
            and not of_noise
            and metric.id != "std_ratio"
        ):
            assert within_error(actual[metric.id], metric.better), metric.id
    assert within_error(actual["energy"], 0)
    assert within_error(actual["chi2_sample"], 0.2 / 0.25)  # |y - x|^2 of posterior draws at y = 0
    assert within_error(actual["diversity"], 2 * 0.2)
    # relative error 1 / sqrt(2 * 48 * 32 * 36) = 0.003
    assert actual["std_ratio"].mean() == pytest.approx(1, abs=0.01)
    # sum of 48 * 36 squares: relative error 1 / sqrt(2 * 48 * 36) = 0.017, Jensen's gap 1 / (4 * 36) = 0.007
    assert actual["mean_error"].mean() == pytest.approx(math.sqrt(0.2 / S), rel=0.07)


def test_moments_in_closed_form(truth):
    actual = compute(draws(S, 3), truth)
    doubled = compute(2 * draws(S, 3) + 0.3, truth)
    torch.testing.assert_close(doubled["diversity"], 4 * actual["diversity"])
    torch.testing.assert_close(doubled["std_ratio"], 2 * actual["std_ratio"])
    torch.testing.assert_close(actual["diversity_ratio"], actual["std_ratio"].square())
    x = draws(S, 3).flatten(2)
    pairs = distances.distances(x, x).square().sum((1, 2)) / (S * (S - 1) * x.shape[2])
    torch.testing.assert_close(actual["diversity"], pairs)
    constant = compute(torch.full((M, S, *SHAPE), 0.3, dtype=DOUBLE), truth)
    torch.testing.assert_close(constant["mean_error"], torch.full((M,), 0.3, dtype=DOUBLE))
    torch.testing.assert_close(
        constant["std_error"], torch.full((M,), math.sqrt(0.2), dtype=DOUBLE)
    )


def test_columns_move_the_right_way(truth):
    perfect, collapsed, wide, shifted = (
        {
            name: values.mean().item()
            for name, values in compute(draws(S, 3, *change), truth).items()
        }
        for change in [(), (0.1,), (1.3,), (1.0, 0.3)]
    )
    for flawed in (collapsed, wide, shifted):
        assert all(flawed[name] > perfect[name] for name in ("sw2-128", "energy"))
    assert collapsed["coverage_exact@0.9"] < 0.3 < 0.9 < wide["coverage_exact@0.9"]
    assert collapsed["coverage_x_true@0.9"] < 0.4 and shifted["coverage_exact@0.5"] < 0.5
    assert collapsed["std_ratio"] == pytest.approx(0.1, abs=0.01) and wide[
        "std_ratio"
    ] == pytest.approx(1.3, abs=0.03)
    assert (
        collapsed["diversity_ratio"] < 0.02
        and wide["diversity"] > perfect["diversity"] > collapsed["diversity"]
    )
    assert (
        shifted["mean_error"] > 0.3
        and collapsed["std_error"] > wide["std_error"] > perfect["std_error"]
    )
    # why PSNR alone misleads
    assert collapsed["psnr_sample"] > perfect["psnr_sample"] > wide["psnr_sample"]
    assert wide["chi2_sample"] > perfect["chi2_sample"] > collapsed["chi2_sample"]
    assert (
        collapsed["c2st-energy"] > 0.99
        and wide["c2st-energy"] > 0.53
        and shifted["c2st-energy"] > 0.6
    )


def test_order_of_samples_does_not_matter(truth):
    x = draws(S, 3)
    there, back = compute(x, truth), compute(x.flip(1), truth)
    for name in there:
        torch.testing.assert_close(there[name], back[name], rtol=0, atol=1e-9)


def chain_values(samples: torch.Tensor, truth: Truth, num_chains: int) -> dict[str, torch.Tensor]:
    return Chains().compute(samples, dataclasses.replace(truth, num_chains=num_chains))


def test_chains_are_read_state_by_state(truth):
    num_chains, num_states = 4, 200
    # each chain sits at its own level
    levels = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=DOUBLE).repeat(num_states)
    samples = draws(num_chains * num_states + 3, 4)  # three states too many
    samples[:, :-3] += levels[None, :, None, None, None]
    apart = chain_values(samples, truth, num_chains)
    mixed = chain_values(draws(num_chains * num_states, 4), truth, num_chains)
    assert (apart["rhat"] > 1.5).all() and (mixed["rhat"] < 1.05).all()
    assert (apart["ess_bulk"] < 20).all()
    # the smallest of four estimates, each of which scatters by about 10 %
    assert mixed["ess_bulk"].mean() == pytest.approx(num_chains * num_states, rel=0.25)


def test_chains_that_do_not_move_have_no_finite_diagnostics(truth):
    actual = chain_values(torch.zeros(M, 16, *SHAPE, dtype=DOUBLE), truth, 2)
    assert not actual["rhat"].isfinite().any() and not actual["ess_bulk"].isfinite().any()


def test_chains_that_copy_each_other_have_no_effective_sample_size(truth):
    """R-hat of copies is that of one chain, and sums over them would count each state several times."""
    num_chains, num_states = 4, 200
    one = draws(num_states, 4)
    copies = one.repeat_interleave(num_chains, 1)  # sample t C + c is state t of chain c
    values = chain_values(copies, truth, num_chains)
    assert (values["rhat"] < 1.05).all() and (values["ess_bulk"] < 0).all()
    context = SimpleNamespace(num_samples=copies.shape[1])
    reasons = Chains().why_empty_of_run(values, num_chains, context)
    assert reasons == dict.fromkeys(
        ("ess_bulk", "ess_tail"), "n/a (chains are copies of each other)"
    )
