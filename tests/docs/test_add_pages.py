"""The files that docs/add-a-*.md show are complete: dropped into a folder of plug-ins, they pass its checks."""

import os
import re
from pathlib import Path

import pytest
from helpers.forked import run_module

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"operator": ("add-an-operator", "row_means"), "dataset": ("add-a-dataset", "stripes")}
PAGES |= {"prior": ("add-a-prior", "pixels")}


def python_block(page: str) -> str:
    """Return the first Python file on a page."""
    return re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL
    )[0]


@pytest.mark.parametrize("kind", PAGES)
def test_the_file_on_the_page_conforms(kind, tmp_path):
    page, name = PAGES[kind]
    file = tmp_path / f"{kind}s" / f"{name}.py"
    file.parent.mkdir()
    file.write_text(python_block(page))
    environment = os.environ | {"POSTERIOR_BENCH_PLUGINS": str(tmp_path)}
    checked = run_module(["bench.conformance", "--kind", kind, name], environment=environment)
    assert checked.returncode == 0 and "conforms" in checked.stdout, checked.stdout + checked.stderr


def test_the_program_on_the_page_of_checkpoints_runs(tmp_path):
    script = tmp_path / "checkpoint.py"
    script.write_text(python_block("add-a-checkpoint"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = run_module(["checkpoint"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, 8, 8) (0.01") and "[1, 1, 8, 8]" in done.stdout
