"""Damaged tables, figures and pages are found, one output of each job, and folders that replace files are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.core.artefacts import ArtefactError, write_csv, write_recorded
from bench.plan import damaged_products, load
from bench.plan.products import refuse_folders
from bench.plan.rules import Rules

SUITE = """
name: tiny
seeds: [0]
num_measurements: 2
num_samples: 2
num_reference: 2
rows_per_chunk: 8
datasets: {digits: {}}
priors: {gmm: {family: gmm, dataset: digits, num_components: 2, shrinkage: 1, floor: 0.01}}
tasks: {gmm-denoise: {operator: denoise, sigma_y: 0.5}}
methods: {oracle: {}}
"""


@pytest.fixture
def rules(tmp_path, monkeypatch) -> Rules:
    """The rules of a suite of which the tables, a figure and the page were made."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(SUITE)
    root = Path("results/tiny")
    pages = {"summary.md": b"page", "summary.tex": b"tex", "distance.md": b"more"}
    write_csv(root / "tables/summary.csv", "a\n", {}, pages)
    write_csv(
        root / "figures/distance.csv", "a\n", {}, {"distance.png": b"p", "distance.pdf": b"d"}
    )
    write_recorded(root / "report.html", b"page", {})
    made = Rules(load({"suite": "tiny.yaml"}))
    for spec in map(Path, made.specs):
        spec.parent.mkdir(parents=True, exist_ok=True)
        spec.touch()
    return made


def test_a_complete_or_missing_file_is_not_damaged(rules):
    assert damaged_products(rules) == set()
    shutil.rmtree("results/tiny")
    assert damaged_products(rules) == set()


def test_a_deleted_spec_asks_for_the_page_so_that_a_run_begins_and_writes_it(rules):
    Path(next(iter(rules.specs))).unlink()
    assert damaged_products(rules) == {"results/tiny/report.html"}


@pytest.mark.parametrize(
    ("name", "asked_for"),
    [
        ("tables/summary.csv", "tables/summary.csv"),
        ("tables/summary.tex", "tables/summary.csv"),
        ("tables/distance.md", "tables/summary.csv"),
        ("tables/summary.csv.info.json", "tables/summary.csv"),
        ("figures/distance.png", "figures/distance.csv"),
        ("report.html", "report.html"),
        ("report.html.info.json", "report.html"),
    ],
)
@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b""), Path.unlink])
def test_a_damaged_product_is_found(rules, name, asked_for, harm):
    harm(Path("results/tiny") / name)
    expected = (
        {f"results/tiny/{asked_for}"} if Path(f"results/tiny/{asked_for}").exists() else set()
    )
    assert damaged_products(rules) == expected


@pytest.mark.parametrize(
    "name",
    [
        "tasks/gmm-denoise/observations.safetensors",
        "figures/ranks.png",
        "tables/summary.csv.info.json",
    ],
)
def test_a_folder_in_the_place_of_an_artefact_is_named(rules, name):
    refuse_folders(rules)
    path = Path("results/tiny") / name
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)
    with pytest.raises(
        ArtefactError, match=f"{name}: is a folder, and a file belongs there; delete it"
    ):
        refuse_folders(rules)
