"""Recorded network calls, made again alone."""

from __future__ import annotations

import torch
from helpers.descent import Descent

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.runtime.bare_calls import recorded, replay
from bench.runtime.metering import counted


def test_replay_makes_the_same_calls():
    prior = ToyPrior()
    problem = ToyProblem(prior)
    y = problem.simulate(prior.sample(1, Rng(("y",), range(3)))[:, 0], Rng(("y",), range(3)))
    watched, calls = recorded(prior)
    samples = Descent().sample(watched, problem, y, 2, rng=Rng(("test",), range(3), range(2)))
    assert torch.equal(
        samples, Descent().sample(prior, problem, y, 2, rng=Rng(("test",), range(3), range(2)))
    )
    assert [call.differentiable for call in calls] == 4 * [True, False]
    bare, meter = counted(prior)
    replay(bare, calls)
    assert (meter.forward, meter.backward) == (8 * 6, 4 * 6)
