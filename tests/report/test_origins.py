"""What tables say of the commits that made a suite's artefacts."""

from __future__ import annotations

from bench.report.origins import faults_of, made_by
from bench.stats.results import Origin


def test_an_installed_copy_is_named_without_a_warning():
    """It has no repository, so neither its commit nor edits are known; it still cannot publish."""
    origins = [Origin("a", "unknown", None), Origin("b", "unknown", None)]
    assert made_by(origins) == ("Made by an installed copy, which does not know its commit.",)
    assert faults_of(origins)


def test_an_edited_checkout_has_a_warning():
    (made, *faults) = made_by([Origin("a", "c" * 40, True)])
    assert made == f"Made by commit {'c' * 12} (1 files)." and "uncommitted" in faults[0]
    assert "not known" in made_by([Origin("a", "unknown", None), Origin("b", "c" * 40, False)])[1]
