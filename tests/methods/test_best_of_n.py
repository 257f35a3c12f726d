"""Best of n: the law of the best of n draws from a finite set, and draws of the prior for n = 1."""

from __future__ import annotations

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated
from helpers.latent_truth import assert_finite_at_the_stated_cost, draw
from scipy.stats import chisquare

from bench.problems import make_problem
from methods.best_of_n import BestOfN
from methods.unconditional import Unconditional


class SixImages:
    """Uniform on six images of one pixel, 0 to 5."""

    shape, sample_nfe = (1, 1, 1), 1

    def sample(self, num_samples, rng):
        return rng.randint(6, (num_samples, 1, 1, 1)).double()


@pytest.mark.parametrize("n", [2, 5])
def test_the_best_of_n_has_its_known_distribution(n):
    problem = make_problem("denoise", {}, 0.1, (1, 1, 1))
    y, num_samples = torch.full((1, 1, 1, 1), -1.0, dtype=torch.float64), 3000
    x = draw(BestOfN(num_draws=n), SixImages(), problem, y, num_samples).flatten().long()
    # image k has rank k, and is the best of n where all are at least k and not all above it
    ranks = torch.arange(6).double() / 6
    expected = (1 - ranks) ** n - (1 - ranks - 1 / 6) ** n
    found = torch.bincount(x, minlength=6)
    # a right sampler falls below once in a thousand seeds
    assert chisquare(found.numpy(), num_samples * expected.numpy()).pvalue > 1e-3


def test_the_best_of_one_is_a_draw_of_the_prior():
    bed = GaussianBed(correlated())
    arguments = bed.prior, bed.problem, bed.y, 3
    assert torch.equal(draw(BestOfN(num_draws=1), *arguments), draw(Unconditional(), *arguments))


def test_more_draws_never_fit_worse():
    bed = GaussianBed(correlated())
    y = bed.y.repeat_interleave(3, 0)
    norms = []
    for n in (1, 4, 16):
        x = draw(BestOfN(num_draws=n), bed.prior, bed.problem, bed.y, 3).flatten(0, 1)
        norms.append(bed.problem.residual(x, y).flatten(1).norm(dim=1))
    assert (norms[1] <= norms[0]).all()
    assert (norms[2] <= norms[1]).all()


def test_its_cost_is_as_stated():
    assert_finite_at_the_stated_cost(BestOfN(num_draws=3))


def test_a_wrong_field_is_named():
    with pytest.raises(ValueError, match="^num_draws = 0"):
        BestOfN(num_draws=0)
