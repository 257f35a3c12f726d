"""What data sets and priors of plug-in files return is checked where it is made: one line, before others are blamed."""

from __future__ import annotations

import pytest
import torch

from bench.core.errors import UserError
from bench.numerics.gradients import gradient
from bench.stages.data import complete
from bench.stages.prior import _fitted, _refuse_malformed

PARTS = ("train", "validation", "test")


def loaded(**changes: object) -> dict:
    images = {part: torch.zeros(3, 1, 8, 8) for part in PARTS}
    return images | {f"{part}_id": torch.arange(3) for part in PARTS} | changes


def test_a_data_set_with_all_parts_is_returned_as_it_is():
    whole = loaded()
    assert complete(whole) is whole


@pytest.mark.parametrize(
    ("whole", "line"),
    [
        ([1], "load() returned list, expected a dict"),
        (loaded(validation=None), "load() returned NoneType for validation"),
        (
            loaded(test=torch.zeros(3, 1, 8, 4)),
            "load() returned test of shape (1, 8, 4), train has",
        ),
        (loaded(test=torch.zeros(3, 8, 8)), "load() returned (3, 8, 8) torch.float32 for test"),
        (loaded(train=torch.zeros(3, 1, 8, 8).byte()), "torch.uint8 for train"),
        (
            loaded(train=torch.zeros(0, 1, 8, 8)),
            "load() returned (0, 1, 8, 8) torch.float32 for train",
        ),
        (loaded(test_id=None), "load() returned no test_id"),
        (loaded(test_id=torch.zeros(3)), "no test_id with another number for each of 3 images"),
    ],
)
def test_a_data_set_that_lacks_something_is_refused_in_one_line(whole, line):
    with pytest.raises(ValueError) as refused:
        complete(whole)
    assert line in str(refused.value)


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (None, "fit() returned NoneType, expected two dicts"),
        (({"mean": [1.0]}, {}), "fit() returned list for 'mean', expected a tensor"),
        (({}, {"std": torch.ones(2)}), "fit() returned a card that is no JSON"),
    ],
)
def test_a_prior_that_cannot_be_stored_is_refused_in_one_line(made, line):
    with pytest.raises(UserError) as refused:
        _fitted(made)
    assert line in str(refused.value)


@pytest.mark.parametrize(
    "drawn", [torch.zeros(8, 1, 8, 8), torch.zeros(2, 4, 1, 8, 8).long(), torch.zeros(2, 4).numpy()]
)
def test_draws_of_another_kind_are_refused_in_one_line(drawn):
    with pytest.raises(UserError, match=r"sample\(\) returned .*, expected \(2, 4, 1, 8, 8\)"):
        _refuse_malformed(drawn, (2, 4, 1, 8, 8))


def test_a_density_with_an_axis_too_many_is_refused_and_not_broadcast():
    x = torch.ones(3, 2)
    with pytest.raises(ValueError, match=r"has shape \(3, 3\), expected \(3,\)"):
        gradient(lambda x, y: x.sum(1, keepdim=True) + y.sum(1), x, x)
