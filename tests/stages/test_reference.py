"""Two sets of reference draws are admitted if they agree with the posterior, and refused by name if not."""

import math
from dataclasses import dataclass, field, replace

import pytest
import torch

from bench.core.rng import Rng
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.measurements import Measurements
from bench.problems.posteriors import Conjugate, TemperedSMC
from bench.stages.reference import MAX_ENERGY_SHARE, MAX_SHIFT, NUM_TRIES, compare, draw, reason

NUM_DRAWS = 256
SHAPE = (1, 4, 4)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def two_sets(k, num_draws=NUM_DRAWS):
    """Independent standard normal draws of pair k, (1, e, *x) each."""
    a, b = Rng(("pair", k), "ab").randn((num_draws, *SHAPE)).split(1)
    return a, b


STANDARD = (torch.zeros(1, *SHAPE), torch.ones(1, *SHAPE))  # mean and std


def test_independent_draws_are_one_standard_error_apart():
    checks = [compare(*two_sets(k), STANDARD) for k in range(40)]
    assert [reason(compare(*two_sets(k), None), NUM_DRAWS) for k in range(40)] == [""] * 40
    # 16 shift^2 is chi-square with 16 degrees of freedom, so shift^2 has mean 1 and variance 2 / 16
    squares = torch.tensor([check["shift"] ** 2 for check in checks])
    assert squares.mean() == pytest.approx(1, abs=5 * (2 / 16 / 40) ** 0.5)
    # the larger of two of these has mean 1 + sqrt(2 / 16) / sqrt(pi)
    squares = torch.tensor([check["shift_from_formula"] ** 2 for check in checks])
    assert squares.mean() == pytest.approx(
        1 + (2 / 16 / math.pi) ** 0.5, abs=5 * (2 / 16 / 40) ** 0.5
    )
    # the share is (1 / e) sum_j p_j (Z_j^2 - 1) with sum_j p_j = 1: unbiased, deviation at most sqrt(2) / e
    shares = torch.tensor([check["energy_share"] for check in checks])
    assert shares.mean().abs() < 5 * 2**0.5 / NUM_DRAWS / 40**0.5


def test_a_shift_by_half_a_deviation_is_named():
    a, b = two_sets(0)
    check = compare(a, b + 0.5, None)
    # half a deviation is 0.5 sqrt(e / 2) standard errors of a difference
    assert check["shift"] == pytest.approx(0.5 * (NUM_DRAWS / 2) ** 0.5, abs=1)
    text = reason(check, NUM_DRAWS)
    assert text.startswith("two sets of draws differ: energy_share ")
    assert text.endswith(f", shift {check['shift']:.3g} above {MAX_SHIFT:.3g}")


def test_two_sets_that_agree_on_a_wrong_mean_are_far_from_the_formula():
    a, b = two_sets(0)
    check = compare(a + 0.5, b + 0.5, STANDARD)
    assert check["shift"] < MAX_SHIFT  # which no comparison of two sets can see
    # 0.5 sqrt(e) of one mean
    assert check["shift_from_formula"] == pytest.approx(0.5 * NUM_DRAWS**0.5, abs=1)


def test_a_lost_mode_is_not_admitted():
    centre = torch.full(SHAPE, 2.0)
    a, b = two_sets(0)
    sides = Rng(("sides",), "ab").randint(2, (NUM_DRAWS, 1, 1, 1)).double().mul(2).sub(1).split(1)
    both = [x + side * centre for x, side in zip((a, b), sides, strict=True)]
    assert reason(compare(*both, None), NUM_DRAWS) == ""
    assert "shift" in reason(compare(both[0], b + centre, None), NUM_DRAWS)


def test_a_wrong_spread_around_the_right_mean_is_named():
    a, b = two_sets(0)
    text = reason(compare(a, 2 * b, None), NUM_DRAWS)
    assert "energy_share" in text and "shift" not in text


