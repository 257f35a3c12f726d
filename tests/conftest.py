"""One thread for each test process: tests run side by side, and the commands they start have one thread as well.

And a small suite's results, with its tables, figures and page.
"""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

# (numpy reads the number of threads when it is imported)
from helpers.made_once import made_once
from helpers.synthetic_results import write_results

# the slowest files, slowest first: if they start early, no process is left working alone at the end
LONG = (
    "test_end_to_end.py",
    "test_drop_in.py",
    "test_workflow.py",
    "test_ties.py",
    "test_pages.py",
    "test_quickstart.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first; the others stay in their order."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spec of a suite with its tables, figures and report, which tests only read."""
    root = made_once(tmp_path_factory, "finished", write_finished_suite)
    return root / "specs" / "suite.json"


def write_finished_suite(root: Path) -> None:
    """Write a small suite's results with tables, figures and report."""
    from bench.core.results import FIGURES
    from bench.stages import claims as claims_stage
    from bench.stages import figure
    from bench.stages import grid as picture
    from bench.stages import published as published_stage
    from bench.stages import report as report_stage
    from bench.stages import tables as tables_stage

    spec = write_results(root)
    for path in spec.parent.glob("evaluate/*.json"):
        picture.main(str(path))
    suite = figure.load_with_published(str(spec))
    results = figure.FigureResults(suite)
    with pytest.MonkeyPatch.context() as patch:  # read and summarised once for all figures
        patch.setattr(figure, "load_with_published", lambda _: suite)
        patch.setattr(figure, "FigureResults", lambda _: results)
        for name in FIGURES:
            figure.main(str(spec), name)
    for stage in (tables_stage, published_stage, claims_stage, report_stage):
        stage.main(str(spec))


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return write_results(tmp_path)
