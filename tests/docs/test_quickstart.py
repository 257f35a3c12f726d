"""The quickstart notebook runs from start to end in a folder with nothing else in it."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOK = REPOSITORY / "docs" / "quickstart.ipynb"
SECONDS = 600  # for a cell, on a busy machine
MOST_LINES_OF_THE_SAMPLER = 11


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> nbformat.NotebookNode:
    """The notebook with its outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3")
    paths = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths}
    environment.pop("MPLBACKEND", None)  # of other tests: the kernel chooses its own
    return client.execute(cwd=str(tmp_path_factory.mktemp("elsewhere")), env=environment)


def text_of(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(
        str(output.get("text", output.get("data", {}).get("text/plain", ""))) for output in outputs
    )


def test_committed_notebook_has_no_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_sampler_is_short():
    (cell,) = [
        cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if "def sample" in cell.source
    ]
    (function,) = [
        node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.FunctionDef)
    ]
    assert function.end_lineno - function.lineno <= MOST_LINES_OF_THE_SAMPLER


@pytest.mark.slow
def test_every_cell_runs(executed):
    assert "(16, 64, 1, 8, 8)" in text_of(executed)


@pytest.mark.slow
def test_leaderboard_has_the_published_rows_and_mine(executed):
    text = text_of(executed)
    assert all(row in text for row in ("reference", "dps", "unconditional", "annealed_langevin"))


@pytest.mark.slow
def test_plot_is_drawn(executed):
    assert any(
        "image/png" in output.get("data", {})
        for cell in executed.cells
        for output in cell.get("outputs", [])
    )
