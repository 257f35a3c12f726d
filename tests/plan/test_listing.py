"""A plan notices that the images of a data set `folder` have changed."""

import os

import pytest
from helpers.suite_file import (
    folder_of_two_methods,  # noqa: F401 (a fixture)
    suite_file,
)

from bench import plan
from bench.plan import listing
from bench.plan.inputs import Inputs
from bench.plan.listing import listing_of


@pytest.fixture
def images(tmp_path):
    """Return a folder with two files, one of them in a folder inside."""
    folder = tmp_path / "images"
    (folder / "a").mkdir(parents=True)
    for name in ("a/0.png", "1.png"):
        (folder / name).write_bytes(b"pixels")
    return folder


def touched(images):
    os.utime(images / "1.png", (0, 0))


@pytest.mark.parametrize(
    "change",
    [
        lambda images: (images / "2.png").write_bytes(b""),
        lambda images: (images / "a/0.png").unlink(),
        lambda images: (images / "1.png").rename(images / "a/1.png"),
        lambda images: (images / "1.png").write_bytes(b"others"[:-1]),
        touched,
    ],
    ids=["added", "deleted", "moved", "another size", "another time"],
)
def test_a_change_in_the_folder_changes_the_listing(images, change):
    before = listing_of({"path": str(images)})
    assert before and listing_of({"path": str(images)}) == before
    change(images)
    assert listing_of({"path": str(images)}) != before


def test_hidden_files_do_not_count_and_links_may_lead_nowhere(images):
    (images / "2.png").symlink_to(images / "nowhere.png")
    before = listing_of({"path": str(images)})
    (images / ".cache").mkdir()
    (images / ".cache/0.png").write_bytes(b"")
    (images / ".hidden").write_bytes(b"")
    assert listing_of({"path": str(images)}) == before


def test_files_behind_links_and_lists_count_too(images, tmp_path):
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    parameters = {"path": str(images), "names": "../names.txt"}
    listings = [listing_of(parameters)]
    for file in ("elsewhere/2.png", "names.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("1.png")
        listings.append(listing_of(parameters))
    assert len(set(listings)) == 3


def test_no_folder_and_a_very_large_one_have_no_listing(images, monkeypatch):
    assert listing_of({"path": str(images / "nowhere")}) == ""
    monkeypatch.setattr(listing, "MOST_FILES", 1)
    assert listing_of({"path": str(images)}) == ""


def test_only_the_data_job_of_the_folder_depends_on_it(folder, images):
    mine = {"datasets/folder-mine": {"path": str(images), "side": 8}}
    inputs = Inputs(plan.load(suite_file(folder, **mine)))
    jobs = [("data", "folder-mine"), ("data", "digits"), ("prior", "folder-mine")]

    def codes():
        return [inputs.code(stage, {"dataset": name, "prior": "gmm"}) for stage, name in jobs]

    before = codes()
    (images / "2.png").write_bytes(b"more")
    assert [now == then for now, then in zip(codes(), before, strict=True)] == [False, True, True]
