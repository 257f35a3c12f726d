"""The key `reference` of a task, and the cost that a particle reference states before it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.mixtures import mixture_task

from bench.core.errors import UserError
from bench.problems.posteriors import NoPosterior, TemperedSMC, posterior_of
from bench.problems.reference_mode import kind_of, stated_cost, wanted_posterior


@pytest.fixture(scope="module")
def known():
    """A prior, a problem, their exact posterior, and one measurement."""
    prior, problem, y = mixture_task()
    return prior, problem, posterior_of(prior, problem), y


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [("", "exact"), ("exact", "exact"), ("particles", "particles"), ("none", "none")],
)
def test_a_task_gets_the_reference_that_its_key_names(known, wanted, kind):
    prior, problem, posterior, _ = known
    assert kind_of(wanted_posterior(wanted, posterior, prior, problem, "gmm-x")) == kind


@pytest.mark.parametrize("wanted", ["exact", "particles"])
def test_a_reference_that_is_impossible_is_refused_in_one_line(known, wanted):
    prior, problem, _, _ = known
    none = NoPosterior(prior, "this prior has no decoder")
    words = f"gmm-x: reference: {wanted}: this prior has no decoder; expected none"
    with pytest.raises(UserError, match=words):
        wanted_posterior(wanted, none, prior, problem, "gmm-x")


def test_exact_is_refused_where_there_are_particles_only(known):
    prior, problem, _, _ = known
    by_particles = TemperedSMC(prior, problem)
    with pytest.raises(UserError, match="known by tempered SMC; expected particles"):
        wanted_posterior("exact", by_particles, prior, problem, "gmm-x")


def test_particles_state_their_number_and_their_time_before_they_start(known):
    prior, problem, _, y = known
    posterior = TemperedSMC(prior, problem, num_particles=16)
    few = stated_cost(posterior, y, 8, None)
    assert few == "2 runs of 1 measurements with 16 particles each"
    many = stated_cost(replace(posterior, num_bank=2), y.expand(8, *y.shape[1:]), 8, 16)
    assert many.startswith("2 runs of 8 measurements with 16 particles each, about ")
    assert "seconds on this machine" in many
