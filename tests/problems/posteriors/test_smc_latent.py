"""References of decoder priors against closed forms and grids, and their rejection where they are wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from helpers.latent_truth import measurements
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.core.types import Cap, Prior
from bench.numerics.diagnostics import clustered_effective_sample_size, nested_rhat
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.measurements import Measurements
from bench.problems.posteriors import (
    Conjugate,
    NoPosterior,
    TemperedSMC,
    posterior_of,
    teacher_posterior,
)
from bench.problems.posteriors.particles import (
    Particles,
    Schedule,
    begin,
    convergence,
    particles_of,
    survey,
)
from bench.problems.posteriors.smc_latent import LatentSMC
from bench.stages.reference import (
    MAX_RHAT,
    MIN_ESS,
    draw,
    of_runs,
    perplexity,
    reason,
    two_sets,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class TanhDecoder:
    """x = tanh(V tanh(U z + b)) on images of two pixels, float32 inside as learned decoders are."""

    num_latents: int = 2
    decode_nfe: int = 1
    teacher: Prior | None = None
    caps: Cap = Cap.DECODER
    shape: ClassVar[tuple[int, ...]] = (1, 1, 2)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.num_latents,)

    def decode(self, z: Tensor) -> Tensor:
        u, b, v = (
            normal(*shape, seed=3).float() for shape in ((8, self.num_latents), (8,), (2, 8))
        )
        return torch.tanh(torch.tanh(z.float() @ u.T + b) @ v.T).to(z.dtype).view(-1, 1, 1, 2)

    def sample(self, num_samples: int, rng: Rng) -> Tensor:
        z = rng.randn((num_samples, self.num_latents))
        return self.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])


def grid(prior: TanhDecoder, problem, y: Tensor) -> tuple[Tensor, Tensor]:
    """Decoded points of a grid in z and the posterior's mass at each, for one measurement y (1, *y)."""
    axis = torch.arange(-6, 6.01, 0.03, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * prior.num_latents).view(-1, prior.num_latents)
    x = prior.decode(z)
    log_density = -z.square().sum(1) / 2 + problem.log_likelihood(x, y.expand(len(x), *y.shape[1:]))
    return x.flatten(1), log_density.softmax(0)


def features(x: Tensor) -> Tensor:
    """Functions of two pixels whose means tell distributions apart, (n, 2) -> (n, 6)."""
    a, b = x.T
    return torch.stack([a, b, a * a, b * b, a * b, (a > b).double()], 1)


# ---- particles


def test_noise_of_many_values_has_no_particles_and_a_reason():
    problem = make_problem("denoise", {}, 0.5, TanhDecoder.shape)
    assert isinstance(posterior_of(TanhDecoder(256), problem), LatentSMC)
    posterior = posterior_of(TanhDecoder(257), problem)
    assert isinstance(posterior, NoPosterior) and "would take hours" in posterior.why


def test_particles_agree_with_the_closed_form_of_an_affine_decoder():
    prior = ToyPrior()
    problem = ToyProblem(prior)
    y = measurements(prior, problem, 2)
    for i, (mean, covariance) in enumerate(zip(*problem.posterior(y), strict=True)):
        (particles,) = LatentSMC(prior, problem, num_particles=1024).run(
            y[i : i + 1], 64, Rng(("smc",), (i,))
        )
        centred = particles.x[:, -1].flatten(1) - mean
        factor = torch.linalg.cholesky(covariance)
        white = torch.linalg.solve_triangular(factor, centred.T, upper=False).T
        worth = clustered_effective_sample_size(white.T[..., None], particles.ancestor)
        assert worth.min() > 300
        # five standard errors of means and variances, 32 of them
        assert (white.mean(0).abs() < 5 * worth.rsqrt()).all()
        assert (white.T.cov() - torch.eye(16)).abs().max() < 5 * (2 / worth.min()) ** 0.5


@pytest.mark.parametrize(
    "operator, parameters", [("denoise", {}), ("phase", {"oversample": 2.0})], ids=str
)
@pytest.mark.parametrize("num_latents", [1, 2])
def test_particles_agree_with_a_grid(operator, parameters, num_latents):
    prior, n = TanhDecoder(num_latents), 2048
    problem = make_problem(operator, parameters, 0.3, prior.shape)
    y = measurements(prior, problem, 3)
    for i in range(3):
        (particles,) = LatentSMC(prior, problem, num_particles=n).run(
            y[i : i + 1], 64, Rng(("smc",), (i,))
        )
        points, mass = grid(prior, problem, y[i : i + 1])
        found, expected = features(particles.x[:, -1].flatten(1)), mass @ features(points)
        worth = clustered_effective_sample_size(found.T[..., None], particles.ancestor).clamp_max(n)
        deviation = (mass @ (features(points) - expected).square()).sqrt()
        # 72 means in all; the grid's border and step leave 1e-3
        assert worth.min() > 200
        assert ((found.mean(0) - expected).abs() < 5 * deviation * worth.rsqrt() + 1e-3).all()


