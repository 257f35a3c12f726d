"""docs/reference agrees with the source."""

from pathlib import Path

import pytest

from bench.core.registry import KINDS, names
from bench.plan.reference_pages import page, write_pages

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", KINDS)
def test_committed_pages_are_up_to_date(kind):
    committed = (REPOSITORY / "docs" / "reference" / f"{kind}s.md").read_text()
    assert committed == page(kind), "run posterior-bench docs"


def test_page_has_every_plugin_with_types_defaults_and_comments():
    text = page("method")
    assert all(f"## {name}\n" in text for name in names("method"))
    assert "| `zeta` | `float` | `1.0` | the paper's step size zeta' |" in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_meaning(kind):
    assert not [line for line in page(kind).splitlines() if line.endswith("|  |")]


def test_pages_are_written_one_per_kind(tmp_path):
    write_pages(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{kind}s.md" for kind in KINDS
    )
