"""Worth in exact draws: the expectation of the relative errors for exact draws, copies and a frozen chain."""

import csv
import dataclasses
import io
import math

import pytest
import torch
from helpers.metric_values import context_of, truth_of

from bench.core.metric import Column
from bench.metrics._evaluation import Evaluation, built_in_columns, open_metric
from bench.metrics._relative_errors import relative_energy_of, relative_error_of_mean
from bench.metrics._table import NO_ERROR, ZERO, Scores, Table
from bench.metrics.sliced_wasserstein import FEW_DRAWS
from bench.metrics.worth import Worth
from bench.numerics.debiased import FLOOR, debiased_square, whitened, yardsticks
from bench.problems.references import ReferenceDraws
from bench.stages.evaluate import score_reference

DOUBLE = torch.float64
M, S, E, D = 600, 16, 96, 4  # each measurement is a repetition with reference draws of its own
FEW = 100  # repetitions of what takes longer
SHAPE = (1, 2, 2)


def draws_of(law: str, num: int, seed: int) -> torch.Tensor:
    """Return independent draws (M, num, *SHAPE): of one Gaussian, or of two far modes of weights 0.3 and 0.7."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(M, num, D, generator=generator, dtype=DOUBLE) * torch.linspace(0.1, 1, D)
    if law == "bimodal":
        x = x + 4.0 * (torch.rand(M, num, 1, generator=generator, dtype=DOUBLE) < 0.3)
    return x.unflatten(2, SHAPE)


def moments_of(law: str) -> tuple[torch.Tensor, torch.Tensor]:
    mean = torch.full((M, D), 4 * 0.3 if law == "bimodal" else 0.0, dtype=DOUBLE)
    between = 16 * 0.3 * 0.7 if law == "bimodal" else 0.0
    std = (torch.linspace(0.1, 1, D, dtype=DOUBLE).square() + between).sqrt().expand(M, D)
    return mean.unflatten(1, SHAPE), std.unflatten(1, SHAPE)


def known(law: str, has_formula: bool = True):
    """Return the truth of M repetitions, with moments by a formula or of the reference draws."""
    reference = draws_of(law, E, 0)
    mean, std = moments_of(law) if has_formula else (reference.mean(1), reference.std(1))
    zero = torch.zeros(M, *SHAPE, dtype=DOUBLE)
    truth = truth_of(None, zero, zero, reference, mean, std, S)
    return dataclasses.replace(truth, has_formula=has_formula)


def errors_off(values: torch.Tensor, expected: float) -> float:
    return ((values.mean() - expected) / (values.std() / math.sqrt(len(values)))).item()


@pytest.mark.parametrize("law", ["gaussian", "bimodal"])
def test_the_error_of_s_exact_draws_is_one_over_s(law):
    x = draws_of(law, S, 1).flatten(2)
    assert abs(errors_off(relative_energy_of(x, known(law)), 1 / S)) < 4
    for has_formula in (True, False):
        error = relative_error_of_mean(x, known(law, has_formula))
        assert abs(errors_off(error, 1 / S)) < 4
    values = Worth().compute(draws_of(law, S, 1), known(law))
    torch.testing.assert_close(values["worth_energy"], 1 / relative_energy_of(x, known(law)))


def test_without_its_share_a_mean_of_draws_would_count_its_own_error():
    """The mean of E draws has an error of 1 / E, a sixth of that of S."""
    truth = known("gaussian", has_formula=False)
    x = draws_of("gaussian", S, 1).flatten(2)
    wrong = relative_error_of_mean(x, dataclasses.replace(truth, has_formula=True))
    assert errors_off(wrong, 1 / S) > 2.5
    assert wrong.mean().item() == pytest.approx(1 / S + 1 / E, rel=0.15)


@pytest.mark.parametrize("law", ["gaussian", "bimodal"])
def test_copies_are_worth_their_originals_and_a_frozen_chain_one(law):
    some, truth = draws_of(law, S // 4, 1).flatten(2), known(law)
    copies = some.repeat_interleave(4, 1)
    assert abs(errors_off(relative_energy_of(copies, truth), 4 / S)) < 4
    assert abs(errors_off(relative_error_of_mean(copies, truth), 4 / S)) < 4
    frozen = some[:, :1].expand(-1, S, -1)
    assert abs(errors_off(relative_energy_of(frozen, truth), 1)) < 4
    assert abs(errors_off(relative_error_of_mean(frozen, truth), 1)) < 4


@pytest.mark.parametrize("law", ["gaussian", "bimodal"])
def test_the_reference_is_worth_as_many_draws_as_a_block_has(law):
    """Blocks are averaged as errors, too: the mean of their reciprocals would be larger by a half."""
    x_b = draws_of(law, 4 * S, 2)
    none = ("",) * M
    reference = ReferenceDraws(draws_of(law, E, 0), x_b, *moments_of(law), none, False)
    truth = known(law)
    unmet = {"reference": "", "operator": "", "reward": "", "score": "", "teacher": ""}
    swapped = dataclasses.replace(truth, reference=x_b, cache={})
    context = context_of(truth.x_true, S)
    both = [Evaluation((Worth(),), context, [one], unmet) for one in (truth, swapped)]
    scores = score_reference(reference, *both)
    for values in scores.values.values():
        assert abs(errors_off(1 / values, 1 / S)) < 4


def test_a_single_point_has_no_worth():
    point = torch.zeros(M, E, *SHAPE, dtype=DOUBLE)
    truth = dataclasses.replace(known("gaussian"), reference=point, std=point[:, 0], cache={})
    values = Worth().compute(draws_of("gaussian", S, 1), truth)
    assert not any(value.isfinite().any() for value in values.values())


@pytest.mark.parametrize(("value", "reason"), [(math.inf, NO_ERROR), (0.0, ZERO)])
def test_a_worth_without_a_finite_reciprocal_has_its_own_reason(value, reason):
    """Samples whose mean is that of the posterior to the bit, and an error that overflows."""
    (column,) = (x for x in Worth().columns(None) if x.id == "worth_mean")
    scores = Scores("row", 0, {"worth_mean": torch.tensor([value])}, ("",), "")
    text = Table("task", (column,), {"reference": ""}).csv([scores])
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["value"], line["reason"]) == ("", reason)


@pytest.mark.parametrize("is_white", [False, True])
@pytest.mark.parametrize("law", ["gaussian", "bimodal"])
def test_the_debiased_distance_of_exact_draws_is_zero(law, is_white):
    draws, exact = (draws_of(law, num, seed)[:FEW].flatten(2) for num, seed in ((E, 0), (S, 1)))
    made = yardsticks(draws, S, is_white)
    assert len(made) == 4
    assert abs(errors_off(debiased_square(exact, made), 0)) < 4
    # in one of two modes, or off by half the largest deviation
    other = draws_of("gaussian", S, 1)[:FEW].flatten(2)
    flawed = other if law == "bimodal" else other + 0.5
    assert errors_off(debiased_square(flawed, made), 0) > 5


def test_whitened_coordinates_show_an_error_in_a_narrow_direction():
    """Off by 3 deviations in the direction of 0.1: 3^2 / D in the mean over directions, when whitened."""
    draws = draws_of("gaussian", E, 0)[:FEW].flatten(2)
    shift = torch.tensor([0.3, 0, 0, 0], dtype=DOUBLE)
    x = draws_of("gaussian", S, 1)[:FEW].flatten(2) + shift
    white, raw = (debiased_square(x, yardsticks(draws, S, is_white)) for is_white in (True, False))
    assert white.mean().item() == pytest.approx(9 / D, rel=0.2)
    assert raw.mean().item() == pytest.approx(0.09 / D, rel=0.5)
    assert errors_off(white, 0) > 3 * errors_off(raw, 0)


def test_directions_without_spread_are_whitened_by_the_floor():
    draws = draws_of("gaussian", E, 0).flatten(2)
    draws[..., 0] = 0
    across = whitened(draws, torch.eye(D, dtype=DOUBLE))
    largest = torch.linalg.eigvalsh(torch.stack([x.T.cov() for x in draws])).amax(1)
    torch.testing.assert_close(across[:, 0, 0], (FLOOR * largest).rsqrt(), rtol=1e-6, atol=0)
    # more values than draws: the same through singular values
    few = draws_of("gaussian", 3, 0).flatten(2)
    wide = whitened(few, torch.eye(D, dtype=DOUBLE))
    spread = wide @ torch.stack([x.T.cov() for x in few]) @ wide
    assert (torch.linalg.eigvalsh(spread).amax(1) - 1).abs().max() < 1e-6


def test_too_few_reference_draws_leave_a_reason():
    truth = known("gaussian")
    short = dataclasses.replace(truth, reference=truth.reference[:, : 2 * S - 1], cache={})
    metric = open_metric("sliced_wasserstein", {})
    assert set(metric.why_empty(short)) == {"sw2sq-128", "sw2sq-128_white"}
    assert set(metric.why_empty(short).values()) == {FEW_DRAWS}
    assert set(metric.compute(draws_of("gaussian", S, 1), short)) == {"sw2-128"}


def test_harmonic_columns_are_those_of_worth_and_raw_spread_has_no_direction():
    columns: dict[str, Column] = {column.id: column for column in built_in_columns()}
    harmonic = {id for id, column in columns.items() if column.average == "harmonic"}
    assert harmonic == {"worth_mean", "worth_energy", "worth_energy_total"}
    raw = {"diversity", "pairwise-pixels", "vendi", "ds6-pixels", "diversity_null"}
    for id in (*raw, "diversity_range"):
        assert columns[id].better is None and columns[f"{id}_ratio"].better == 1
