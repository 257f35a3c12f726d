"""What each number in a table means. No import of torch: tables and report only print these lines."""

from __future__ import annotations

from bench.metrics.checks import PREDICTIVE, RANKS, SPLIT, SPREAD, STEIN
from bench.metrics.metric import LEVELS, Metric, Need

FEATURES = "digits-cnn-v1"  # the classifier of bench/problems/classifier.py
BLOCK = 32  # points in each set of which a Frechet distance is taken; it depends on their number


def _coverage(whose: str, needs: Need, level: float) -> Metric:
    words = {"exact": "all exact draws", "x_true": "x_true"}[whose]
    definition = (
        f"share of the pixels of {words} inside the central {level:.0%} interval of the samples' pixel values, ends "
        "and ties counted by their probability under a randomised rank (exact at any number of samples)"
    )
    return Metric(f"coverage_{whose}@{level}", definition, level, needs=needs)


TOTALS = {
    "sw2-128": "sliced Wasserstein-2 distance of samples and exact draws from the posterior",
    "energy": "unbiased energy distance of samples and exact draws from the posterior",
    "mean_error": "RMS over pixels of mean of the samples - mean of the posterior",
}


def _total(id: str, what: str) -> Metric:
    definition = (
        f"{what} under the prior that the map was distilled from; without _total: from that under the map itself. In "
        "the row of the reference it is the bias of the map"
    )
    return Metric(f"{id}_total", definition, "lower", "data units", "teacher")


METRICS: tuple[Metric, ...] = (
    Metric(
        "psnr_mean",
        "PSNR of the mean of the samples against x_true, data range 2, at most 60",
        "higher",
        "dB",
        "operator",
    ),
    Metric(
        "psnr_sample",
        "mean over samples of the PSNR of each against x_true, data range 2, at most 60 each; a perfect sampler sits "
        "about 3 dB below its own psnr_mean",
        "higher",
        "dB",
        "operator",
    ),
    Metric(
        "ssim-g0.5_mean",
        "SSIM of the mean of the samples against x_true, both mapped to [0, 1]; Gaussian window of standard deviation "
        "0.5 pixels (5 x 5), reflected borders",
        "higher",
        needs="operator",
    ),
    Metric(
        "ssim-g0.5_sample",
        "mean over samples of the SSIM of each against x_true, as in ssim-g0.5_mean",
        "higher",
        needs="operator",
    ),
    Metric(
        "chi2_sample",
        "mean over samples of |residual|^2 / (sigma_y^2 times the number of observed values)",
        1.0,
        needs="operator",
    ),
    *PREDICTIVE,
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
    *SPREAD,
    *SPLIT,
    *(_coverage("exact", "exact", level) for level in LEVELS),
    *(_coverage("x_true", "operator", level) for level in (0.5, 0.9)),
    *RANKS,
    *STEIN,
    *(_total(id, what) for id, what in TOTALS.items()),
    Metric(
        "log_reward",
        "mean over samples of log p(class y | x) by the task's classifier, at inverse temperature 1",
        "higher",
        "nats",
        "reward",
    ),
    Metric(
        f"frechet-{FEATURES}-n{BLOCK}",
        f"Frechet distance of samples, in blocks of {BLOCK}, to held-out images of the class: of Gaussians fitted to "
        f"features of the classifier {FEATURES}. It falls with the size of a block: compare it with the floor",
        "lower",
        "features^2",
        "reward",
    ),
    Metric(
        f"frechet_floor-{FEATURES}-n{BLOCK}",
        f"what the training images of the class have for frechet-{FEATURES}-n{BLOCK}",
        "lower",
        "features^2",
        "reward",
    ),
    Metric(
        f"pairwise-{FEATURES}",
        f"mean Euclidean distance between the features (of classifier {FEATURES}) of two samples of one measurement",
        "higher",
        "features",
        "reward",
    ),
    Metric(
        "rhat",
        "largest rank-normalised split R-hat, of the states or folded at their median, among the log likelihood and "
        "the projections on the three leading principal directions of the exact draws",
        1.0,
        "1",
        "chain",
    ),
    Metric(
        "ess_bulk",
        "smallest effective sample size among the functionals of rhat, of their ranks: how many independent samples "
        "the samples of all chains are worth",
        "higher",
        "samples",
        "chain",
    ),
    Metric(
        "ess_tail",
        "the same of the events that a functional is beyond its 5 % and its 95 % quantile, the smaller of the two",
        "higher",
        "samples",
        "chain",
    ),
)
