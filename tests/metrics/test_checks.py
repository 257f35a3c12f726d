"""Diversity, calibration and fit without truth: closed forms, the right side, and which column catches which fault."""

import csv
import io
import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from helpers.metric_values import truth_of
from helpers.random_values import DOUBLE, errors_off, normal, uniform

from bench.core.types import Cap
from bench.figures._levels import sampling_band
from bench.metrics import diversity_score, null_space, vendi
from bench.metrics._ranks import (
    BAND,
    LEVELS,
    mean_rank,
    rank_interval,
    share_below,
    share_interval,
    spread_of_ranks,
    to_points,
)
from bench.metrics._residuals import NOTHING_MEASURED
from bench.metrics._table import Scores, Table
from bench.metrics.chi2 import Chi2
from bench.metrics.null_space import NullSpace
from bench.metrics.predictive_checks import PredictiveChecks, largest_exceeded, squares_exceeded
from bench.metrics.stein import WIDTH as WIDTH_OF_KSD
from bench.metrics.stein import stein_discrepancy, stein_ratio
from bench.metrics.vendi import WIDTH as WIDTH_OF_VENDI
from bench.problems import make_problem

# --- distances between samples ------------------------------------------------------------------------------------


def test_clusters_of_far_clumps():
    # two simplices of 8 points with sides 1, 5 apart: of the 9 points outside a cluster 1 is at 1, 8 are at 5
    within = torch.full((16, 16), 5.0, dtype=DOUBLE)
    within[:8, :8] = within[8:, 8:] = 1
    within.fill_diagonal_(0)
    for scale in (1, 0.01):
        actual = diversity_score.cluster_ratio(scale * within[None], resolution=1e-4)
        torch.testing.assert_close(actual, torch.tensor([(1 + 8 * 5) / 9], dtype=DOUBLE))
    simplex = (1 - torch.eye(8, dtype=DOUBLE))[None]
    assert (
        diversity_score.cluster_ratio(simplex, 1e-4).tolist() == [1]
        and diversity_score.cluster_ratio(0 * simplex, 1e-4).isnan().all()
    )


def test_vendi_counts_different_samples():
    s, dimension = 12, 4
    far, same = 100 * (1 - torch.eye(s, dtype=DOUBLE))[None], torch.zeros(1, s, s, dtype=DOUBLE)
    actual = [vendi.vendi(within, dimension).item() for within in (far, same)]
    assert actual == pytest.approx([s, 1])
    # 3 and 9 equal samples, far from each other
    groups = (torch.arange(s)[:, None] < 3) != (torch.arange(s) < 3)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert vendi.vendi(100.0 * groups[None].double(), dimension).item() == pytest.approx(
        math.exp(entropy)
    )
    distance = 0.3
    likeness = math.exp(-(distance**2) / (2 * dimension * WIDTH_OF_VENDI**2))
    # eigenvalues of the two by two kernel
    shares = torch.tensor([1 + likeness, 1 - likeness], dtype=DOUBLE) / 2
    expected = (-(shares * shares.log()).sum()).exp().item()
    pair = distance * (1 - torch.eye(2, dtype=DOUBLE))[None]
    assert vendi.vendi(pair, dimension).item() == pytest.approx(expected)


# --- null space and range -----------------------------------------------------------------------------------------


def axes(operator: str, parameters: dict, shape: tuple = (1, 4, 4), num: int = 3):
    problem = make_problem(operator, parameters, 0.1, shape)
    noise = torch.zeros(num, *problem.operator.measured_shape(shape), dtype=DOUBLE)
    y = problem.measure(normal(num, *shape), noise, uniform(num, *shape))
    return null_space.axes_of(problem, y, shape), problem, y


def test_pooling_uses_the_means_of_blocks():
    actual, *_ = axes("average-pool", {"factor": 2})
    assert len(actual.seen) == 1 and actual.seen.sum() == 4
    x = normal(3, 10, 1, 4, 4)
    null, seen = actual.variances(x.flatten(2))
    means = torch.nn.functional.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, (3, 10))
    # what is seen of x is the mean of its block in each pixel: 4 pixels per block, of 16
    torch.testing.assert_close(seen, 4 * means.var(1).sum((1, 2, 3)) / 16)
    torch.testing.assert_close(null + seen, x.flatten(2).var(1).mean(1))


def test_masks_are_those_of_each_measurement():
    actual, problem, y = axes("inpaint-random", {"visible_fraction": 0.5})
    mask = problem.unpack(y)[1].flatten(1)
    assert (mask[0] != mask[1]).any()
    x = normal(3, 10, 16)
    null, seen = actual.variances(x)
    torch.testing.assert_close(seen, (x.var(1) * mask).mean(1))
    torch.testing.assert_close(null, (x.var(1) * (1 - mask)).mean(1))


