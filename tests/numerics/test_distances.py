"""Shortcuts for distances give the same bits as the computations that they replace."""

from __future__ import annotations

import pytest
import torch

from bench.numerics.distances import ascending, wasserstein2_squared


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_sorted_as_torch_sorts_them(dtype):
    values = torch.randn(3, 50, 7, dtype=dtype, generator=torch.Generator().manual_seed(0))
    values[0, 0, 0], values[0, 1, 0], values[0, 2, 0] = torch.nan, torch.inf, -torch.inf
    before = values.clone()
    for given in (values, values.mT):
        found, expected = ascending(given), given.sort(-1).values
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
        assert found.is_contiguous()
    torch.testing.assert_close(values, before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("size", [64, 448])
def test_sets_whose_sizes_divide_have_the_distance_of_the_general_formula(size):
    generator = torch.Generator().manual_seed(0)
    x, y = (
        ascending(torch.randn(2, 5, n, dtype=torch.float64, generator=generator))
        for n in (64, size)
    )
    # the other way round nothing divides, unless both are of one size
    assert torch.equal(wasserstein2_squared(x, y), wasserstein2_squared(y, x))
    if size == 64:
        by_hand = (x - y).square().mean(-1)
        torch.testing.assert_close(wasserstein2_squared(x, y), by_hand, rtol=1e-14, atol=0)
