"""The suites that follow the papers: their files, what is planned for them, and their rehearsals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from helpers.repository import REPOSITORY
from helpers.suite_file import (
    folder_of_two_methods,  # noqa: F401 (a fixture)
    suite_file,
)

from bench import plan
from bench.core.checkpoints import CHECKPOINTS
from bench.core.errors import UserError
from bench.core.papers import REHEARSAL
from bench.papers.experiments import EXPERIMENTS
from bench.plan.missing import missing_files
from bench.plan.papers import original, paper_spec, weights_of
from bench.plan.rehearsal import merged, twin_of
from bench.plan.rules import Rules

NAMES = sorted(path.stem for path in (REPOSITORY / "config/papers").glob("*.yaml"))
WANTED = {
    "dps_ffhq256",
    "dps_imagenet256",
    "cps_bedroom256",
    "cps_imagenet64",
    "ods_cifar10",
    "ods_ffhq",
    "aps_celeba",
    "common64",
}


def test_every_experiment_has_a_suite_that_is_there_or_a_reason():
    assert set(NAMES) == WANTED
    for x in EXPERIMENTS:
        assert x.suite or x.missing
        assert not x.suite.startswith("papers/") or x.suite.removeprefix("papers/") in NAMES


# figures and tables of the three papers whose places are known; figures that draw a method's idea are no experiments
PLACES = {
    "dps": ({*range(1, 8)}, {*range(4, 20)}),
    "cps": ({1, 2, 3}, {1, 2, 3, 4, 5}),
    "ods": ({*range(3, 15)}, {*range(1, 41)}),
}


@pytest.mark.parametrize("paper", PLACES)
def test_every_table_and_figure_of_a_paper_is_listed(paper):
    found: dict[str, set[int]] = {"Table": set(), "Figure": set()}
    for place in (x.place for x in EXPERIMENTS if x.paper == paper):
        for kind, numbers in re.findall(r"(Table|Figure)s? ([\d, to]+)", place):
            for first, last in re.findall(r"(\d+)(?: to (\d+))?", numbers):
                found[kind] |= {*range(int(first), int(last or first) + 1)}
    assert (found["Table"], found["Figure"]) == PLACES[paper]


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_is_planned_without_weights_and_images(name, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    suite = plan.load({"suite": f"papers/{name}"})
    assert suite.root == f"results/{name}" and Rules(suite).targets
    spec = paper_spec(suite)
    assert (spec is None) == (name == "common64")
    if spec:
        assert spec.unknown and len(spec.rows) == len(suite.runs)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_rehearsal_has_every_file_that_it_names(name, tmp_path, monkeypatch):
    from bench.plan.rehearsal import write_rehearsal

    monkeypatch.chdir(tmp_path)
    suite = plan.load({"suite": str(write_rehearsal(f"papers/{name}"))})
    assert missing_files(suite) == {}


@pytest.mark.parametrize("name", NAMES)
def test_public_networks_have_the_names_under_which_they_are_fetched(name, monkeypatch):
    """A hub id is looked for in the hub's own cache, where `posterior-bench weights fetch` puts nothing."""
    monkeypatch.chdir(REPOSITORY)
    named = {weights_of(prior) for prior in original(f"papers/{name}").content["priors"].values()}
    assert {x.rpartition("/")[2] for x in named if x} & CHECKPOINTS.keys() <= named


@pytest.mark.parametrize("name", NAMES)
def test_its_rehearsal_has_the_same_rows_and_is_planned(name, monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    given = original(f"papers/{name}")
    file = tmp_path / "twin.yaml"
    file.write_text(yaml.safe_dump(twin_of(given.content, f"papers/{name}"), sort_keys=False))
    twin = plan.load({"suite": str(file)})
    assert twin.root == f"results/{name}{REHEARSAL}" and twin.runs == given.runs
    assert all(len(twin.content["tasks"][task]) for task in given.tasks)
    counts = [entry.get("num_measurements", 0) for entry in twin.content["tasks"].values()]
    assert max(counts) <= 4 and twin.content["num_measurements"] <= 4
    if spec := paper_spec(twin):
        planned = paper_spec(given)
        assert planned and spec.rows == planned.rows and spec.rehearsal_of == f"papers/{name}"


@pytest.mark.parametrize("name", NAMES)
def test_sigma_y_is_stated_on_both_ranges(name):
    text = (REPOSITORY / f"config/papers/{name}.yaml").read_text()
    assert "on [0, 1]" in text or "no sigma_y" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unknown": {"seeds": "x"}}, "unknown: is what a paper does not say; give the key paper"),
        (
            {"paper": "dps", "unknown": {"tasks.nothing": "x"}},
            "unknown.tasks.nothing: there is no such place",
        ),
        ({"name": f"mine{REHEARSAL}"}, "name: a name that ends with -rehearsal is that of a"),
        ({"rehearsal_of": "papers/x"}, "name: a name that ends with -rehearsal is that of a"),
        (
            {
                "priors/gmm": {"family": "adm", "dataset": "shapes", "weights": "random"},
            },
            "priors.gmm.weights: random weights are for rehearsals",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_wrong_keys_are_reported_in_a_line(folder, changes, words):
    with pytest.raises(UserError, match="my.yaml: ") as error:
        plan.load(suite_file(folder, **changes))
    assert words in str(error.value)


def test_places_of_unknown_values_are_found_even_if_names_have_points(folder):
    changes = {"methods/toy-z0.1": {"plugin": "toy"}, "paper": "dps"}
    changes["unknown"] = {"methods.toy-z0.1.plugin": "x", "tasks.gmm-saturate.gain": "y"}
    suite = plan.load(suite_file(folder, **changes))
    spec = paper_spec(suite)
    assert spec and spec.unknown == changes["unknown"]
    specs = Rules(suite).specs["results/mine/specs/paper.json"].content()
    assert json.loads(json.dumps(specs))["paper"] == "dps"


def test_changes_of_a_rehearsal_go_inside_and_may_leave_out():
    content = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": 3}
    changes = {"a": {"c": {"d": 4}, "g": 5}, "e": [6], "f": None}
    assert merged(content, changes) == {"a": {"b": 1, "c": {"d": 4}, "g": 5}, "e": [6]}
    assert content["a"]["c"]["d"] == 2


def test_a_suite_without_the_key_cannot_be_rehearsed(folder, tmp_path):
    from bench.plan.rehearsal import write_rehearsal

    suite_file(folder)
    with pytest.raises(UserError, match="my.yaml: has no key rehearse"):
        write_rehearsal("my.yaml", Path("rehearsals"))