def test_runs_scatter_as_their_effective_sample_sizes_say():
    prior, num_runs = TanhDecoder(), 60
    problem = make_problem("denoise", {}, 0.3, prior.shape)
    y = measurements(prior, problem, 1)
    smc = LatentSMC(
        prior, problem, num_particles=128, num_moves=1, num_leapfrog=3, num_final_moves=2
    )
    runs = [smc.run(y, 32, Rng(("scatter", k), (0,)))[0] for k in range(num_runs)]
    x = torch.stack([run.x.flatten(2) for run in runs])  # (K, n, T, 2)
    sizes = torch.stack(
        [
            clustered_effective_sample_size(run.x.flatten(2).movedim(-1, 0), run.ancestor)
            for run in runs
        ]
    )
    observed = x.mean((1, 2)).var(0)
    expected = (x.flatten(1, 2).var(1) / sizes).mean(0)
    # a variance of 60 means is known to a deviation of sqrt(2 / 59) = 18 %
    torch.testing.assert_close(observed / expected, torch.ones(2).double(), rtol=0, atol=0.6)
    assert (sizes.mean(0) > 50).all()


def test_a_measurement_does_not_depend_on_the_others_and_draws_can_be_many():
    prior = TanhDecoder()
    problem = make_problem("denoise", {}, 0.3, prior.shape)
    y = measurements(prior, problem, 3)
    smc = LatentSMC(prior, problem, num_particles=64)
    whole = smc.sample(y, 16, Rng(("smc",), range(3)))
    assert whole.shape == (3, 16, *prior.shape)
    assert torch.equal(smc.sample(y[1:2], 16, Rng(("smc",), (1,))), whole[1:2])
    many = smc.sample(y[:1], 200, Rng(("smc",), (0,)))  # more than particles were asked for
    # two states of each of 100 particles, the second of them refused a quarter of the time
    assert smc.size(200) == 100 and 150 < len(many[0].flatten(1).unique(dim=0)) < 200
    assert smc.moments(y) is smc.perplexity(y) is smc.perplexity_of is None and not smc.offered


def test_a_measurement_with_nan_does_not_run_forever():
    prior = TanhDecoder()
    problem = make_problem("denoise", {}, 0.3, prior.shape)
    measurements = Measurements(
        None, torch.full((1, 1, 1, 2), math.nan).double(), torch.tensor([0]), {"task": "t"}
    )
    *_, checks = draw(LatentSMC(prior, problem), measurements, 8)
    assert "energy_share nan" in reason(checks[0], 8)


def test_measurements_of_unlike_difficulty_go_in_one_batch():
    """They leave it after different numbers of temperatures, and each is what it is alone."""
    prior, problem = ToyPrior(), ToyProblem(ToyPrior(), sigma_y=0.02)
    y = measurements(prior, problem, 3)
    y[1, 1:] = 0  # nothing was measured
    smc = LatentSMC(prior, problem, num_particles=64, num_bank=4)
    whole = smc.run(y, 64, Rng(("batch",), range(3)))
    for i, together in enumerate(whole):
        (alone,) = smc.run(y[i : i + 1], 64, Rng(("batch",), (i,)))
        torch.testing.assert_close(alone.x, together.x, rtol=0, atol=1e-9)
        assert torch.equal(alone.ancestor, together.ancestor)


def test_an_impossible_measurement_leaves_the_others_as_they_are():
    prior = TanhDecoder()
    problem = make_problem("denoise", {}, 0.3, prior.shape)
    y = measurements(prior, problem, 2)
    smc = LatentSMC(prior, problem, num_particles=32)
    known, lost = smc.run(torch.cat([y[:1], torch.nan * y[:1]]), 16, Rng(("smc",), range(2)))
    assert lost.x.isnan().all() and lost.x.shape == known.x.shape
    assert torch.equal(known.x, smc.run(y[:1], 16, Rng(("smc",), (0,)))[0].x)