def test_parts_that_do_not_exist_have_reasons():
    none = {
        "diversity_null": null_space.NO_NULL_SPACE,
        "diversity_null_ratio": null_space.NO_NULL_SPACE,
    }
    for operator, parameters in (
        ("denoise", {}),
        ("blur", {"kernel_size": 3, "std": 0.8}),
        ("average-pool", {"factor": 2}),
    ):
        _, problem, y = axes(operator, parameters)
        x = normal(3, 1, 4, 4)
        truth = truth_of(problem, x, y, x[:, None], x, x, num_samples=8)
        assert NullSpace().why_empty(truth) == ({} if operator == "average-pool" else none)


@pytest.mark.parametrize(
    "operator, parameters, size, reason",
    [
        ("saturate", {"gain": 2.0}, 64, "n/a (operator is not linear)"),
        (
            "motion-blur",
            {"kernel_size": 3},
            3072,
            "n/a (operator without spectrum, images of more than 1024 values)",
        ),
        ("motion-blur", {"kernel_size": 3}, 64, ""),
        ("blur", {"kernel_size": 3, "std": 0.8}, 3072, ""),
    ],
)
@pytest.mark.parametrize("rate", [None, 1.0])
def test_whether_images_are_split_is_up_to_the_operator_and_not_to_the_noise(
    operator, parameters, size, reason, rate
):
    problem = make_problem(operator, parameters, 0.1, (1, 8, 8), rate=rate)
    assert null_space.reason_without_axes(problem, size) == reason


def test_a_reward_has_no_null_space():
    class Reward:
        caps = Cap.GRAD

    assert null_space.reason_without_axes(Reward(), 64) == "n/a (reward, no measurement operator)"


def test_poisson_noise_leaves_the_axes_of_the_operator_as_they_are():
    shape, y = (1, 4, 4), normal(1, 1, 2, 2)
    problems = [
        make_problem("average-pool", {"factor": 2}, 0.1, shape, rate=rate) for rate in (None, 1.0)
    ]
    x = normal(1, 6, 16)
    gaussian, poisson = (null_space.axes_of(problem, y, shape) for problem in problems)
    torch.testing.assert_close(poisson.variances(x), gaussian.variances(x))


# --- ranks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_values", [1, 3, None])
def test_ranks_of_equal_distributions_are_uniform(num_values):
    def draw(*shape: int, seed: int) -> torch.Tensor:
        return (
            normal(*shape, seed=seed)
            if num_values is None
            else (uniform(*shape, seed=seed) * num_values).floor()
        )

    ranks = rank_interval(draw(2000, 9, 4, seed=0), draw(2000, 5, 4, seed=1))
    expected = {level: level for level in LEVELS}
    actual = {level: share_below(*ranks, level) for level in LEVELS} | {"mean": mean_rank(*ranks)}
    actual |= {"spread": spread_of_ranks(*ranks)}
    for name, value in (expected | {"mean": 0.5, "spread": 1.0}).items():
        if num_values == 1:  # all tied: the rank is uniform on [0, 1] each time
            torch.testing.assert_close(actual[name], torch.full((2000,), value, dtype=DOUBLE))
        else:
            assert abs(errors_off(actual[name], value)) < 4


def test_points_are_fixed_and_know_nothing():
    x = normal(3, 5, 6)
    assert to_points(x).shape == (3, 5, 16)
    # the same for every measurement, whatever the others are
    assert (to_points(x)[1] == to_points(x[1:2])[0]).all()
    center = to_points(torch.zeros(1, 1, 6, dtype=DOUBLE))
    assert (center <= math.sqrt(6)).all()  # inside the cube [-1, 1]^6


@pytest.mark.parametrize("num", [1, 3, 16, 40])
def test_interval_and_band_are_one_test(num):
    for level in LEVELS:
        low, high = sampling_band(level, num)
        log_choose = [math.log(math.comb(num, k)) for k in range(num + 1)]
        mass = [
            math.exp(c + k * math.log(level) + (num - k) * math.log(1 - level))
            for k, c in enumerate(log_choose)
        ]
        inside = [low <= k / num <= high for k in range(num + 1)]
        assert sum(m for m, within in zip(mass, inside, strict=True) if within) >= BAND
        for k, within in enumerate(inside):
            ends = share_interval(k / num, num)
            assert (ends[0] < level < ends[1]) == within


# --- Stein --------------------------------------------------------------------------------------------------------


