"""The list of the papers' experiments: suites, what they need and have, and their state."""

from __future__ import annotations

import pytest

from bench.plan import papers_listing
from bench.plan.papers import original
from bench.plan.papers_listing import listing, state_of


@pytest.fixture
def lines(tmp_path, monkeypatch) -> list[str]:
    """The list in a folder without results, weights and images; hours have a test of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(papers_listing, "gpu_hours", lambda suite: 12.0)
    monkeypatch.setattr(papers_listing, "read_rehearsals", dict)
    return listing().splitlines()


def line_of(lines: list[str], words: str) -> str:
    (line,) = [line for line in lines if words in line]
    return line


def test_each_experiment_has_a_suite_and_a_state_or_a_reason(lines):
    assert "| papers/dps_ffhq256 | not run here |" in line_of(lines, "| phase retrieval on FFHQ |")
    assert "| none | not possible | needs the network BKSE" in line_of(lines, "| Table 4 |")


def test_the_needs_of_a_suite_are_listed_with_whether_they_are_present(lines):
    needs = line_of(lines, "| papers/dps_ffhq256 | not run here | ffhq_10m (absent) |")
    assert "ffhq256 (absent)" in needs and "vgg16 (absent)" in needs and needs.endswith("| 12 |")
    assert "cifar10_vgg13_bn.pt" in line_of(lines, "| papers/ods_cifar10 | not run here | icfm")
    assert any("samples x (rows forward + rows backward)" in line for line in lines)


def test_results_change_the_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suite = original("papers/dps_ffhq256")
    for name, state in (
        ("dps_ffhq256-rehearsal", "rehearsed here, not recorded"),
        ("dps_ffhq256", "run"),
    ):
        page = tmp_path / "results" / name / "report.html"
        page.parent.mkdir(parents=True)
        page.write_text("page")
        assert state_of(suite, None) == state


def test_published_results_count_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert state_of(original("sphere"), None) == "run"
