"""What each number in a table means. No import of torch: tables and report only print these lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Metric:
    """One column of the tables.

    better: "higher", "lower", or the value that a perfect sampler has in expectation.
    needs: "exact" draws of the posterior, a "chain" of states, or nothing ("") but samples, x_true and y.
    """

    id: str
    definition: str
    better: Literal["higher", "lower"] | float
    unit: str = "1"
    needs: Literal["", "exact", "chain"] = ""


def _coverage(whose: str, needs: Literal["", "exact"], level: float) -> Metric:
    words = {"exact": "all exact draws", "x_true": "x_true"}[whose]
    definition = (
        f"share of the pixels of {words} inside the central {level:.0%} interval of the samples' pixel values, ends "
        "and ties counted by their probability under a randomised rank (exact at any number of samples)"
    )
    return Metric(f"coverage_{whose}@{level}", definition, level, needs=needs)


METRICS: tuple[Metric, ...] = (
    Metric("psnr_mean", "PSNR of the mean of the samples against x_true, data range 2, at most 60", "higher", "dB"),
    Metric(
        "psnr_sample",
        "mean over samples of the PSNR of each against x_true, data range 2, at most 60 each; a perfect sampler sits "
        "about 3 dB below its own psnr_mean",
        "higher",
        "dB",
    ),
    Metric(
        "ssim-g0.5_mean",
        "SSIM of the mean of the samples against x_true, both mapped to [0, 1]; Gaussian window of standard deviation "
        "0.5 pixels (5 x 5), reflected borders",
        "higher",
    ),
    Metric("ssim-g0.5_sample", "mean over samples of the SSIM of each against x_true, as in ssim-g0.5_mean", "higher"),
    Metric("chi2_sample", "mean over samples of |residual|^2 / (sigma_y^2 times the number of observed values)", 1.0),
    Metric(
        "sw2-128",
        "sliced Wasserstein-2 distance of samples and exact draws: root of the mean of W2^2 over 128 fixed directions",
        "lower",
        "data units",
        "exact",
    ),
    Metric(
        "energy",
        "unbiased energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| of samples X and exact draws Y, Euclidean norm; 0 for a "
        "perfect sampler, so single values may be negative",
        "lower",
        "data units",
        "exact",
    ),
    Metric(
        "c2st-energy",
        "two-sample accuracy, samples against as many exact draws: leave-one-out classifier by the nearer centroid in "
        "the kernel space of the energy distance; 0.5 for equal distributions, 1 for separate ones",
        0.5,
        "1",
        "exact",
    ),
    Metric(
        "mean_error",
        "RMS over pixels of mean of the samples - mean of the posterior",
        "lower",
        "data units",
        "exact",
    ),
    Metric(
        "std_error",
        "RMS over pixels of standard deviation of the samples (unbiased variance) - that of the posterior",
        "lower",
        "data units",
        "exact",
    ),
    Metric(
        "std_ratio",
        "root of the mean variance of the samples over the mean variance of the posterior",
        1.0,
        "1",
        "exact",
    ),
    Metric(
        "diversity",
        "mean squared distance per pixel between two samples of one measurement",
        "higher",
        "data units^2",
    ),
    Metric("diversity_ratio", "diversity over that of the exact posterior", 1.0, "1", "exact"),
    *(_coverage("exact", "exact", level) for level in LEVELS),
    *(_coverage("x_true", "", level) for level in (0.5, 0.9)),
    Metric(
        "rhat",
        "largest rank-normalised split R-hat among data misfit (the log likelihood) and the projections on the three "
        "leading principal directions of the exact draws",
        1.0,
        "1",
        "chain",
    ),
    Metric("ess", "smallest bulk effective sample size among the functionals of rhat", "higher", "samples", "chain"),
)
