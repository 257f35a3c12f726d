"""ODS: the balance at its known optimum, posteriors in closed form and by quadrature, and reproducible training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.numerics.nets import MLP, flatten_state, initialise, load_state
from bench.runtime.metering import counted
from methods.ods import ODS, trajectory
from methods.ods.sampler import Policy, Sampler
from methods.ods.trajectory import Kernel

D = 16
TINY = dict(ODS.tiny)


def rng_of(*axes: object, m: int = 1) -> Rng:
    return Rng(("test", "ods", *axes), range(m))


def measurements(problem: ToyProblem, m: int) -> Tensor:
    rng = rng_of("y", m=m)
    return problem.simulate(problem.prior.sample(1, rng)[:, 0], rng)


def draw(method: ODS, problem, y: Tensor, s: int, state: dict | None = None, ids=None) -> Tensor:
    rng = Rng(("test", "ods", "sample"), ids or range(len(y)), range(s))
    return method.sample(problem.prior, problem, y, s, rng=rng, state=state or {})


# ---- the balance


def test_reference_paths_balance():
    """log N(z_T) + sum log q(z_i given z_i+1) = log N(z_0) + sum log q(z_i+1 given z_i), along any path."""
    schedule = trajectory.vp_schedule(7, 0.5, 0.01)
    path = rng_of("paths").randn((20, 8, 3))[0]

    def log_normal(z: Tensor) -> Tensor:
        return -z.square().sum(-1) / 2

    left, right = log_normal(path[:, -1]), log_normal(path[:, 0])
    for i, b in enumerate(schedule.variance):
        left = left + trajectory.reference_kernel(path[:, i + 1], b).log_prob(path[:, i])
        right = right + trajectory.reference_kernel(path[:, i], b).log_prob(path[:, i + 1])
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)  # float64, terms up to 1e4


def test_noising_keeps_the_normal_distribution():
    schedule, n = trajectory.vp_schedule(6, 0.5, 0.01), 20_000
    rng = rng_of("noising")
    path = trajectory.noise_backwards(rng.randn((n, 2))[0], schedule, rng.randn((n, 6, 2))[0])
    # variance of a variance: 2 / n; 14 values, 5 standard errors
    assert (path.var(0) - 1).abs().max() < 5 * (2 / n) ** 0.5
    signal = (path[:, :-1] * path[:, -1:]).mean((0, 2))
    torch.testing.assert_close(signal, schedule.before.sqrt(), rtol=0, atol=5 * n**-0.5)


def gaussian_sampler(curvature: Tensor, centre: Tensor, num_steps: int) -> Sampler:
    """The likelihood exp(-curvature (z - centre)^2 / 2), diagonal, in float64."""
    policy = Policy(num_steps, len(curvature), 0, 8, 1)
    initialise(policy, rng_of("policy"), zero=("net.out", "gain", "sharpness"))
    schedule = trajectory.vp_schedule(num_steps, 0.5, 0.02)
    return Sampler(policy.double(), schedule, curvature, lambda z, y: curvature * (centre - z))


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_balance_is_log_z_on_every_path_at_the_optimum(beta, backwards):
    """The best kernels of a Gaussian problem are Gaussian: the loss is zero there, on policy and off."""
    curvature = torch.tensor([0.0, 0.5, 4.0, 300.0], dtype=torch.float64)
    centre = torch.tensor([1.0, -2.0, 0.5, 0.3], dtype=torch.float64)
    sampler, n, rng = gaussian_sampler(curvature, centre, 9), 50, rng_of("optimum")
    nothing, empty = rng.randn((n, 1))[0], torch.zeros(n, 0, dtype=torch.float64)
    if backwards:  # from anywhere: the identity holds path by path
        path = trajectory.noise_backwards(
            3 * rng.randn((n, 4))[0], sampler.schedule, rng.randn((n, 9, 4))[0]
        )
        pulls = sampler.pulls(path, nothing, beta)
    else:
        path, pulls = sampler.rollout(nothing, empty, rng.randn((n, 10, 4))[0], beta)
    reward = beta * -(curvature * (path[:, -1] - centre).square()).sum(1) / 2
    log_ratio = sampler.log_ratio(path, pulls, empty, beta).detach()
    precision = beta * curvature
    log_z = -((1 + precision).log() + precision * centre.square() / (1 + precision)).sum() / 2
    # float64, terms up to 1e4
    torch.testing.assert_close(reward - log_ratio, log_z.expand(n), rtol=0, atol=1e-8)
    groups = (log_ratio[None], reward[None])
    assert trajectory.balance(*groups).abs().max() < 1e-8
    assert trajectory.balance(*groups, log_z[None]).abs().max() < 1e-8
    found = trajectory.quality(*groups)
    torch.testing.assert_close(
        torch.cat(found), torch.stack([log_z, log_z, torch.ones_like(log_z)])
    )


def test_the_flow_carries_normal_marginals_exactly():
    curvature = torch.tensor([0.0, 3.0, 100.0], dtype=torch.float64)
    centre = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    sampler = gaussian_sampler(curvature, centre, 6)
    z = rng_of("flow").randn((10, 3))[0]
    ends = sampler.flow(z, z, torch.zeros(10, 0, dtype=torch.float64)).detach()
    torch.testing.assert_close(
        ends, curvature * centre / (1 + curvature) + z / (1 + curvature).sqrt()
    )


def test_quality_of_weights_by_hand():
    # weights 1, 1, 2: Z = 4/3, (sum w)^2 / sum w^2 = 16 / 6 of 3
    found = trajectory.quality(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, math.log(2.0)]]))
    torch.testing.assert_close(
        torch.cat(found), torch.tensor([math.log(4 / 3), math.log(2) / 3, 16 / 18])
    )


def test_huber_is_a_parabola_with_straight_ends():
    error = torch.tensor([-3.0, -2.0, 1.0, 2.0, 5.0], requires_grad=True)
    loss = trajectory.huber(error, 2.0)
    torch.testing.assert_close(loss, torch.tensor([4.0, 2.0, 0.5, 2.0, 8.0]))
    (slope,) = torch.autograd.grad(loss.sum(), error)
    torch.testing.assert_close(slope, torch.tensor([-2.0, -2.0, 1.0, 2.0, 2.0]))
    assert Kernel(torch.zeros(2), torch.ones(2)).log_prob(torch.tensor([1.0, 1.0])) == -1


# ---- networks


def test_networks_start_from_the_stream_and_from_nothing_else():
    before = torch.get_rng_state()
    with torch.random.fork_rng(devices=[]):
        networks = [initialise(MLP(3, 2, 32, 2), rng_of("net"), zero=("out",)) for _ in range(2)]
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(a, b)
    assert not networks[0](torch.ones(4, 3), torch.rand(4)).any()
    # 1024 numbers of variance 1 / 32: relative error (2 / 1024)^(1/2)
    hidden = networks[0].hidden[0].weight
    assert abs(hidden.var() * 32 - 1) < 5 * (2 / 1024) ** 0.5
    with pytest.raises(ValueError, match="no parameter is called ouch"):
        initialise(networks[0], rng_of("net"), zero=("ouch",))


def test_a_state_is_flat_and_must_fit():
    net = MLP(3, 2, 8, 1)
    state = flatten_state(net, "net")
    assert all(name.startswith("net.") for name in state)
    copy = load_state(MLP(3, 2, 8, 1), state, "net")
    assert torch.equal(copy.first.weight, net.first.weight)
    with pytest.raises(ValueError, match="was not made with these settings"):
        load_state(MLP(3, 2, 16, 1), state, "net")


# ---- posteriors


def assert_moments(x: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Independent samples (s, d) of a normal law: beyond 5 standard errors once in 2e6 values, and there are 152."""
    s, standard = len(x), (x - mean) @ torch.linalg.inv(torch.linalg.cholesky(covariance)).mT
    assert standard.mean(0).abs().max() < 5 * s**-0.5
    products = standard.mT @ standard / s - torch.eye(len(mean), dtype=x.dtype)
    assert products.diagonal().abs().max() < 5 * (2 / s) ** 0.5
    assert (products - products.diagonal().diag()).abs().max() < 5 * s**-0.5


