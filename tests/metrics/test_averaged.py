"""PSNR of means of samples, and metrics of images that were stretched as DPS's code saves them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from helpers.metric_values import truth_of

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.metrics.averaged import Averaged
from bench.metrics.psnr import psnr
from bench.metrics.stretched import PSNR, Stretched, stretched

M, S, SHAPE = 3, 8, (3, 4, 4)


@pytest.fixture(scope="module")
def samples():
    return Rng(("test", "averaged"), range(M)).randn((S, *SHAPE)).double() * 0.2


@pytest.fixture(scope="module")
def truth(samples):
    x = torch.zeros(M, *SHAPE).double()
    return truth_of(SimpleNamespace(caps=Cap.RESIDUAL), x, x, samples, x, x, S)


def test_means_of_one_and_of_all_samples(samples, truth):
    values = Averaged((1, S)).compute(samples, truth)
    assert torch.equal(values["psnr_mean_of_1"], psnr(samples[:, :1], truth.x_true))
    assert torch.equal(
        values[f"psnr_mean_of_{S}"], psnr(samples.mean(1, keepdim=True), truth.x_true)
    )


def test_averaging_independent_noise_gains_three_decibels_a_doubling(samples, truth):
    values = Averaged((1, 2, 4, 8)).compute(samples, truth)
    gains = [
        (values[f"psnr_mean_of_{2 * k}"] - values[f"psnr_mean_of_{k}"]).mean() for k in (1, 2, 4)
    ]
    # the log of a mean of 3 x 48 squares has a standard error of 10 / log(10) sqrt(2 / 144) = 0.5 dB; three gains
    assert sum(gains) / 3 == pytest.approx(10 * math.log10(2), abs=0.7)


def test_more_samples_than_there_are_have_a_reason(truth):
    reasons = Averaged((8, 16)).why_empty(truth)
    assert reasons == {"psnr_mean_of_16": "n/a (fewer than 16 samples)"}
    with pytest.raises(ValueError, match="num_samples: expected counts"):
        Averaged((0,))


def test_stretched_images_reach_both_ends_and_flat_ones_are_grey(samples):
    x = stretched(samples)
    assert x.amin((-3, -2, -1)).add(1).abs().max() < 1e-12
    assert x.amax((-3, -2, -1)).sub(1).abs().max() < 1e-12
    assert stretched(torch.full(SHAPE, 0.3)).abs().max() == 0


def test_psnr_of_stretched_images_ignores_brightness_and_contrast(samples, truth):
    x_true = samples[:, 0]
    known = truth_of(truth.problem, x_true, x_true, samples, x_true, x_true, S)
    moved = (0.5 * samples[:, :1] + 0.1).expand(-1, S, -1, -1, -1)
    assert (Stretched().compute(moved, known)[PSNR] == 60).all()  # the most there is
    # weights are not there for images of 4 pixels, whatever is on this machine
    assert "n/a (image smaller than 32)" in Stretched().why_empty(known).values()
