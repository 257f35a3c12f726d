"""One file in its folder and an entry in a suite: a plug-in of each kind, found in results, tables and page.

The files are those that docs/add-a-*.md show. In a copy in which a tiny suite was run each kind alone is looked at
in a dry run, which plans nothing that the suite has, and last all six are run together.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY, messages, run_to_the_end, write_suite
from helpers.tiny_repository import METHODS, SUITE, TASKS, finished_repository

pytestmark = pytest.mark.slow

DROPPED = {  # kind: page, file, entries of the suite by section
    "dataset": ("add-a-dataset", "bench/datasets/stripes.py", {"datasets": "stripes: {side: 8}"}),
    "prior": (
        "add-a-prior",
        "bench/priors/pixels.py",
        {"priors": "pixels: {family: pixels, dataset: digits}"},
    ),
    "operator": (
        "add-an-operator",
        "bench/operators/row_means.py",
        {"tasks": "gmm-rows: {operator: row-means, width: 4, sigma_y: 0.1}"},
    ),
    "metric": (
        "add-a-metric",
        "bench/metrics/worst_pixel.py",
        {"metrics": "worst-pixel: {tasks: [gmm-denoise]}"},
    ),
    "figure": ("add-a-figure", "bench/figures/width.py", {"figures": "width: {}"}),
    "method": (
        "add-a-method",
        "methods/my_langevin.py",
        {"methods": "my_langevin: {num_steps: 20}"},
    ),
}
USES = {"priors": "striped: {family: gmm, dataset: stripes, num_components: 2}"}
USES |= {
    "tasks": "striped-denoise: {operator: denoise, sigma_y: 0.5}\n  pixels-denoise: {operator: denoise, sigma_y: 0.5}"
}
PAGES = {"tables", "published", "claims", "figure", "grid", "report"}  # of all runs together
EXPECTED = {  # jobs that a kind alone adds, without those that show all runs
    "dataset": set(),  # no prior uses it
    "prior": set(),  # it has no task
    "operator": {"observe gmm-rows", "reference gmm-rows", "evaluate gmm-rows"}
    | {f"sample gmm-rows {method} seed 0" for method in METHODS},
    "metric": {"evaluate gmm-denoise"},
    "figure": set(),
    "method": {f"sample {task} my_langevin seed 0" for task in TASKS}
    | {f"evaluate {task}" for task in TASKS},
}


def with_entries(*several: dict[str, str]) -> str:
    """Return the suite with further entries in its sections; sections that it lacks are added."""
    text = SUITE
    for section, entry in [item for entries in several for item in entries.items()]:
        line = f"{section}:\n"
        text = (
            text.replace(line, f"{line}  {entry}\n")
            if f"\n{line}" in text
            else f"{text}{line}  {entry}\n"
        )
    return text


def drop(folder: Path, kind: str) -> None:
    page, file, _ = DROPPED[kind]
    program = re.findall(
        r"```python\n(.*?)```", (REPOSITORY / f"docs/{page}.md").read_text(), re.DOTALL
    )[0]
    (folder / file).write_text(program)


@pytest.fixture(scope="module")
def planned_and_folder(tmp_path_factory) -> tuple[dict[str, list[str]], Path]:
    """Return the jobs that each kind alone would bring, and the copy in which all six were run then."""
    finished = finished_repository(tmp_path_factory)
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("copy") / "finished")
    planned = {}
    for kind, (_, file, entries) in DROPPED.items():
        drop(folder, kind)
        write_suite(folder, with_entries(entries))
        planned[kind] = messages(folder)
        (folder / file).unlink()
    for kind in DROPPED:
        drop(folder, kind)
    write_suite(folder, with_entries(*(entries for *_, entries in DROPPED.values()), USES))
    planned["all"] = messages(folder)
    run_to_the_end(folder)
    return planned, folder


@pytest.fixture(scope="module")
def planned(planned_and_folder) -> dict[str, list[str]]:
    return planned_and_folder[0]


@pytest.fixture(scope="module")
def root(planned_and_folder) -> Path:
    return planned_and_folder[1] / "results/tiny"


@pytest.mark.parametrize("kind", DROPPED)
def test_a_plug_in_alone_brings_its_own_jobs_only(planned, kind):
    assert {job for job in planned[kind] if job.split()[0] not in PAGES} == EXPECTED[kind]


def test_a_figure_brings_itself_and_the_page(planned):
    assert sorted(planned["figure"]) == ["figure width", "report"]


def test_all_six_together_rerun_no_data_prior_measurement_reference_or_sample(planned):
    before = {"data digits", "prior gmm", "prior atoms", "train gmm-denoise pays seed 0"}
    before |= {f"{stage} {task}" for stage in ("observe", "reference") for task in TASKS}
    before |= {f"sample {task} {method} seed 0" for task in TASKS for method in METHODS}
    assert not before & set(planned["all"]) and {
        "data stripes",
        "prior striped",
        "prior pixels",
    } <= set(planned["all"])


def test_each_is_in_the_results(root):
    for file in (
        "data/stripes.safetensors",
        "priors/pixels/pixels.safetensors",
        "tasks/gmm-rows/exact.safetensors",
        "figures/width.csv",
        "runs/gmm-rows/my_langevin/seed0/samples.safetensors",
    ):
        assert (root / file).stat().st_size > 0
    assert "worst_pixel" in (root / "tasks/gmm-denoise/metrics.csv").read_text()
    assert "worst_pixel" not in (root / "tasks/gmm-rows/metrics.csv").read_text()


@pytest.mark.parametrize(
    "name", ["striped-denoise", "pixels-denoise", "gmm-rows", "worst_pixel", "my_langevin"]
)
def test_each_is_in_the_tables_with_numbers(root, name):
    lines = [line.split(",") for line in (root / "tables/summary.csv").read_text().splitlines()[1:]]
    assert any(name in line[:3] and line[3] for line in lines)


@pytest.mark.parametrize("name", ["striped-denoise", "pixels-denoise", "gmm-rows", "my_langevin"])
def test_each_is_on_the_page(root, name):
    assert name in (root / "report.html").read_text()


def test_the_figure_is_on_the_page_with_its_caption(root):
    page = (root / "report.html").read_text()
    assert (
        "Standard deviation of the samples over that of the reference posterior, mean over tasks."
        in page
    )