@dataclass(frozen=True, eq=False)
class Line(TanhDecoder):
    """x = z on images of two pixels."""

    def decode(self, z: Tensor) -> Tensor:
        return z.view(-1, *self.shape)


def two_runs_from(bank_a: Tensor, bank_b: Tensor) -> dict:
    """The checks of two runs under p(y | x) = N(y; |x|, 0.2^2), y = (1.5, 1.5), from given draws of the prior."""
    smc = LatentSMC(Line(), OfMagnitude(), num_particles=256)
    schedule = Schedule(smc.num_moves, smc.num_leapfrog, smc.num_final_moves, 2, smc.ess_share)
    y, runs = torch.full((1, *Line.shape), 1.5, dtype=torch.float64), []
    for name, bank in (("a", bank_a), ("b", bank_b)):
        surveyed = survey(smc.problem, smc._decoded, bank, y)
        rng = Rng((name,), (0,))
        cloud = begin(smc._model, bank, surveyed, y, rng, 256)
        runs += particles_of(schedule.carry(smc._model, cloud), smc._decoded, 1, Line.shape)
    return of_runs(*runs, 512)[2]


class OfMagnitude:
    """y = |x| + noise: four modes."""

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        return -(y - x.abs()).square().flatten(1).sum(1) / (2 * 0.2**2)


def test_two_runs_that_each_found_one_mode_are_refused():
    a, b = normal(16384, 2), normal(16384, 2, seed=1)
    assert reason(two_runs_from(a, b), 512) == ""
    one_mode = two_runs_from(a.abs(), -b.abs())
    assert "rhat" in reason(one_mode, 512) and "shift" in reason(one_mode, 512)
    # half of the modes in one run, all of them in the other
    lost = two_runs_from(torch.stack([a[:, 0].abs(), a[:, 1]], 1), b)
    assert "rhat" in reason(lost, 512)


# ---- diagnostics


def test_nested_rhat_has_its_closed_form():
    # Two groups at -d and d, unit variance: the variance of their means is 2 d^2. Within a group the definition adds to
    # the variance in a chain, 1, that of the chains' means, 1 / 4.
    chains = normal(50, 2, 500, 4)
    apart = chains + torch.tensor([-0.5, 0.5], dtype=torch.float64)[:, None, None]
    assert nested_rhat(chains).mean() == pytest.approx(1, abs=1e-3)
    assert nested_rhat(apart).mean() == pytest.approx(math.sqrt(1 + 2 * 0.25 / 1.25), rel=0.01)
    # short chains that have not mixed at all are no disagreement of groups
    frozen = normal(50, 2, 500, 1).expand(50, 2, 500, 4)
    assert nested_rhat(frozen).mean() == pytest.approx(1, abs=2e-3)
    assert nested_rhat(chains[..., :1]).mean() == pytest.approx(1, abs=2e-3)
    assert nested_rhat(torch.ones(2, 5, 3)) == 1
    assert nested_rhat(torch.tensor([0.0, 1.0])[:, None, None].expand(2, 5, 3)).isposinf()


