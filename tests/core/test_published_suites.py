"""The key `beside` of a suite names the published rows that are shown with it."""

from __future__ import annotations

import pytest

from bench.core import published_suites


@pytest.mark.parametrize(
    "given, name, suite",
    [
        ("", "mine", ""),
        (True, "mine", "mine"),
        ("budget", "mine", "budget"),
        ("reference", "mine", "default"),
        ("reference", "budget", "budget"),
    ],
)
def test_a_suite_may_name_rows_or_take_those_of_its_own_name(monkeypatch, given, name, suite):
    monkeypatch.setattr(published_suites, "published_suites", lambda: ["budget", "default"])
    assert published_suites.suite_beside(given, name) == suite
