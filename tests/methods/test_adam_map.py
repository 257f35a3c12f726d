"""Maximum a posteriori by Adam: the mean of a Gaussian posterior, and the higher of two modes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated
from helpers.latent_truth import assert_finite_at_the_stated_cost, draw

from methods.adam_map import AdamMAP


@pytest.mark.parametrize("space", ["data", "latent"])
@pytest.mark.parametrize("operator", ["inpaint-box", "blur"])
def test_it_is_the_mean_of_a_gaussian_posterior(space, operator):
    bed = GaussianBed(correlated(), operator, sigma_y=0.4)
    method = AdamMAP(space=space, num_starts=1, num_steps=400, learning_rate=0.1)
    x = draw(method, bed.prior, bed.problem, bed.y, 1).flatten(2)[:, 0]
    mean, covariance = bed.posterior()
    # the rate falls to zero, so that what is left is far below the spread of the posterior: a hundredth of it
    assert ((x - mean).abs() < 0.01 * covariance.diagonal(dim1=1, dim2=2).sqrt()).all()


def test_of_several_starts_the_highest_end_is_kept():
    class TwoModes:
        """Each pixel of mean -1 with weight 1/5 or 1 with 4/5, standard deviation 0.1; drawn near either."""

        shape, caps, sample_nfe = (1, 1, 2), None, 0

        def sample(self, num_samples, rng):
            signs = torch.where(rng.rand((num_samples, 1, 1, 1)) < 0.5, 1.0, -1.0).double()
            return signs.expand(-1, -1, *self.shape) + 0.01 * rng.randn((num_samples, *self.shape))

        def log_prob(self, x):
            centres = torch.stack([x - 1, x + 1], -1).square().sum((1, 2, 3)) / (-2 * 0.1**2)
            return (centres + torch.tensor([0.8, 0.2], dtype=x.dtype).log()).logsumexp(1)

    class Flat:
        def log_likelihood(self, x, y):
            return 0 * x.flatten(1).sum(1)

    method = AdamMAP(space="data", num_starts=16, num_steps=200, learning_rate=0.01)
    # 16 starts at -1 alone happen once in 65536 measurements
    x = draw(method, TwoModes(), Flat(), torch.zeros(3, 1, 1, 2).double(), 2)
    torch.testing.assert_close(x, torch.ones_like(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("space", ["data", "latent"])
def test_its_samples_are_one_estimate_at_the_stated_cost(space):
    method = AdamMAP(space=space, num_starts=2, num_steps=5)
    assert_finite_at_the_stated_cost(method)
    bed = GaussianBed(correlated())
    x = draw(method, bed.prior, bed.problem, bed.y, 3)
    assert torch.equal(x, x[:, :1].expand_as(x))


@pytest.mark.parametrize(
    ("field", "value"), [("space", "both"), ("num_starts", 0), ("learning_rate", 0.0)]
)
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(ValueError, match=f"^{field} = "):
        dataclasses.replace(AdamMAP(), **{field: value})
