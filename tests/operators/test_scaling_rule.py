"""The table of docs/add-an-operator.md: parameters of the papers at 256 pixels, scaled to smaller images."""

import re
from pathlib import Path

import pytest

from bench.core.registry import load
from bench.problems import make_problem

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-an-operator.md"
SIDES = (32, 64, 256)


def table():
    """Return rows (operator, parameter, rule, values at each side) of the table under the heading of the rule."""
    text = PAGE.read_text().split("## Parameters and the size of images")[1]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(*(cell.strip("`") for cell in row[:2]), row[2], row[3:]) for row in cells]


def scaled(rule, side):
    """Return the value that a rule gives at a side."""
    if found := re.fullmatch(r"side / (\d+)", rule):
        return side // int(found[1])
    if found := re.fullmatch(r"(\d+) side / 256", rule):
        return int(found[1]) * side / 256
    if found := re.fullmatch(r"(\d+) side / 256, nearest odd", rule):
        return 2 * round((int(found[1]) * side / 256 - 1) / 2) + 1
    assert rule == "as it is"
    return None


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row[0]}-{row[1]}")
def test_values_follow_the_rule(row):
    _, _, rule, values = row
    for side, value in zip(SIDES, values, strict=True):
        expected = scaled(rule, side)
        assert float(value) == float(values[-1] if expected is None else expected)


@pytest.mark.parametrize("side", SIDES)
def test_the_values_are_those_of_operators_for_images_of_that_side(side):
    parameters: dict[str, dict] = {}
    for operator, parameter, _, values in table():
        kind = load("operator", operator).__annotations__[parameter]
        value = values[SIDES.index(side)]
        parameters.setdefault(operator, {})[parameter] = (
            int(value) if kind == "int" else float(value)
        )
    for operator, given in parameters.items():
        make_problem(operator, given, 0.1, (3, side, side))
    assert {"blur", "motion-blur", "inpaint-random-box", "bicubic", "fourier"} <= set(parameters)
