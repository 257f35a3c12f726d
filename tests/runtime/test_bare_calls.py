"""Recorded network calls, made again alone."""

from __future__ import annotations

import torch
from helpers.descent import Descent

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.runtime.bare_calls import own_calls, recorded, replay, replay_own
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


class Through(torch.nn.Module):
    """A network around another one, which counts its own calls."""

    def __init__(self):
        super().__init__()
        self.inner, self.num_calls = torch.nn.Identity(), 0

    def forward(self, x):
        self.num_calls += 1
        return self.inner(x)


class Learned(ToyPrior):
    """A prior whose calls go through a network."""

    def denoise(self, x_t, sigma):
        return super().denoise(torch.nn.Identity()(x_t), sigma)


def test_own_calls_are_of_outermost_networks_that_the_prior_does_not_call():
    prior, network, x = Learned(), Through(), torch.ones(2, 3)
    with own_calls(prior) as (view, calls), torch.no_grad():
        x_t = torch.zeros(2, *prior.shape, dtype=torch.float64)
        assert torch.equal(
            view.denoise(x_t, torch.tensor(0.5)), view.denoise(x_t, torch.tensor(0.5))
        )
        network(x)
    network(x)  # no longer watched
    assert [(call.network, call.differentiable) for call in calls] == [(network, False)]
    replay_own(calls)
    assert network.num_calls == 3
