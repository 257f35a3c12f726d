"""Settings at a budget: a row's cost stays within it, and the committed suite has the settings of the rules."""

from __future__ import annotations

import pytest
import torch
import yaml
from helpers.repository import REPOSITORY

from bench.core.registry import load, plugin_of
from bench.cost.budgets import (
    BUDGETS,
    NUM_MEASUREMENTS,
    PULLS,
    RULES,
    Terms,
    budgets_of,
    training_rows,
    tuned,
)
from bench.priors._mixture import GMM
from bench.problems.inverse_problem import InverseProblem
from bench.runtime.metering import counted
from bench.runtime.run_method import load_method, train

SUITE = yaml.safe_load((REPOSITORY / "config/budget.yaml").read_text())
TERMS = Terms(num_samples=SUITE["num_samples"])
ROWS = [(plugin, budget) for plugin in RULES for budget in budgets_of(plugin)]


def mixture() -> GMM:
    """Two Gaussians over images of 8 x 8."""
    means = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]).double()
    covariances = 0.1 * torch.eye(64).double().expand(2, 64, 64)
    return GMM(torch.full((2,), 0.5).double(), means, covariances)


@pytest.mark.parametrize("plugin, budget", ROWS)
def test_each_row_meets_its_budget_and_never_exceeds_it(plugin, budget):
    settings = SUITE["methods"][f"{plugin}-b{budget}"]
    cost = load_method(plugin, settings).nfe(mixture(), SUITE["num_samples"])
    shared = training_rows(plugin, settings, TERMS) / (NUM_MEASUREMENTS * SUITE["num_samples"])
    # a further step of the descent is a decoded image with its gradient
    step = TERMS.evaluation if plugin == "dflow" else 0.1 * budget
    assert budget - step <= cost.forward + cost.backward + shared <= budget


@pytest.mark.parametrize("plugin, budget", ROWS)
def test_the_suite_has_the_settings_of_the_rules(plugin, budget):
    assert SUITE["methods"][f"{plugin}-b{budget}"] == RULES[plugin](budget, TERMS)


@pytest.mark.parametrize("plugin", RULES)
def test_each_task_has_the_settings_that_won_its_search(plugin):
    for task, entry in SUITE["tasks"].items():
        won = tuned(task, plugin, REPOSITORY / "results/reference/tuning")
        for row in (f"{plugin}-b{budget}" for budget in budgets_of(plugin)):
            found, expected = (of_task.get(row, {}) for of_task in (entry["settings"], won))
            settings = SUITE["methods"][row]
            # settings that are the defaults may be left out
            assert load_method(plugin, settings | found) == load_method(
                plugin, settings | expected
            ), (task, row)


@pytest.mark.parametrize("plugin, pull", PULLS.items())
def test_a_pull_falls_as_its_steps_rise_on_every_task(plugin, pull):
    for task, entry in SUITE["tasks"].items():
        found = {
            SUITE["methods"][row]["num_steps"] * (settings | entry["settings"].get(row, {}))[pull]
            for row, settings in SUITE["methods"].items()
            if plugin_of("method", row) == plugin
        }
        assert max(found) == pytest.approx(min(found), rel=0.01), task


@pytest.mark.parametrize("plugin", ["aps", "ods", "rtb"])
def test_training_costs_the_rows_that_the_rules_count(plugin):
    settings = RULES[plugin](BUDGETS[0], TERMS)
    prior, meter = counted(mixture())
    problem = InverseProblem(load("operator", "denoise")(), 0.5, (1, 8, 8))
    train(load_method(plugin, settings), prior, problem, "task", 0)
    assert meter.forward + meter.backward == training_rows(plugin, settings, TERMS)


def test_all_methods_run_on_the_same_eight_tasks_with_three_training_seeds():
    assert "restrict" not in SUITE and len(SUITE["tasks"]) == 8
    assert len(SUITE["seeds"]) == 3
    assert SUITE["num_measurements"] >= 32 and len(BUDGETS) == 5


def test_all_methods_are_tuned_on_equal_terms():
    tuning = yaml.safe_load((REPOSITORY / "config/tuning.yaml").read_text())
    asked = tuning["tune"]
    assert asked["methods"] == [*RULES] and asked["tasks"] == [*SUITE["tasks"]]
    assert asked["num_measurements"] >= 32 and "restrict" not in tuning
    assert tuning["methods"] == {name: rule(450, TERMS) for name, rule in RULES.items()}