@pytest.mark.parametrize("amortised", [True, False])
@pytest.mark.parametrize("guide", ["affine", "decoder"])
def test_moments_under_an_affine_decoder(amortised, guide):
    """The guide is exact here, and training must leave it so: 1000 samples see 5 % of a standard deviation."""
    problem, num_samples = ToyProblem(ToyPrior(), sigma_y=0.2), 1000
    method = ODS(
        **TINY | {"amortised": amortised, "guide": guide, "num_iterations": 30, "num_fit": 512}
    )
    state = method.train(problem.prior, problem, rng=rng_of("train"))
    y = measurements(problem, 2)
    x = draw(method, problem, y, num_samples, state).flatten(2)
    for samples, mean, covariance in zip(x, *problem.posterior(y), strict=True):
        assert_moments(samples, mean, covariance)
    quality = method.diagnose(problem.prior, problem, y, 200, rng=rng_of("judge", m=2), state=state)
    assert (quality["path_ess"] > 0.9).all()
    # log Z, less the constant that log_likelihood leaves out: of y under N(A mu, A C A^T + sigma_y^2 I)
    torch.testing.assert_close(
        quality["log_z"].double(), log_evidence(problem, y), rtol=0, atol=0.05
    )


def log_evidence(problem: ToyProblem, y: Tensor) -> Tensor:
    pixels = torch.eye(D, dtype=y.dtype).view(D, *problem.prior.shape)
    # all share one mask
    matrix = problem.operator(pixels, y[:1].expand(D, -1, -1, -1)).flatten(1).T
    seen = matrix.abs().sum(1) > 0
    residual = problem.residual(
        problem.prior.mean.view(1, *problem.prior.shape).expand(len(y), -1, -1, -1), y
    )
    covariance = (matrix @ problem.prior.covariance @ matrix.T)[seen][:, seen]
    covariance = covariance + problem.sigma_y**2 * torch.eye(len(covariance), dtype=y.dtype)
    law = torch.distributions.MultivariateNormal(
        torch.zeros(len(covariance), dtype=y.dtype), covariance
    )
    left_out = seen.sum() * math.log(2 * math.pi * problem.sigma_y**2) / 2
    return law.log_prob(residual.flatten(1)[:, seen]) + left_out


