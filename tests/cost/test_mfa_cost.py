"""The output of the cost command on the mixture of factor analysers follows from its measurements."""

import pytest
import torch

from bench.cost import mfa
from bench.cost.common import Options


@pytest.fixture
def small(monkeypatch):
    for name, value in {"NUM_ROWS": 4, "SHAPE": (3, 4, 4), "NUM_COMPONENTS": 2, "RANK": 3}.items():
        monkeypatch.setattr(mfa, name, value)
    return mfa.random_mixture((3, 4, 4), 2, 3)


def test_products_are_those_of_one_call(small):
    """Rows, columns and colours into the basis and out of it; loadings both ways; four with K vectors each."""
    products = mfa.products_of(small, torch.zeros(4, 3, 4, 4).double(), times=1)
    shapes = [tuple(torch.matmul(*factors).shape) for factors in products]
    turned = [(48, 4), (48, 4), (4, 3, 16)]
    assert shapes == [*turned, *turned, (4, 6), (4, 48), (4, 2), (4, 48), (4, 2), (4, 48)]
    assert len(mfa.products_of(small, torch.zeros(4, 3, 4, 4).double(), times=2)) == 2 * len(shapes)


def test_it_prints_ratios_in_both_precisions_and_their_difference(small):
    said = []
    content = mfa.measure(Options(repeats=2), said.append)
    names = [f"{what}, {of}" for of in ("float64", "float32") for what in ("forward", "with VJP")]
    assert [line.split(" rows, ")[1].partition(":")[0] for line in said[:4]] == names
    assert all(len(content[name]["denoiser"]) == 2 for name in names)
    assert "at most 1.5: " in said[0] and "at most 0.0001: met" in said[4]


def test_the_ratio_is_that_of_medians():
    assert mfa.Turns([3.0, 1.0, 2.0], [1.0, 1.0, 5.0]).ratio == 2.0
