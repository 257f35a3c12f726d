"""The numbers in docs/errors-of-public-code.md are those that the command prints, and have the right sign."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.papers.public_errors import ERRORS, effects

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors-of-public-code.md"
# those that no run of DPS is needed for, which takes ten times as long
QUICK = tuple(
    name for name in ERRORS if name not in ("norm over the batch", "denoised image clipped")
)
# of numbers printed with two or three decimals, under another rounding of sums
CLOSE = {"energy": 0.02, "std_ratio": 0.02, "psnr": 0.2}


def on_the_page() -> dict[str, list[float]]:
    rows = re.findall(r"^\| ([^|]+) \|((?: -?[\d.]+ \|){6})$", PAGE.read_text(), re.MULTILINE)
    return {name: [float(x) for x in numbers.split("|")[:6]] for name, numbers in rows}


def test_the_page_lists_all_errors_and_how_each_is_prevented():
    text = PAGE.read_text()
    assert list(on_the_page()) == list(ERRORS)
    assert all(text.count(f"\n| {name} |") == 2 for name in ERRORS)


def test_numbers_are_those_of_the_page():
    expected, shown = on_the_page(), {}
    for effect in effects(QUICK):
        shown[effect.error] = effect
        numbers = [*effect.energy, *effect.std_ratio, *effect.psnr]
        close = [CLOSE[name] for name in CLOSE for _ in range(2)]
        for number, page, tolerance in zip(numbers, expected[effect.error], close, strict=True):
            assert number == pytest.approx(page, abs=tolerance), effect
    assert all(effect.energy[1] > effect.energy[0] + 0.05 for effect in shown.values())
    chosen = shown["sample chosen by the truth"]
    assert chosen.psnr[1] > chosen.psnr[0] + 1  # and yet the samples are worse
