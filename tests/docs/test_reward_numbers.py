"""Numbers in docs/reward.md are those that are published with the suites `reward` and `ods_toy`."""

from __future__ import annotations

import csv
import re

import pytest
from helpers.repository import REPOSITORY
from helpers.shown_numbers import assert_shown, published_means, table_below, words_of

PAGE = "reward.md"
TASKS = re.findall(r"^### `(.+)`$", (REPOSITORY / "docs" / PAGE).read_text(), re.MULTILINE)
# columns of the tables of a task, by the words in their heads
COLUMNS = {
    "log reward": "log_reward",
    "Frechet": "class_frechet-digits-convnet-v1-n32",
    "diversity": "class_pairwise-digits-convnet-v1",
    "energy": "energy",
    "ELBO": "elbo",
    "log Z": "log_z",
    "effective share": "path_ess",
    "rows": "nfe",
    "rows back": "nfe_vjp",
}
ROLL, TWO = "swiss_roll", "marginals"
FLOW, GENERATOR = "flow data", "generator data"
W2 = "sliced W2 to grid"
# text of the section on toys, with # for numbers, and (toy, place, quantity, sampler) of each
OF_TOYS = {
    "(sliced W2 #, between exact draws #), its log Z is # (quadrature #)": [
        (ROLL, FLOW, W2, "ods"),
        (ROLL, FLOW, W2, "floor"),
        (ROLL, "flow noise", "log Z", "ods"),
        (ROLL, "flow noise", "log Z", "quadrature"),
    ],
    "the effective share of its paths is #.": [
        (ROLL, "flow noise", "effective share of importance weights", "ods")
    ],
    "The effective share falls to #, the bound of log Z to # (quadrature #)": [
        (ROLL, "generator noise", "effective share of importance weights", "ods"),
        (ROLL, "generator noise", "lower bound of log Z", "ods"),
        (ROLL, "generator noise", "log Z", "quadrature"),
    ],
    "(sliced W2 # where exact draws have #); in data space, little (# and #)": [
        (ROLL, "generator noise", W2, "ods"),
        (ROLL, "generator noise", W2, "floor"),
        (ROLL, GENERATOR, W2, "ods"),
        (ROLL, GENERATOR, W2, "floor"),
    ],
    "# nats from its start in noise space and # in data space": [
        (TWO, "noise", "relative entropy from the start", "grid"),
        (TWO, "data", "relative entropy from the start", "grid"),
    ],
    "sliced W2 is # and # (exact draws #)": [
        (TWO, FLOW, W2, "ods"),
        (TWO, FLOW, W2, "ods in data space"),
        (TWO, FLOW, W2, "floor"),
    ],
    "hold # and # of the mass in place of # and #": [
        (TWO, FLOW, "mass near (0.50, -1.54)", "ods in data space"),
        (TWO, FLOW, "mass near (0.50, 1.92)", "ods in data space"),
        (TWO, FLOW, "mass near (0.50, -1.54)", "grid"),
        (TWO, FLOW, "mass near (0.50, 1.92)", "grid"),
    ],
    "From one Gaussian its sliced W2 is # and that of ODS #, from eight Gaussians # and #": [
        ("moons", "1 Gaussian data", W2, "adjoint"),
        ("moons", "1 Gaussian data", W2, "ods"),
        ("moons", "8 Gaussians data", W2, "adjoint"),
        ("moons", "8 Gaussians data", W2, "ods"),
    ],
}


@pytest.fixture(scope="module")
def toys():
    with open(REPOSITORY / "results/reference/ods_toy/numbers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(x["toy"], x["place"], x["quantity"], x["sampler"]): float(x["value"]) for x in rows}


@pytest.fixture(scope="module")
def reward():
    return published_means("reward")


@pytest.mark.parametrize("words", OF_TOYS)
def test_numbers_of_toys_are_those_published(toys, words):
    assert_shown(words_of(PAGE), words, [toys[key] for key in OF_TOYS[words]])


@pytest.mark.parametrize("task", TASKS)
def test_tables_of_tasks_are_those_published(reward, task):
    head, *rows = table_below(REPOSITORY / "docs" / PAGE, f"### `{task}`")
    assert len(rows) > 5 and set(head[1:]) == set(COLUMNS)
    for method, *cells in rows:
        for column, shown in zip(head[1:], cells, strict=True):
            mean = reward.get((task, method.strip("`"), COLUMNS[column]))
            assert (shown == "-") == (mean is None), (method, column)
            if mean is not None:
                digits = len(shown.partition(".")[2])
                assert abs(mean - float(shown)) <= 0.51 * 10.0**-digits, (method, column)
