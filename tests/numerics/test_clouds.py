"""Clouds of particles: expectations that resampling keeps, ancestors, and samples for any chunks."""

from __future__ import annotations

import pytest
import torch

from bench.core.rng import Rng
from bench.numerics import clouds as module
from bench.numerics.clouds import Clouds, geometric_sigmas, samples_of


def weighted_clouds(c: int, k: int) -> Clouds:
    log_weight = 2 * Rng(("test", "clouds"), range(c)).randn((k,))
    return Clouds.start(c, k, log_weight).weighted(log_weight)


def test_resampling_keeps_the_mean_of_any_function_and_the_evidence():
    k, grid = 5, 1000
    one = 2 * Rng(("test", "clouds"), range(1)).randn((k,))
    clouds = Clouds.start(grid, k, one).weighted(one.expand(grid, k))
    value = Rng(("test", "function"), range(1)).randn((k,))
    uniform = (torch.arange(grid, dtype=torch.float64) + 0.5) / grid
    after, rows = clouds.resampled(uniform, 1.0)
    assert not after.log_weight.any()
    torch.testing.assert_close(after.evidence, clouds.evidence)
    mean = value.expand(grid, k).flatten()[rows].mean()
    # each of k counts is a step function of the uniform number: an error of 1 / grid for each
    assert abs(mean - (one.softmax(1) * value).sum()) < value.abs().max() * k / grid


def test_clouds_above_the_threshold_are_left_as_they_are():
    clouds = weighted_clouds(2, 4)
    uneven = clouds.weighted(torch.tensor([[0.0] * 4, [50.0, 0, 0, 0]], dtype=torch.float64))
    limit = float(uneven.share[0]) - 0.01
    after, rows = uneven.resampled(torch.full((2,), 0.5, dtype=torch.float64), limit)
    assert rows.tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    torch.testing.assert_close(after.log_weight[0], uneven.log_weight[0])
    torch.testing.assert_close(after.evidence, uneven.evidence)
    assert after.num_ancestors.tolist() == [4, 1]


def test_a_broken_cloud_does_not_affect_the_others():
    clouds = weighted_clouds(3, 4)
    broken = Clouds(clouds.log_weight.clone(), clouds.log_z, clouds.ancestors)
    broken.log_weight[1] = torch.nan
    uniform = torch.full((3,), 0.3, dtype=torch.float64)
    kept, rows = broken.resampled(uniform, 1.0)
    expected, expected_rows = clouds.resampled(uniform, 1.0)
    assert torch.equal(rows[:4], expected_rows[:4]) and torch.equal(rows[8:], expected_rows[8:])
    assert torch.equal(kept.evidence[[0, 2]], expected.evidence[[0, 2]])
    assert ((rows >= 0) & (rows < 12)).all()


@pytest.mark.parametrize("joint", ["independent", "coupled"])
def test_samples_do_not_depend_on_which_clouds_are_moved_together(joint, monkeypatch):
    m, s, k = 2, 3, 4

    def run(y, rng):
        particles = rng.randn((k, 2)) + y[:, None]
        return Clouds.start(len(y), k, y).weighted(particles.sum(2)), particles.flatten(0, 1)

    def samples():
        rng = Rng(("test", "samples"), range(m), range(s))
        return samples_of(run, torch.tensor([[0.0], [9.0]]).double(), s, rng, joint, 2 * k)

    together = samples()
    monkeypatch.setattr(module, "NUMBERS", 1)
    assert torch.equal(together, samples()) and together.shape == (m, s, 2)
    assert (together[1] > together[0]).all()


def test_particles_are_drawn_by_their_weights_in_random_order():
    log_weight = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64).log()
    clouds = Clouds.start(1, 4, log_weight).weighted(log_weight)
    rng = Rng(("test", "order"), range(1))
    drawn = clouds.drawn(rng.rand(()), rng.rand((1000,)))
    counts = torch.bincount(drawn, minlength=4)
    # systematic: each count is within 1 of its expectation
    assert (counts - torch.tensor([100, 200, 300, 400])).abs().max() <= 1
    # in random order the first hundred are like the others: 40 +- 4.6 of the last particle
    assert 20 < int((drawn[:100] == 3).sum()) < 60


def test_levels_fall_by_equal_ratios_and_end_at_zero():
    levels = geometric_sigmas(4, 8.0, 1.0, torch.empty(0, dtype=torch.float64))
    torch.testing.assert_close(levels, torch.tensor([8.0, 4, 2, 1, 0]).double())