@dataclass(frozen=True)
class Plane:
    """z is x: N(0, I) in the plane."""

    caps: ClassVar[Cap] = Cap.DECODER
    shape: ClassVar[tuple[int, ...]] = (2,)
    latent_shape: ClassVar[tuple[int, ...]] = (2,)
    decode_nfe: ClassVar[int] = 1

    def decode(self, z: Tensor) -> Tensor:
        return z


@dataclass(frozen=True)
class Line:
    """One coordinate with noise, and no gradient."""

    prior: Plane = Plane()
    caps: ClassVar[Cap] = Cap.SIMULATE
    sigma_y: float = 0.5

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        assert not x.requires_grad
        return -(y[:, 0] - x[:, 0]).square() / (2 * self.sigma_y**2)

    def simulate(self, x: Tensor, rng: Rng) -> Tensor:
        return x[:, :1] + self.sigma_y * rng.randn((len(x), 1))[0]


@dataclass(frozen=True)
class EightModes:
    """log r(x): eight bumps of weights 2 to 9 on a circle, and no gradient."""

    prior: Plane = Plane()
    caps: ClassVar[Cap] = Cap.SIMULATE
    radius: float = 2.0
    width: float = 0.3

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        assert not x.requires_grad
        angle = torch.arange(8, dtype=x.dtype) * math.pi / 4
        centre = self.radius * torch.stack([angle.cos(), angle.sin()], 1)
        weight = torch.log(torch.arange(2, 10, dtype=x.dtype) / 44)
        return (weight - (x[:, None] - centre).square().sum(2) / (2 * self.width**2)).logsumexp(1)

    def simulate(self, x: Tensor, rng: Rng) -> Tensor:
        return x.new_zeros(len(x), 1)


def mode_of(x: Tensor) -> Tensor:
    return (torch.atan2(x[..., 1], x[..., 0]) * 4 / math.pi).round().long() % 8


