"""What the columns of diversity, calibration and fit without truth mean. No import of torch, as in `definitions`."""

from __future__ import annotations

from bench.metrics.metric import LEVELS, Metric

NEIGHBOURS = 6  # in the cluster of a sample
FEWEST_FOR_CLUSTERS = NEIGHBOURS + 2
WIDTH_OF_VENDI = 0.25  # data units per pixel
WIDTH_OF_KSD = 0.1  # data units per pixel
NUM_RANKED = 32  # directions along which samples are ranked
LARGEST_SPLIT = 1024  # values of an image: a singular value decomposition of its operator takes a second
EMPTY = 1e-6  # singular values below this share of the largest are zero
BAND = 0.99  # as in the tables

SPREAD: tuple[Metric, ...] = (
    Metric("pairwise-pixels", "mean Euclidean distance between two samples of one measurement", "higher", "data units"),
    Metric("pairwise-pixels_ratio", "pairwise-pixels over that of the exact posterior", 1.0, "1", "exact"),
    Metric(
        f"ds{NEIGHBOURS}-pixels",
        f"diversity score: mean Euclidean distance of a sample to those outside its cluster over that to the "
        f"{NEIGHBOURS} nearest, which are its cluster. It has no scale: a cloud that shrinks as a whole keeps its "
        "value, one that falls into clumps gains; it depends on the number of samples",
        "higher",
    ),
    Metric(
        f"ds{NEIGHBOURS}-pixels_ratio",
        f"ds{NEIGHBOURS}-pixels over the mean of that of as many exact draws",
        1.0,
        "1",
        "exact",
    ),
    Metric(
        "vendi",
        "Vendi score, the effective number of different samples: exp of the entropy of the eigenvalues of K / s with "
        f"kernel exp(-|x - x'|^2 / (2 D h^2)) of images of D values, h = {WIDTH_OF_VENDI}; 1 for equal samples, s for "
        "s far ones",
        "higher",
        "samples",
    ),
    Metric("vendi_ratio", "vendi over the mean of that of as many exact draws", 1.0, "1", "exact"),
)
SPLIT: tuple[Metric, ...] = (
    Metric(
        "diversity_null",
        "diversity in the null space of the linear operator, which no measurement sees (singular values below "
        f"{EMPTY:g} of the largest); diversity_null and diversity_range add up to diversity",
        "higher",
        "data units^2",
        "operator",
    ),
    Metric(
        "diversity_range",
        "diversity in what the linear operator sees, the complement of its null space",
        "higher",
        "data units^2",
        "operator",
    ),
    Metric("diversity_null_ratio", "diversity_null over that of the exact posterior", 1.0, "1", "exact"),
    Metric("diversity_range_ratio", "diversity_range over that of the exact posterior", 1.0, "1", "exact"),
)
RANKS: tuple[Metric, ...] = (
    Metric(
        "sbc_spread_exact",
        "12 E(u - 1/2)^2 for the randomised ranks u of exact draws among the samples, projected on the first "
        f"{NUM_RANKED} directions of sw2-128; below 1 the samples spread too far, above 1 too little, or their mean is "
        "off",
        1.0,
        "1",
        "exact",
    ),
    Metric(
        "sbc-misfit_exact",
        "probability that a sample fits the measurement worse (has a lower log likelihood) than an exact draw; above "
        "0.5 samples spread too far off the data, below it they fit them too well",
        0.5,
        "1",
        "exact",
    ),
    Metric(
        "tarp_exact",
        "probability that a sample is farther from a reference point than an exact draw, mean over 16 fixed points, "
        "uniform on [-1, 1]; above 0.5 samples spread too far or are off, away from the points, below it the contrary",
        0.5,
        "1",
        "exact",
    ),
)
PREDICTIVE: tuple[Metric, ...] = (
    Metric(
        "ppc-chi2",
        "posterior predictive check: mean over samples of P(|e|^2 > |residual|^2) for fresh noise e of the same "
        "number of values; near 0 samples miss the data, near 1 they fit the noise. Under the joint law of x and y its "
        "expectation is 0.5; that of one y may differ: compare with the reference",
        0.5,
        needs="operator",
    ),
    Metric(
        "ppc-max",
        "posterior predictive check: mean over samples of P(max |e| > max |residual|), as ppc-chi2; near 0 a few "
        "values are missed by far",
        0.5,
        needs="operator",
    ),
)
STEIN: tuple[Metric, ...] = (
    Metric(
        "ksd2-imq",
        "unbiased squared kernel Stein discrepancy per pixel, from the score of the posterior density alone; kernel "
        f"(1 + |x - x'|^2 / (D h^2))^(-1/2) of images of D values, h = {WIDTH_OF_KSD}; 0 for a perfect sampler, so "
        "single values may be negative. With dozens of samples of many pixels it sees bias and collapse; spread is for "
        "stein_ratio; blind to the weights of far modes",
        "lower",
        "1 / data units^2",
    ),
    Metric(
        "stein_ratio",
        "-E[score(x) . (x - mean of the samples)] / D, from the score of the posterior density alone: 1 for samples "
        "of it (Stein's identity); below 1 samples are too close together, above 1 they spread too far. It weighs "
        "directions by their precision, and is blind to the weights of far modes",
        1.0,
    ),
)
_RANKED = {
    "tarp": "TARP expected coverage: share of measurements where at most {level:.0%} of the samples are nearer to a "
    "fixed reference point than x_true is; mean over the 16 points of tarp_exact",
    "sbc-misfit": "rank statistic of simulation-based calibration, of the log likelihood: share of measurements where "
    "at most {level:.0%} of the samples fit the measurement better than x_true does",
}
_TRUE = (
    "Ties and ends by their probability under a randomised rank. Above the level samples spread too far, below it too "
    "little. It is calibrated for an exact sampler where x_true is a draw from the prior: else see the reference"
)
_ENDS = {"low": "lower", "high": "upper"}


def _ranked(name: str, level: float) -> tuple[Metric, ...]:
    id = f"{name}_x_true@{level}"
    end = f"end of the {BAND:.0%} interval of {id} (Clopper-Pearson), which holds {level} where {id} is in its band"
    return (
        Metric(id, f"{_RANKED[name].format(level=level)}. {_TRUE}", level),
        *(Metric(f"{id}_{which}", f"{word} {end}", level) for which, word in _ENDS.items()),
    )


POOLED: tuple[Metric, ...] = tuple(metric for name in _RANKED for level in LEVELS for metric in _ranked(name, level))