def test_the_verdict_does_not_depend_on_units():
    a, b = two_sets(0)
    check = compare(a, b + 0.1, STANDARD)
    scaled = compare(100 * a - 7, 100 * (b + 0.1) - 7, (100 * STANDARD[0] - 7, 100 * STANDARD[1]))
    assert scaled == pytest.approx(check, rel=1e-9)


def test_a_posterior_of_one_point_is_admitted():
    point = normal(1, 1, *SHAPE).expand(1, NUM_DRAWS, *SHAPE)
    check = compare(point, point, (point[:, 0], torch.zeros(1, *SHAPE)))
    assert all(math.isfinite(value) and value < 1e-6 for value in check.values())
    assert reason(compare(point, point, None), NUM_DRAWS) == ""


def test_limits_are_limits():
    exact = {"energy_share": MAX_ENERGY_SHARE + 1 / 100, "shift": MAX_SHIFT}
    assert reason(exact, 100) == ""
    for name in exact:
        assert name in reason({**exact, name: 1.001 * exact[name]}, 100)


def test_not_a_number_is_not_admitted():
    a, b = two_sets(0)
    assert "energy_share nan" in reason(compare(a, b * math.nan, None), NUM_DRAWS)


# ---- the sets


def measurements(y, image_id):
    return Measurements(y, y, torch.tensor(image_id), {"task": "gmm-denoise"})


def posterior():
    covariances = 0.3 * torch.eye(16, dtype=torch.float64).expand(2, 16, 16)
    prior = GMM(torch.tensor([0.4, 0.6]).double(), normal(2, *SHAPE), covariances)
    return Conjugate(prior, make_problem("denoise", {}, 0.5, SHAPE))


def test_sets_of_a_measurement_differ_and_do_not_depend_on_the_others():
    y = normal(3, *SHAPE, seed=1)
    x_a, x_b, checks = draw(posterior(), measurements(y, [5, 2, 9]), 64)
    assert x_a.shape == x_b.shape == (3, 64, *SHAPE) and len(checks) == 3
    assert x_a.ne(x_b).all()
    assert all(reason(check, 64) == "" for check in checks)
    alone_a, alone_b, alone = draw(posterior(), measurements(y[1:2], [2]), 64)
    torch.testing.assert_close(
        torch.cat([alone_a, alone_b]), torch.cat([x_a[1:2], x_b[1:2]]), rtol=0, atol=1e-12
    )
    assert alone[0] == pytest.approx(checks[1], abs=1e-9)


@dataclass(frozen=True)
class Particles(TemperedSMC):
    """Stands for a particle reference that agrees with itself only from some number of particles on."""

    asked: list = field(default_factory=list)
    agrees_from: int = 2 * 1024

    def sample(self, y, num_samples, rng):
        self.asked.append(self.num_particles)
        lost = 0.0 if self.num_particles >= self.agrees_from or len(self.asked) % 2 else 1.0
        return rng.randn((num_samples, *SHAPE)) + lost


def test_a_particle_reference_that_disagrees_tries_again_with_more_particles():
    particles = Particles(None, None, num_particles=1024)
    *_, checks = draw(particles, measurements(normal(1, *SHAPE), [5]), NUM_DRAWS)
    assert particles.asked == [1024, 1024, 2048, 2048]
    assert reason(checks[0], NUM_DRAWS) == ""


def test_a_particle_reference_that_never_agrees_is_named():
    particles = Particles(None, None, num_particles=1024, agrees_from=10**9)
    *_, checks = draw(particles, measurements(normal(1, *SHAPE), [5]), NUM_DRAWS)
    assert len(particles.asked) == 2 * NUM_TRIES
    assert "shift" in reason(checks[0], NUM_DRAWS)
    fine = replace(particles, num_particles=4096, agrees_from=4096, asked=[])
    draw(fine, measurements(normal(1, *SHAPE), [5]), NUM_DRAWS)
    assert fine.asked == [4096, 4096]
