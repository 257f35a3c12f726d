"""The best of a group of samples is the one under which the measurement is likeliest, whatever x_true is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from helpers.metric_values import truth_of

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.metrics.best_of import BestOf, best_of_groups
from bench.metrics.psnr import psnr

M, S, SHAPE = 3, 10, (1, 4, 4)


@pytest.fixture(scope="module")
def samples():
    return Rng(("test", "best of"), range(M)).randn((S, *SHAPE)).double() * 0.2


@pytest.fixture(scope="module")
def truth(samples):
    """Of the amplitudes |x|: an image and its negative are equally likely."""

    def log_likelihood(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -(x.abs() - y).square().flatten(1).sum(1)

    x = Rng(("test", "truth"), range(M)).randn(SHAPE).double() * 0.2
    problem = SimpleNamespace(caps=Cap.NONE, log_likelihood=log_likelihood)
    return truth_of(problem, x, x.abs(), samples, x, x, S)


def test_the_likeliest_of_each_whole_group_is_taken(samples, truth):
    values = BestOf((4,)).compute(samples, truth)["psnr_best_of_4"]
    misfit = (samples.abs() - truth.y[:, None]).square().flatten(2).sum(2)
    for i in range(M):
        best = [int(misfit[i, j : j + 4].argmin()) + j for j in (0, 4)]  # the last two are left out
        expected = psnr(samples[i : i + 1, best], truth.x_true[i : i + 1])
        assert torch.equal(values[i], expected[0])


def test_the_choice_does_not_see_the_true_image(samples, truth):
    """The negative of the image is as likely, and is taken where it comes first."""
    x = truth.x_true
    pair = torch.stack([-x, x], 1)
    values = BestOf((2,)).compute(pair, truth)["psnr_best_of_2"]
    assert torch.equal(values, psnr(-x[:, None], x))


def test_groups_of_one_sample_are_refused_and_too_large_ones_have_a_reason(truth):
    with pytest.raises(ValueError, match="num_samples: expected counts of 2 or more"):
        BestOf((1,))
    assert BestOf((2, 16)).why_empty(truth) == {"psnr_best_of_16": "n/a (fewer than 16 samples)"}


def test_whole_groups_keep_their_order(samples):
    score = torch.zeros(M, S).double()
    score[:, 1] = score[:, 6] = 1
    assert torch.equal(best_of_groups(samples, score, 5), samples[:, [1, 6]])