def test_without_gradients_all_modes_are_found_with_their_weights():
    problem, y, n = EightModes(), torch.zeros(1, 1, dtype=torch.float64), 500
    axis = torch.linspace(-5, 5, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = (problem.log_likelihood(grid, grid) - grid.square().sum(1) / 2).exp() / (2 * math.pi)
    mass = density * (axis[1] - axis[0]) ** 2
    log_z, weights = (
        mass.sum().log(),
        torch.zeros(8, dtype=mass.dtype).index_add_(0, mode_of(grid), mass) / mass.sum(),
    )

    method = ODS(
        amortised=False, num_steps=12, last=0.05, num_iterations=400, group_size=16, learning_rate=1e-2, replays=1,
        num_fit=1024, beta_start=0.05, width=128,
    )  # fmt: skip
    # once for both questions
    trained = method._train_one(problem.prior, problem, y, rng_of("train"))
    noise = rng_of("draw").randn((1000, 13, 2)).float()
    x = trained.draw(y, iter(noise[:, :n].unbind(2)))[0]
    shares = torch.bincount(mode_of(x), minlength=8) / n
    assert (shares > 0).all()
    # 4 standard errors of 500 draws: 0.04 to 0.07
    assert ((shares - weights).abs() < 4 * (weights * (1 - weights) / n).sqrt()).all()
    quality = trained.quality(y, noise)
    # importance weights with an effective share e of n have a standard error ((1 / e - 1) / n)^(1/2) in log Z
    assert (quality.log_z - log_z).abs() < 5 * ((1 / quality.ess - 1) / 1000).sqrt()
    assert quality.elbo < log_z and quality.ess > 0.3


@pytest.mark.parametrize("loss", ["vargrad", "tb"])
def test_without_gradients_amortised_over_measurements(loss):
    """One network for every y: mean and variance of a conjugate posterior, to 0.1 of the prior's deviation."""
    problem, y = Line(), torch.tensor([[-1.5], [0.0], [2.0]], dtype=torch.float64)
    method = ODS(
        loss=loss,
        num_steps=8,
        last=0.1,
        num_iterations=250,
        learning_rate=1e-2,
        num_fit=512,
        width=32,
        num_layers=2,
    )
    state = method.train(problem.prior, problem, rng=rng_of("train"))
    x = draw(method, problem, y, 2000, state)
    shrink = 1 / (1 + problem.sigma_y**2)
    expected = torch.stack([shrink * y[:, 0], torch.zeros(3, dtype=y.dtype)], 1)
    torch.testing.assert_close(x.mean(1), expected, rtol=0, atol=0.1)
    std = torch.tensor([(1 - shrink) ** 0.5, 1.0], dtype=y.dtype).expand(3, 2)
    torch.testing.assert_close(x.std(1), std, rtol=0, atol=0.1)
    assert state["ess"] > 0.7 and state["elbo"] <= state["log_z"]


def test_a_student_has_the_samplers_distribution_in_one_step():
    problem, num_samples = ToyProblem(ToyPrior(), sigma_y=0.2), 1000
    method = ODS(**TINY | {"distil_steps": 20, "num_fit": 512})
    state = method.train(problem.prior, problem, rng=rng_of("train"))
    y = measurements(problem, 1)
    x = draw(method, problem, y, num_samples, state).flatten(2)
    mean, covariance = problem.posterior(y)
    assert_moments(x[0], mean[0], covariance[0])


# ---- conduct


@pytest.mark.parametrize("amortised", [True, False])
@pytest.mark.parametrize(
    "settings", [{}, {"loss": "tb"}, {"drift": "plain"}, {"distil_steps": 3}], ids=str
)
def test_same_seed_same_bits_and_rows_alone_as_together(settings, amortised):
    problem = ToyProblem(ToyPrior())
    method = ODS(**TINY | {"num_iterations": 5, "amortised": amortised} | settings)
    y, state = measurements(problem, 3), method.train(problem.prior, problem, rng=rng_of("train"))
    again = method.train(problem.prior, problem, rng=rng_of("train"))
    assert state.keys() == again.keys() and all(
        torch.equal(state[name], again[name]) for name in state
    )
    assert all(tensor.isfinite().all() for tensor in state.values())
    x = draw(method, problem, y, 4, state)
    assert torch.equal(x, draw(method, problem, y, 4, state))
    # matrix products of other sizes round otherwise: float32, 6 steps
    torch.testing.assert_close(
        draw(method, problem, y[1:2], 4, state, [1]), x[1:2], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("num_samples", [1, 2, 8, 16])
def test_training_for_one_measurement_does_not_depend_on_how_many_samples_are_drawn(num_samples):
    """8 and 16 are lengths of draws in training, which must not be taken for draws of the samples."""
    problem = ToyProblem(ToyPrior())
    method = ODS(**TINY | {"num_iterations": 2, "amortised": False})
    y = measurements(problem, 1)
    few, many = (draw(method, problem, y, s) for s in (num_samples, 20))
    torch.testing.assert_close(few, many[:, :num_samples], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"guide": "decoder"},
        {"amortised": False},
        {"amortised": False, "guide": "decoder", "distil_steps": 2},
    ],
    ids=str,
)
def test_its_cost_is_as_stated(settings):
    prior, m, s = ToyPrior(), 2, 7
    method = ODS(**TINY | {"num_iterations": 5} | settings)
    problem = ToyProblem(prior)
    y, state = measurements(problem, m), method.train(prior, problem, rng=rng_of("train"))
    watched, meter = counted(prior)
    rng = Rng(("test", "ods"), range(m), range(s))
    method.sample(watched, problem, y, s, rng=rng, state=state)
    assert (meter.nfe(m * s), meter.nfe_vjp(m * s)) == pytest.approx(
        method.nfe(prior, s)[:2], rel=1e-12
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_fit": 0}, "num_fit = 0"),
        ({"num_steps": 1}, "num_steps >= 2"),
        ({"beta_start": 0.0}, "beta_start"),
        ({"last": 0.7}, "last <= first"),
        ({"loss": "mse"}, "one of vargrad, tb"),
        ({"drift": "score"}, "one of langevin, plain"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        ODS(**settings)
