"""docs/methods.md agrees with the docstrings of the methods, and these have all its parts."""

import re
from pathlib import Path

import pytest

from bench.core.kinds import KINDS, kind_of
from bench.core.registry import find, load, names
from bench.core.source import read_source
from bench.plan.method_page import declared_kind, method_page, write_method_page

REPOSITORY = Path(__file__).resolve().parents[2]
METHODS = names("method")


def test_the_committed_page_is_up_to_date():
    committed = (REPOSITORY / "docs" / "methods.md").read_text()
    assert committed == method_page(), "run posterior-bench docs"


def test_the_page_is_written(tmp_path):
    write_method_page(tmp_path / "methods.md")
    assert (tmp_path / "methods.md").read_text() == method_page()


def test_each_method_is_listed_once_below_its_kind():
    kind, found = "", {}
    for line in method_page().splitlines():
        if line.startswith("## "):
            kind = line.removeprefix("## ")
        if line.startswith("### "):
            assert line.removeprefix("### ") not in found
            found[line.removeprefix("### ")] = kind
    assert found == {name: declared_kind(name) for name in METHODS}
    order = [kind for kind in KINDS if kind in found.values()]
    assert list(dict.fromkeys(found.values())) == order


@pytest.mark.parametrize("name", METHODS)
def test_each_method_states_its_cost_and_when_it_is_exact(name):
    source = read_source(find("method", name))
    assert re.search(r"\bcosts?\b|\bdecoded once\b", source.doc)
    assert re.search(r"^(Exact when|Not exact:)", source.doc, re.MULTILINE)


@pytest.mark.parametrize("name", METHODS)
def test_the_page_and_the_harness_agree_on_the_kind_of_a_method(name):
    assert declared_kind(name) == kind_of(load("method", name)()) != "other"


def test_the_kind_of_hmc_follows_its_space():
    hmc = load("method", "hmc")
    assert (kind_of(hmc(space="latent")), kind_of(hmc(space="data"))) == ("latent", "control")


def test_a_method_without_a_known_kind_is_other():
    assert kind_of(object()) == kind_of(type("Method", (), {"kind": "magic"})) == "other"
