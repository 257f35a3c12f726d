"""Measurements in singular coordinates, against the dense matrix of the operator."""

from __future__ import annotations

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated

from bench.numerics.coordinates import coordinates_of


@pytest.mark.parametrize("operator", ["denoise", "inpaint-box", "average-pool", "blur"])
def test_coordinates_explain_the_measurement(operator):
    bed = GaussianBed(correlated(), operator)
    measured = coordinates_of(bed.problem, bed.y, bed.prior.shape)
    image = measured.spectrum.image(measured.values)
    for i, matrix in enumerate(bed.matrices):
        y = bed.problem.residual(torch.zeros(1, *bed.prior.shape).double(), bed.y[i : i + 1])
        # A^+ y is the image of smallest norm whose measurement is nearest to y. A singular value of 1e-3 amplifies
        # rounding a thousand times
        expected = torch.linalg.pinv(matrix) @ y.flatten()
        torch.testing.assert_close(image[i].flatten(), expected, rtol=1e-8, atol=1e-8)
        singular = measured.singular[i].flatten().sort(descending=True).values
        values = torch.linalg.svdvals(matrix)[: len(singular)]
        torch.testing.assert_close(singular[: len(values)], values, rtol=1e-9, atol=1e-9)


def test_levels_are_those_of_the_noise():
    bed = GaussianBed(correlated(), "inpaint-box", sigma_y=0.3)
    measured = coordinates_of(bed.problem, bed.y, bed.prior.shape)
    assert measured.levels[measured.seen].eq(0.3).all() and measured.seen.sum() == 24
    assert (
        measured.levels[~measured.seen].isinf().all() and not measured.values[~measured.seen].any()
    )