def test_effective_sample_size_of_clusters():
    each = torch.arange(1000)
    assert clustered_effective_sample_size(normal(200, 1000, 1), each).mean() == pytest.approx(
        1000, rel=0.05
    )
    # states of a chain that are independent count in full, copies of a particle count once
    assert clustered_effective_sample_size(normal(200, 500, 2), each[:500]).mean() == pytest.approx(
        1000, rel=0.1
    )
    copies = normal(200, 250, 1).repeat_interleave(4, 1)
    assert clustered_effective_sample_size(copies, each // 4).mean() == pytest.approx(250, rel=0.03)
    assert clustered_effective_sample_size(normal(10, 1), torch.zeros(10, dtype=torch.long)).isnan()
    assert clustered_effective_sample_size(torch.ones(10, 2), each[:10]) == 20


def particles(n: int = 512, seed: int = 0, shift: float = 0.0) -> Particles:
    x = normal(n, 3, 1, 4, 4, seed=seed) + shift
    return Particles(x, -x.flatten(2).square().sum(2) / 2, torch.arange(n))


def test_two_runs_that_agree_are_admitted_and_others_are_not():
    good = convergence(particles(), particles(seed=1))
    assert good["rhat"] < 1.005 and good["ess"] > 2000
    assert reason(good | {"energy_share": 0.0, "shift": 1.0}, 512) == ""
    one_mode = convergence(particles(shift=1.0), particles(seed=1, shift=-1.0))
    text = reason(one_mode | {"energy_share": 0.0, "shift": 1.0}, 512)
    assert one_mode["rhat"] > 1.5 and f"above {MAX_RHAT:.3f}" in text
    family = replace(particles(), ancestor=torch.arange(512) // 256)  # of two ancestors
    clones = replace(
        family, x=family.x[:1].expand(512, -1, -1, -1, -1) + family.ancestor.view(-1, 1, 1, 1, 1)
    )
    poor = convergence(clones, clones)
    assert poor["ess"] < 10
    assert f"effective sample size {poor['ess']:.0f} below {MIN_ESS:.0f}" in reason(
        poor | good_sets(), 512
    )
    heirs = replace(particles(), ancestor=torch.zeros(512, dtype=torch.long))
    assert "effective sample size nan" in reason(convergence(heirs, heirs) | good_sets(), 512)


def good_sets() -> dict[str, float]:
    return {"energy_share": 0.0, "shift": 1.0}


def test_a_posterior_of_one_point_has_converged():
    point = Particles(
        torch.ones(16, 3, 1, 2, 2).double(), torch.zeros(16, 3).double(), torch.arange(16)
    )
    assert convergence(point, point) == {"rhat": 1.0, "ess": 96.0}


# ---- the task


def stored(prior, problem, m: int) -> Measurements:
    return Measurements(
        None, measurements(prior, problem, m), torch.arange(m), {"task": "vae-denoise"}
    )


def test_sets_of_a_decoder_prior_are_admitted_with_their_record():
    prior = TanhDecoder()
    problem = make_problem("denoise", {}, 0.3, prior.shape)
    seen = stored(prior, problem, 2)
    sets = two_sets(posterior_of(prior, problem), seen, 128, None, "reference")
    assert sets.x_a.shape == sets.x_b.shape == (2, 128, *prior.shape) and sets.reasons == ["", ""]
    for check in sets.checks:
        assert set(check) == {"energy_share", "shift", "rhat", "ess", "num_particles"}
        assert check["rhat"] < MAX_RHAT and check["ess"] > MIN_ESS
    assert perplexity(posterior_of(prior, problem), seen.y, sets.x_a) == [None, None]


def test_measurements_that_were_not_admitted_get_more_particles():
    prior = TanhDecoder()
    problem = make_problem("denoise", {}, 0.3, prior.shape)
    # too few to be worth 200 draws
    few = LatentSMC(prior, problem, num_particles=8, num_final_moves=2)
    *_, checks = draw(few, stored(prior, problem, 1), 16)
    assert checks[0]["num_particles"] == 16 and "effective sample size" in reason(checks[0], 16)
    *_, checks = draw(LatentSMC(prior, problem), stored(prior, problem, 1), 16, num_particles=8)
    assert checks[0]["num_particles"] == 8 and reason(checks[0], 16)  # the number is given: one try


def test_the_posterior_fits_the_prior():
    shape = TanhDecoder.shape
    linear, other = (
        make_problem("denoise", {}, 0.3, shape),
        make_problem("saturate", {"gain": 2.0}, 0.3, shape),
    )
    mixture = GMM(
        torch.ones(1).double(), torch.zeros(1, *shape).double(), torch.eye(2).double()[None]
    )
    assert isinstance(posterior_of(TanhDecoder(), other), LatentSMC)
    assert isinstance(teacher_posterior(TanhDecoder(teacher=mixture), linear), Conjugate)
    assert isinstance(teacher_posterior(TanhDecoder(teacher=mixture), other), TemperedSMC)
    assert teacher_posterior(TanhDecoder(teacher=TanhDecoder()), other) is None
    assert teacher_posterior(TanhDecoder(), other) is teacher_posterior(mixture, other) is None


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        (TanhDecoder(decode_nfe=100), "100 network calls"),
        (TanhDecoder(caps=Cap.DENOISER), "no decoder"),
    ],
)
def test_no_reference_is_a_reason(prior, words):
    problem = make_problem("denoise", {}, 0.3, prior.shape)
    posterior = posterior_of(prior, problem)
    assert isinstance(posterior, NoPosterior) and not posterior.offered
    sets = two_sets(posterior, stored(TanhDecoder(), problem, 2), 8, None, "reference")
    assert (
        sets.x_a.isnan().all()
        and all(words in text for text in sets.reasons)
        and len(sets.reasons) == 2
    )
