"""Relative trajectory balance: zero loss for a constant likelihood, evidence by any chain, gain by training."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, GaussianPrior, correlated, isotropic

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.numerics.diffusion import ancestral_step, karras_sigmas
from bench.numerics.nets import flatten_state, initialise
from methods.rtb import RTB
from methods.rtb.chain import Chain, build
from methods.rtb.training import Training


class PriorByRows(GaussianPrior):
    """The prior of the bed with a denoiser that takes a noise level for each row, as those of the benchmark do."""

    def denoise(self, x_t, sigma):
        values, vectors = torch.linalg.eigh(self.covariance)
        shrink = values / (values + sigma.square().view(-1, 1))
        flat = x_t.flatten(1) - self.mean
        return (self.mean + flat @ vectors * shrink @ vectors.mT).view_as(x_t)


def by_rows(prior: GaussianPrior) -> PriorByRows:
    return PriorByRows(prior.mean, prior.covariance, prior.shape)


SMALL = RTB(num_steps=8, width=32, num_layers=2, num_groups=4, group_size=4, num_simulated=256)


@dataclasses.dataclass(frozen=True)
class Silent:
    """A problem whose measurement says nothing: its likelihood is constant."""

    caps: ClassVar[Cap] = Cap.GRAD | Cap.SIMULATE

    def log_likelihood(self, x, y):
        return 0 * x.flatten(1).sum(1)

    def simulate(self, x, rng):
        return rng.randn((len(x), 3))[0]


def untrained(method: RTB, prior: GaussianPrior, problem, num_numbers: int) -> Chain:
    """Return a chain as it is before training, of the rng's seed."""
    one, zeros = torch.ones((), dtype=torch.float64), torch.zeros(num_numbers).double()
    chain = build(method, prior, problem, (0 * one, 0.5 * one), (zeros, zeros + 1))
    initialise(chain.net, Rng(("test", "net"), [0]), zero=("mlp.out", "gain"))
    return chain


@pytest.mark.parametrize("drift", ["guided", "plain"])
def test_a_constant_likelihood_has_loss_zero_before_training(drift):
    method, prior = dataclasses.replace(SMALL, drift=drift), by_rows(correlated())
    chain, rng = untrained(method, prior, Silent(), 3), Rng(("test", "rtb"), [0])
    training = Training(method, chain, prior.sample(64, rng)[0], rng)
    assert training.imbalance().abs().max() == 0
    assert training.balance_loss() == 0


def test_before_training_the_plain_chain_is_the_priors():
    method, bed = dataclasses.replace(SMALL, drift="plain"), GaussianBed(by_rows(correlated()))
    chain = untrained(method, bed.prior, bed.problem, bed.y[0].numel())
    moments = zip(("x.mean", "x.std", "y.mean", "y.std"), chain.moments, strict=True)
    state = flatten_state(chain.net, "net") | dict(moments)
    streams = [Rng(("test", "rtb"), range(2), range(3)) for _ in range(2)]
    x = method.sample(bed.prior, bed.problem, bed.y, 3, rng=streams[0], state=state)
    noises = streams[1].per_sample.steps(method.num_steps, bed.prior.shape)
    sigmas = karras_sigmas(method.num_steps, method.sigma_min, method.sigma_max)[:-1]
    x_t = sigmas[0] * next(noises).flatten(0, 1)
    for sigma, sigma_next, noise in zip(sigmas, sigmas[1:], noises, strict=False):
        x_0 = bed.prior.denoise(x_t, sigma)
        x_t = ancestral_step(x_t, x_0, sigma, sigma_next, noise.flatten(0, 1))
    expected = bed.prior.denoise(x_t, sigmas[-1]).unflatten(0, (2, 3))
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-12)


def test_levels_of_a_narrow_prior_are_its_own_and_all_different():
    prior = dataclasses.replace(by_rows(correlated()), sigma_range=(0.1, 5.0))
    chain = untrained(RTB(), prior, Silent(), 3)
    # equal levels would be steps without noise, whose control is 0 / 0
    assert (chain.std > 0).all() and chain.reach.isfinite().all()
    ends = torch.tensor([5.0, 0.1], dtype=torch.float64)
    torch.testing.assert_close(chain.sigmas[[0, -1]], ends)