def test_stein_discrepancy_is_the_kernel_differentiated():
    x, scores = normal(1, 2, 5), 3 * normal(1, 2, 5, seed=1)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (1 + (a - b).square().sum() / (5 * WIDTH_OF_KSD**2)) ** -0.5

    a, b = (0.1 * row for row in x[0])
    of_a, of_b = scores[0]
    by_a, by_b = torch.autograd.functional.jacobian(kernel, (a, b))
    trace = torch.autograd.functional.hessian(kernel, (a, b))[0][1].trace()
    expected = of_a @ of_b * kernel(a, b) + of_a @ by_b + of_b @ by_a + trace
    actual = stein_discrepancy(0.1 * x, scores)
    torch.testing.assert_close(actual, expected[None] / 5)


def of_stein(x: torch.Tensor, scores: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"ksd2-imq": stein_discrepancy(x, scores), "stein_ratio": stein_ratio(x, scores)}


def test_stein_ratio_of_a_gaussian_is_the_ratio_of_variances():
    std = torch.logspace(math.log10(0.05), 0, 12, dtype=DOUBLE)  # of its pixels
    x = std * normal(400, 16, 12)
    for scale in (0.7, 1.0, 1.3):
        actual = of_stein(scale * x, -scale * x / std.square())
        assert abs(errors_off(actual["stein_ratio"], scale**2)) < 4
        assert scale != 1 or abs(errors_off(actual["ksd2-imq"], 0)) < 4  # unbiased
    shifted = x + std
    # the ratio is blind to a bias, the discrepancy is not
    actual = of_stein(shifted, -shifted / std.square())
    assert abs(errors_off(actual["stein_ratio"], 1)) < 4 and errors_off(actual["ksd2-imq"], 0) > 6


@pytest.mark.parametrize("scale", [0.7, 1.3])
def test_stein_discrepancy_detects_spread_in_few_dimensions(scale):
    x = 0.2 * scale * normal(100, 100, 2)
    assert errors_off(stein_discrepancy(x, -x / 0.04), 0) > 6


def test_collapsed_samples_have_a_positive_discrepancy():
    x = torch.zeros(1, 8, 6, dtype=DOUBLE)
    # equal points where the score is zero: D / l^2 over D, l^2 = D h^2
    assert stein_discrepancy(x, x).item() == pytest.approx(1 / (6 * WIDTH_OF_KSD**2))
    assert stein_ratio(x, x).item() == 0


# --- posterior predictive checks ----------------------------------------------------------------------------------


def test_predictive_probabilities_in_closed_form():
    residual = torch.tensor([[[0.3, -1.2]], [[2.0, 0.0]]], dtype=DOUBLE)
    two = torch.full((2,), 2.0, dtype=DOUBLE)
    expected = (-residual.square().sum(2) / 2).exp()  # chi-square of two degrees
    torch.testing.assert_close(squares_exceeded(residual, two), expected)
    largest = torch.tensor([[1.2], [2.0]], dtype=DOUBLE)
    inside = torch.special.erf(largest / math.sqrt(2))
    torch.testing.assert_close(largest_exceeded(residual, two), 1 - inside**2)
    assert largest_exceeded(40 + residual, two).max() < 1e-300  # not lost in rounding
    assert largest_exceeded(0 * residual, two).tolist() == [[1], [1]]


def test_predictive_probabilities_of_noise_are_uniform():
    noise, num = normal(1, 4000, 20), torch.tensor([20.0], dtype=DOUBLE)
    for actual in (squares_exceeded(noise, num), largest_exceeded(noise, num)):
        p = actual[0].sort().values
        # Kolmogorov's bound at 1e-4: sqrt(log(2e4) / (2 * 4000)) = 0.035
        assert (p - torch.arange(4000) / 4000).abs().max() < 0.035


# --- which column catches which sampler -----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [Chi2(), PredictiveChecks()])
def test_an_empty_mask_leaves_nothing_to_check_and_says_so(metric):
    """Of two measurements the second has no measured value: its cell is n/a for that reason, not for an overflow."""
    problem = make_problem("inpaint-random", {"visible_fraction": 0.5}, 0.1, (1, 4, 4))
    noise = torch.zeros(2, *problem.operator.measured_shape((1, 4, 4)), dtype=DOUBLE)
    x = normal(2, 1, 4, 4)
    y = problem.measure(x, noise, uniform(2, 1, 4, 4))
    y[1] = 0  # the mask, which y carries, as well
    assert problem.num_measured_values(y).tolist()[1] == 0
    truth = cast(Any, SimpleNamespace(problem=problem, y=y))
    values = metric.compute(x[:, None].repeat(1, 3, 1, 1, 1), truth)
    columns = metric.columns(None)
    scores = Scores("dps", 0, values, ("", ""), "")
    lines = list(csv.reader(io.StringIO(Table("box", columns, {"operator": ""}).lines(scores))))
    assert [line[-1] for line in lines] == [""] * len(columns) + [NOTHING_MEASURED] * len(columns)
