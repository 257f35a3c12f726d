"""Metrics of images of thousands of values: the same numbers as term by term, or a reason, in bounded memory."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.metric_values import compute, evaluation_of, truth_of

from bench.core.metric import Truth
from bench.metrics._distances import to_draws
from bench.metrics._ranks import LEVELS, coverage, coverages, ordered, rank_interval
from bench.metrics.null_space import NullSpace, _axes_of_matrices, axes_of
from bench.metrics.sliced_wasserstein import SINGULAR, SlicedWasserstein
from bench.metrics.ssim import SSIM, ssim
from bench.metrics.stein import Stein
from bench.numerics.chains import NUM_DRAWS, principal_directions
from bench.numerics.distances import MOST_TERMS, RESOLUTION, distances, two_sample_accuracy
from bench.problems import make_problem

DOUBLE = torch.float64
PHOTO = (3, 32, 32)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def term_by_term(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def problem_on(operator: str, parameters: dict, shape: tuple, num: int):
    problem = make_problem(operator, parameters, 0.1, shape)
    noise = torch.zeros(num, *problem.operator.measured_shape(shape), dtype=DOUBLE)
    mask = torch.rand(num, *shape, generator=torch.Generator().manual_seed(7), dtype=DOUBLE)
    return problem, problem.measure(normal(num, *shape, seed=8), noise, mask)


# --- distances ----------------------------------------------------------------------------------------------------


def test_distances_by_a_product_are_those_by_terms():
    # bright images with little contrast: most of their lengths is what they have in common
    x, y = (0.9 + 0.01 * normal(2, n, MOST_TERMS + 1, seed=n) for n in (20, 30))
    torch.testing.assert_close(distances(x, y), term_by_term(x, y), rtol=1e-9, atol=0)
    near = y[:, :20] + RESOLUTION * normal(2, 20, MOST_TERMS + 1, seed=2)  # as near as a tie
    torch.testing.assert_close(distances(near, y), term_by_term(near, y), rtol=1e-6, atol=0)


def test_equal_points_have_distance_zero_and_rounding_noise_stays_below_a_tie(monkeypatch):
    x = 0.3 * normal(1, 12, 3072)
    x[:, 6:] = x[:, :6]
    within = distances(x, x)
    assert (within.diagonal(dim1=1, dim2=2) == 0).all()
    assert (within[:, :6, 6:].diagonal(dim1=1, dim2=2) == 0).all()
    noisy = x + 1e-7 * normal(1, 12, 3072, seed=1)  # what float32 leaves of an image
    assert distances(noisy, x).diagonal(dim1=1, dim2=2).max() < 0.01 * RESOLUTION * math.sqrt(3072)
    by_product = two_sample_accuracy(x, noisy)
    monkeypatch.setattr("bench.numerics.distances.MOST_TERMS", 3072)
    assert torch.equal(two_sample_accuracy(x, noisy), by_product)


def test_directions_of_many_values_are_the_leading_singular_vectors():
    draws = normal(2, NUM_DRAWS, 300) * torch.logspace(0, -2, 300, dtype=DOUBLE)
    expected = torch.linalg.svd(draws - draws.mean(1, keepdim=True), full_matrices=False).Vh[:, :3]
    products = (expected @ principal_directions(draws)).abs()  # their signs are free
    torch.testing.assert_close(products, torch.eye(3, dtype=DOUBLE).expand(2, 3, 3))


def test_shared_values_are_computed_once_for_the_same_samples():
    zero = torch.zeros(2, 1, 6, 6, dtype=DOUBLE)
    truth = truth_of(None, zero, zero, normal(2, 40, 1, 6, 6), zero, zero, 8)
    x, other = normal(2, 8, 1, 6, 6, seed=1), normal(2, 8, 1, 6, 6, seed=2)
    assert to_draws(x, truth) is to_draws(x, truth)
    torch.testing.assert_close(to_draws(other, truth), term_by_term(other.flatten(2), truth.draws))
    torch.testing.assert_close(to_draws(x, truth), term_by_term(x.flatten(2), truth.draws))


# --- ranks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_values", [1, 3, 40, None])
@pytest.mark.parametrize(("s", "e"), [(3, 7), (16, 50), (9, 1)])
def test_coverages_are_those_of_each_value_by_itself(num_values, s, e):
    x, y = normal(5, s, 11), normal(5, e, 11, seed=1)
    if num_values:
        x, y = ((points * num_values / 4).round() for points in (x, y))
    by_value = rank_interval(x, y)
    shares = coverages(ordered(x), ordered(y))
    assert list(shares) == list(LEVELS)
    for level, actual in shares.items():
        torch.testing.assert_close(actual, coverage(*by_value, level), rtol=1e-12, atol=1e-14)


# --- null space ---------------------------------------------------------------------------------------------------

OPERATORS = [
    ("inpaint-box", {"box": 4}),
    ("inpaint-random", {"visible_fraction": 0.4}),
    ("average-pool", {"factor": 2}),
    ("blur", {"kernel_size": 7, "std": 2.0}),
    ("colourise", {}),
    ("denoise", {}),
]


@pytest.mark.parametrize(("operator", "parameters"), OPERATORS)
def test_a_spectrum_gives_the_same_split_as_the_whole_matrix(operator, parameters):
    shape = (3, 6, 6)
    problem, y = problem_on(operator, parameters, shape, 2)
    x = normal(2, 6, 108, seed=1)
    actual, expected = axes_of(problem, y, shape), _axes_of_matrices(problem, y, shape)
    assert (actual.seen.sum(1) == expected.seen.sum(1)).all()
    for ours, theirs in zip(actual.variances(x), expected.variances(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-14)


def test_photographs_are_split_by_a_mask_and_by_pooling():
    for operator, parameters, num_seen in (
        ("inpaint-box", {"box": 16}, 3 * 3 * 256),
        ("average-pool", {"factor": 4}, 192),
    ):
        problem, y = problem_on(operator, parameters, PHOTO, 2)
        x = normal(2, 4, *PHOTO, seed=1)
        truth = truth_of(problem, x[:, 0], y, x, x.mean(1), x.std(1), 4)
        assert NullSpace().why_empty(truth) == {}
        assert axes_of(problem, y, PHOTO).seen.sum(1).unique().tolist() == [num_seen]
        values = NullSpace().compute(x, truth)
        both = values["diversity_null"] + values["diversity_range"]
        torch.testing.assert_close(both, 2 * x.flatten(2).var(1).mean(1))
        torch.testing.assert_close(values["diversity_null_ratio"], torch.ones(2, dtype=DOUBLE))


# --- all together -------------------------------------------------------------------------------------------------


def truth_of_photos(num_draws: int = 32, num_samples: int = 8) -> Truth:
    problem, y = problem_on("inpaint-box", {"box": 16}, PHOTO, 2)
    draws = 0.2 * normal(2, num_draws, *PHOTO)
    zero = torch.zeros(2, *PHOTO, dtype=DOUBLE)
    return truth_of(
        problem, 0.2 * normal(2, *PHOTO, seed=3), y, draws, zero, zero + 0.2, num_samples
    )


def test_photographs_have_numbers_or_reasons_in_every_column():
    truth = truth_of_photos()
    evaluation = evaluation_of(truth)
    values = compute(0.2 * normal(2, 8, *PHOTO, seed=4).float(), truth)
    wanted = {
        column.id
        for column in evaluation.columns
        if not evaluation.unmet.get(column.needs)
        and column.id not in evaluation.why_empty
        and column.extent == "measurement"
        and column.needs != "chain"
    }
    assert wanted <= {id for id, value in values.items() if value.isfinite().all()}
    assert evaluation.why_empty["sw2sq-128_white"] == SINGULAR
    assert {"energy", "worth_energy", "sw2sq-128", "diversity_null", "c2st-energy"} <= wanted


def test_whitening_needs_more_draws_than_values():
    truth = truth_of_photos()
    assert set(SlicedWasserstein().why_empty(truth)) == {"sw2sq-128_white"}
    assert set(SlicedWasserstein().compute(truth.reference[:, :8], truth)) == {
        "sw2-128",
        "sw2sq-128",
    }


def test_the_score_of_large_images_is_left_out_unless_asked_for():
    truth = truth_of_photos()
    reason = "n/a (images of more than 1024 values)"
    assert Stein().why_empty(truth) == {"ksd2-imq": reason, "stein_ratio": reason}
    assert Stein(largest=3072).why_empty(truth) == {}


def test_ssim_has_the_window_in_its_name_and_a_reason_below_it():
    metric, truth = SSIM(windows=(0.5, 1.5)), truth_of_photos()
    assert metric.why_empty(truth) == {}
    values = metric.compute(truth.reference[:, :2], truth)
    assert list(values) == [column.id for column in metric.columns(None)]
    x = normal(2, 3, 1, 8, 8).tanh()
    small = truth_of(None, x[:, 0], x[:, 0], x, x[:, 0], x[:, 0], 3)
    reason = "n/a (image smaller than the window, 11 x 11)"
    assert metric.why_empty(small) == {"ssim-g1.5_mean": reason, "ssim-g1.5_sample": reason}
    assert set(metric.compute(x, small)) == {"ssim-g0.5_mean", "ssim-g0.5_sample"}


@pytest.mark.parametrize("std", [0.5, 1.5])
def test_ssim_in_float32_is_that_in_float64(std, monkeypatch):
    x_true = normal(1, *PHOTO).mul(0.5).tanh()
    x = (x_true[:, None] + 0.1 * normal(1, 2, *PHOTO, seed=1)).clamp(-1, 1)
    quick = ssim(x, x_true, std)
    monkeypatch.setattr("bench.metrics.ssim.MOST_DOUBLE", 10**6)
    torch.testing.assert_close(quick, ssim(x, x_true, std), rtol=1e-5, atol=0)
