"""Comparison of a set of samples with a set of real images: FID, KID, precision, recall, density and coverage.

All are computed from features, so that each image passes through a network once. FID, the kernel of KID, precision and
recall are those of torch-fidelity.
"""

from __future__ import annotations

import math

import torch
from scipy.special import stdtrit
from torch import Tensor

ROWS = 128  # rows of a matrix of distances at a time
FEWEST_IN_SET = 8
# of precision and recall, of density and coverage: those of their papers
NEIGHBOURS, NEIGHBOURS_OF_REAL = 3, 5
KID_LEVEL = 0.99  # as in the tables
KID_ENDS = ("kid_low", "kid_high")


def compare(features: Tensor, real: Tensor, fewest_for_fid: int) -> dict[str, float]:
    """Return statistics of features (G, s, F) against real (R, F); images within one of the G groups are dependent."""
    flat = features.flatten(0, 1)
    if min(len(flat), len(real)) < FEWEST_IN_SET:
        return {}
    kid, *ends = kid_interval(features, real)
    density, coverage = density_coverage(flat, real)
    precision, recall = precision_recall(flat, real)
    values = {
        "kid": kid,
        **dict(zip(KID_ENDS, ends, strict=True)),
        "precision": precision,
        "recall": recall,
    }
    values |= {"density": density, "coverage": coverage}
    return (
        {"fid": fid(flat, real)} if min(len(flat), len(real)) >= fewest_for_fid else {}
    ) | values


def fid(features: Tensor, real: Tensor) -> float:
    """Return the Frechet distance of the Gaussians fitted to two sets of features `(n, F)`, by torch-fidelity."""
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    statistics = (fid_features_to_statistics(x) for x in (features, real))
    return fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]


def precision_recall(features: Tensor, real: Tensor) -> tuple[float, float]:
    """Return the shares of samples near a real image and of real images near a sample, by torch-fidelity.

    Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991
    """
    from torch_fidelity.metric_prc import (
        KEY_METRIC_PRECISION,
        KEY_METRIC_RECALL,
        prc_features_to_metric,
    )

    options = {
        "prc_neighborhood": NEIGHBOURS,
        "prc_batch_size": ROWS,
        "save_cpu_ram": True,
        "verbose": False,
    }
    shares = prc_features_to_metric(features, real, **options)
    return shares[KEY_METRIC_PRECISION], shares[KEY_METRIC_RECALL]


def density_coverage(features: Tensor, real: Tensor) -> tuple[float, float]:
    """Return the mean number of real neighbourhoods around a sample over k, and the share of them with a sample.

    Naeem et al. 2020, https://arxiv.org/abs/2002.09797. A real image's neighbourhood reaches to its k-th neighbour.
    """
    k = NEIGHBOURS_OF_REAL
    radii = torch.cat([torch.cdist(rows, real).kthvalue(k + 1).values for rows in real.split(ROWS)])
    inside = torch.stack(
        [(torch.cdist(rows, real) < radii).sum(0) for rows in features.split(ROWS)]
    ).sum(0)
    return inside.sum().item() / (k * len(features)), (inside > 0).double().mean().item()


def kid_interval(features: Tensor, real: Tensor) -> tuple[float, float, float]:
    """Return KID of features `(G, s, F)` against real `(R, F)` and the ends of its interval.

    KID is the unbiased squared MMD (Binkowski et al. 2018, https://arxiv.org/abs/1801.01401) of all images at once
    instead of the mean over random subsets: it has the same expectation with less noise, and no size to choose. The
    interval is Student's t with G - 1 degrees of freedom on a jackknife that leaves out one group and one real image at
    a time, since the samples of one measurement are dependent. The ends are NaN for a single group.
    """
    groups, size = features.shape[:2]
    within, across, of_groups = _sums_over_groups(features, real)
    of_real, real_diagonal = _sums(real, real), _diagonal(real)
    n, r = groups * size, len(real)

    def mmd(x_sum, x_num, y_sum, y_num, cross):
        return (
            x_sum / (x_num * (x_num - 1))
            + y_sum / (y_num * (y_num - 1))
            - 2 * cross / (x_num * y_num)
        )

    x_sum = within.sum() - of_groups.sum()
    y_sum = of_real.sum() - real_diagonal.sum()
    cross = across.sum()
    kid = mmd(x_sum, n, y_sum, r, cross).item()
    if groups == 1:
        return kid, math.nan, math.nan
    # its own diagonal was never in x_sum
    without_group = x_sum - 2 * within.sum(1) + within.diagonal() + of_groups
    one_group_less = mmd(without_group, n - size, y_sum, r, cross - across.sum(1))
    one_image_less = mmd(
        x_sum, n, y_sum - 2 * (of_real - real_diagonal), r - 1, cross - across.sum(0)
    )
    error = math.sqrt(_jackknife_variance(one_group_less) + _jackknife_variance(one_image_less))
    reach = float(stdtrit(groups - 1, 0.5 + KID_LEVEL / 2)) * error
    return kid, kid - reach, kid + reach


def _sums_over_groups(features: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sums of the kernel between groups (G, G), of groups with real images (G, R), and over diagonals (G,)."""
    flat = features.flatten(0, 1)
    within = torch.stack([_sums(flat, x).reshape(features.shape[:2]).sum(1) for x in features])
    across = torch.stack([_sums(real, x) for x in features])
    return within, across, _diagonal(flat).reshape(features.shape[:2]).sum(1)


def _sums(points: Tensor, others: Tensor) -> Tensor:
    """Return sums over `others` (k, F) of the kernel with each of `points` (n, F), (n,)."""
    return torch.cat([_kernel(rows, others).sum(1) for rows in points.split(ROWS)])


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return torch-fidelity's kernel for KID, (x.y / F + 1)^3: (n, F), (k, F) -> (n, k)."""
    from torch_fidelity.metric_kid import kernel_poly

    return torch.from_numpy(kernel_poly(x.numpy(), y.numpy()))


def _diagonal(points: Tensor) -> Tensor:
    return torch.cat([_kernel(rows, rows).diagonal() for rows in points.split(64)])


def _jackknife_variance(left_out: Tensor) -> float:
    """Return the variance of an estimate, from its values (parts,) with one part left out."""
    return (len(left_out) - 1) * left_out.var(correction=0).item()
