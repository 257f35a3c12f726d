"""Metrics, one plug-in a file: what its columns mean and how they are computed.

No import here: the plan reads the names of the metrics that every suite has, and nothing else.
"""

# In the order of their columns in metrics.csv. A suite adds others under its key `metrics`.
BUILT_IN = (
    "psnr",
    "ssim",
    "chi2",
    "predictive_checks",
    "sliced_wasserstein",
    "energy_distance",
    "worth",
    "two_sample",
    "moments",
    "diversity",
    "diversity_score",
    "vendi",
    "null_space",
    "coverage",
    "ranks",
    "stein",
    "total",
    "reward",
    "chains",
    "calibration",
)
