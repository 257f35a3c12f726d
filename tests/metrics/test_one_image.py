"""Ratios to the posterior where it is nearly one image: no number, since exact draws have no spread to compare with."""

import dataclasses
import math

import pytest
import torch
from helpers.metric_values import COLUMNS, compute, context_of
from helpers.tiny_task import SHAPE, E, S, evaluated, normal
from helpers.tiny_task import spec_of_tiny_task as spec_of_tiny_task  # a fixture

from bench.core.artefacts import read_tensors, write_tensors
from bench.core.metric import Truth
from bench.core.types import Cap
from bench.metrics._spread import ONE_IMAGE, is_one_image
from bench.metrics.sphere import Sphere

# columns that divide by the spread of the posterior on every task
RATIOS = {"diversity_ratio", "pairwise-pixels_ratio", "std_ratio", "worth_mean", "worth_energy"}
SPHERE = (1, 42, 1)


class Denoising:
    """y = x + sigma_y n."""

    caps, sigma_y, operator = Cap.RESIDUAL, 0.5, None

    def residual(self, x, y):
        return y - x

    def num_measured_values(self, y):
        return torch.full((len(y),), y[0].numel())

    def log_likelihood(self, x, y):
        return -(x - y).flatten(1).square().sum(1) / (2 * self.sigma_y**2)


def truth_of(shape, spread: float, num_others: int = 0) -> Truth:
    """Return two measurements: the posterior of the first is an image with noise of that spread, the second's N(0, I).

    num_others: draws of the first that are another image. Its formula gives one image alone a variance of 1e-36.
    """
    draws = normal(2, E, *shape, seed=0).double()
    draws[0] *= spread
    draws[0, :num_others] += 1.0
    std = torch.ones(2, *shape, dtype=torch.float64)
    std[0] = max(spread, math.sqrt(num_others / E), 1e-18)
    zero = torch.zeros(2, *shape, dtype=torch.float64)
    return Truth(Denoising(), zero, zero, draws, zero, std, context_of(zero, S))


def diverging(shape) -> torch.Tensor:
    """Return samples that ignore the measurement, far from all posteriors."""
    return 3 * normal(2, S, *shape, seed=1).double()


def test_no_column_blows_up_where_all_exact_draws_are_one_image():
    values = compute(diverging(SHAPE), truth_of(SHAPE, 0.0))
    known = {c.id: values[c.id][0].item() for c in COLUMNS if c.id in values}
    assert all(math.isnan(known[id]) for id in RATIOS)
    assert {id: x for id, x in known.items() if math.isfinite(x) and abs(x) > 1e6} == {}
    assert all(values[id][1].isfinite() for id in RATIOS)


@pytest.mark.parametrize(("spread", "num_others"), [(1e-3, 0), (0.0, 1)])
def test_a_narrow_posterior_and_one_of_two_images_have_ratios(spread, num_others):
    truth = truth_of(SHAPE, spread, num_others)
    assert is_one_image(truth).tolist() == [False, False]
    assert all(compute(diverging(SHAPE), truth)[id].isfinite().all() for id in RATIOS)


def test_the_ratio_on_a_sphere_has_none_either():
    values = Sphere().compute(diverging(SPHERE), truth_of(SPHERE, 0.0))["sphere_std_ratio"]
    assert values[0].isnan() and values[1] == pytest.approx(3, rel=0.1)


def test_draws_that_are_not_known_are_not_one_image():
    truth = truth_of(SHAPE, 0.0)
    unknown = truth.reference.clone()
    unknown[0, 0] = math.nan
    assert not is_one_image(dataclasses.replace(truth, reference=unknown, cache={}))[0]


def test_cells_say_that_the_posterior_is_nearly_one_image(spec):
    path = spec.parents[2] / "tasks/task/exact.safetensors"
    tensors, header = read_tensors(path)
    for name in ("x_a", "x_b"):
        tensors[name][0] = tensors[name][0, :1]
    tensors["std"][0] = 1e-18
    write_tensors(path, tensors, header)
    rows = {(row["method"], row["observation"], row["metric"]): row for row in evaluated(spec)}
    for id in RATIOS:
        for method in ("reference", "oracle", "chain"):
            assert rows[method, "0", id]["reason"] == ONE_IMAGE
            assert math.isfinite(float(rows[method, "1", id]["value"]))
