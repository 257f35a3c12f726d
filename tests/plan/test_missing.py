"""Missing paths of data sets and checkpoints are reported before any job starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.suite_file import folder_of_two_methods, suite_file  # noqa: F401 (a fixture)

from bench import plan
from bench.core.errors import UserError
from bench.plan.missing import missing_files, refuse_hopeless

IMAGES = {"path": "my_images", "side": 16}
MODEL = {"family": "edm", "dataset": "digits", "pipeline": "my_model"}


def lines_of(folder: Path, model: str = "my_model", images: str = "my_images") -> list[str]:
    changes = {
        "datasets/folder-mine": IMAGES | {"path": images},
        "priors/mine": {"family": "atoms", "dataset": "folder-mine"},
        "priors/edm": MODEL | {"pipeline": model},
        "tasks/mine-a": {"operator": "denoise", "sigma_y": 1},
        "tasks/edm-a": {"operator": "denoise", "sigma_y": 1},
    }
    suite = plan.load(suite_file(folder, **changes))
    refuse_hopeless(suite)  # other tasks are left
    return [*missing_files(suite).values()]


def test_each_line_has_file_field_path_and_what_was_expected(folder):
    images, model = lines_of(folder)
    where = f"seen from {folder}"
    assert images == (
        f"my.yaml: datasets.folder-mine.path: nothing is at my_images, {where}; expected its images"
    )
    assert model == (
        f"my.yaml: priors.edm.pipeline: nothing is at my_model, {where}; expected a folder of diffusers"
    )


@pytest.mark.parametrize(
    "model",
    [
        "my_model",
        "google/ddpm-cifar10-32",
        "ddpm-cifar10-32",
        "results/reference/priors/photos_edm",
    ],
)
def test_a_path_that_exists_or_may_exist_elsewhere_is_not_missing(folder, model):
    for name in ("my_images", "my_model"):
        (folder / name).mkdir()
    assert lines_of(folder, model) == []


def test_a_folder_next_to_others_is_not_a_hub_id(folder):
    (folder / "models").mkdir()
    assert len(lines_of(folder, "models/mine")) == 2


def test_a_suite_of_which_no_task_is_left_stops(folder):
    tasks = {"edm-a": {"operator": "denoise", "sigma_y": 1}}
    suite = plan.load(suite_file(folder, **{"priors/edm": MODEL, "tasks": tasks}))
    with pytest.raises(UserError, match=r"my.yaml: priors.edm.pipeline: nothing is at my_model"):
        refuse_hopeless(suite)