def test_the_weights_of_any_chain_have_the_evidence_as_their_mean():
    """The guided chain's weights and the plain chain's are unbiased for the same number."""
    bed, num = GaussianBed(by_rows(isotropic(0.5)), "denoise", sigma_y=1.0, m=1), 4000
    y, estimates = bed.y.expand(num, *bed.y.shape[1:]), []
    for drift in ("guided", "plain"):
        method = dataclasses.replace(SMALL, drift=drift)
        chain = untrained(method, bed.prior, bed.problem, bed.y[0].numel())
        rng = Rng(("test", drift), [0])
        path = chain.rollout(y, (x[0] for x in rng.steps(method.num_steps, (num, 16))))
        with torch.no_grad():
            weight = (-chain.imbalance(path, y)).exp()
        estimates.append((weight.mean(), weight.std() / num**0.5))
    (guided, error), (plain, other_error) = estimates
    # 4 standard errors of the difference: a right pair is beyond once in 16000 seeds
    assert (guided - plain).abs() < 4 * (error.square() + other_error.square()).sqrt()
    # the prior's chain has its own law; at 8 steps its evidence is within a tenth of a nat of the prior's
    assert (guided.log() - bed.log_evidence()).abs() < 0.1 + 4 * error / guided


def test_the_imbalance_is_the_difference_of_the_log_densities_of_the_steps():
    """Against normal densities written down from the definition of a step, on paths noised from images."""
    method, bed = SMALL, GaussianBed(by_rows(correlated()), m=3)
    chain = untrained(method, bed.prior, bed.problem, bed.y[0].numel())
    for parameter in chain.net.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    rng = Rng(("test", "paths"), [0])
    x = bed.prior.sample(3, rng)[0].flatten(1)
    with torch.no_grad():
        path = chain.noised(x, bed.y, rng.randn((3, method.num_steps, 16))[0])
        expected = -bed.problem.log_likelihood(path.denoised[:, -1].view(3, 1, 4, 4), bed.y)
        for i, (sigma, sigma_next) in enumerate(zip(chain.sigmas, chain.sigmas[1:], strict=False)):
            level, x_t = torch.full((3,), i), path.state[:, i]
            x_0 = bed.prior.denoise(x_t.view(3, 1, 4, 4), sigma).flatten(1)
            mean = ancestral_step(x_t, x_0, sigma, sigma_next, torch.zeros_like(x_t))
            std = sigma_next * (1 - (sigma_next / sigma) ** 2).sqrt()
            moved = chain.control(x_t, x_0, path.shift[:, i], level, chain.seen(bed.y))
            at = path.state[:, i + 1]
            steps = (
                torch.distributions.Normal(mean + std * moved, std),
                torch.distributions.Normal(mean, std),
            )
            expected += (steps[0].log_prob(at) - steps[1].log_prob(at)).sum(1)
        # the network computes in float32, where other batches round otherwise
        torch.testing.assert_close(chain.imbalance(path, bed.y), expected, rtol=1e-6, atol=1e-3)


def test_training_brings_the_chain_nearer_to_the_posterior():
    bed = GaussianBed(by_rows(correlated()), "inpaint-box", sigma_y=0.3, m=4)
    quality = {}
    for num in (1, 120):
        method = dataclasses.replace(SMALL, num_iterations=num, learning_rate=5e-3)
        state = method.train(bed.prior, bed.problem, rng=Rng(("test", "train"), [0]))
        rng = Rng(("test", "paths"), range(4))
        quality[num] = method.diagnose(bed.prior, bed.problem, bed.y, 200, rng=rng, state=state)
    gap = {num: (q["log_z"] - q["elbo"]).mean() for num, q in quality.items()}
    assert gap[120] < 0.7 * gap[1]
    # Jensen: the mean log weight is below the log of the mean weight, whatever the paths are
    assert all((q["elbo"] <= q["log_z"]).all() for q in quality.values())


@pytest.mark.parametrize(
    ("field", "value"), [("num_iterations", 0), ("warm_start", 2.0), ("drift", "free")]
)
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(ValueError, match=f"^{field} = "):
        dataclasses.replace(RTB(), **{field: value})
