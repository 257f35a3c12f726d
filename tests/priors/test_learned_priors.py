"""Learned priors: closed forms for Gaussian data, and what training reaches on them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from helpers.learned_priors import SHAPE, normal
from torch import Tensor

from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.numerics.diffusion import heun, karras_sigmas
from bench.priors import _distil as distil
from bench.priors import _networks as networks
from bench.priors import edm, flow, gan, vae
from bench.priors.adapters.diffusers import CONSISTENCY, EDM, Pipeline, scheduler_of
from bench.priors.adapters.preconditioning import ConsistencyMap, EDMDenoiser
from bench.priors.consistency import ConsistencyFamily
from bench.priors.gmm import GMM
from bench.priors.regression_map import RegressionMap

# ---- the ODE


def test_heun_has_order_two_on_a_gaussian():
    s, sigma_max, z = 0.7, 10.0, normal(64, 3)

    def denoise(x_t: Tensor, sigma: Tensor) -> Tensor:
        return s**2 / (s**2 + sigma**2) * x_t

    exact = z * sigma_max * s / math.hypot(s, sigma_max)  # x is proportional to sqrt(s^2 + sigma^2)
    # down to sigma_min = 1e-3, where the last step, Euler's, errs by sigma_min^2 / s^2 = 2e-6
    grids = [karras_sigmas(n, 1e-3, sigma_max) for n in (20, 40, 80)]
    errors = [
        (heun(denoise, sigma_max * z, grid) - exact).square().mean().sqrt().item() for grid in grids
    ]
    orders = [math.log2(a / b) for a, b in zip(errors[:-1], errors[1:], strict=True)]
    assert orders == pytest.approx([2, 2], abs=0.3)


def test_karras_levels_are_those_of_diffusers():
    scheduler = scheduler_of(EDM, {"sigma_min": 0.01, "sigma_max": 20.0})
    scheduler.set_timesteps(7)
    torch.testing.assert_close(
        karras_sigmas(7, 0.01, 20.0, torch.float32), scheduler.sigmas, rtol=1e-5, atol=0
    )


# ---- flow


def untrained_flow(s: float, num_ode_steps: int) -> flow.Flow:
    """The flow of N(mean, s^2 I): the linear part is exact and the network says zero."""
    settings = flow.FlowFamily(width=8, num_layers=2)
    velocity = networks.new(
        lambda: flow.Velocity(6, settings), Rng(("test",), (0,)), zero=("network.out",)
    )
    velocity.scale.fill_(s)
    return flow.Flow(
        networks.frozen(velocity), normal(1, 2, 3, seed="mean", dtype=torch.float32), num_ode_steps
    )


@pytest.mark.parametrize("sigma", [0.0, 0.1, 3.0, 100.0])
def test_the_flow_of_a_gaussian_has_its_denoiser(sigma):
    s = 0.6
    prior, x_t = untrained_flow(s, 1), normal(50, 1, 2, 3)
    expected = prior.mean + s**2 / (s**2 + sigma**2) * (x_t - prior.mean)
    for level in (torch.tensor(sigma), torch.full((50,), sigma)):
        # float32: x_t of order 1, the difference of two terms of order 1
        torch.testing.assert_close(prior.denoise(x_t, level), expected, rtol=0, atol=2e-6)


def test_the_flow_of_a_gaussian_ends_at_its_scale():
    s, z = 0.6, normal(50, 1, 2, 3)
    errors = []
    for num_steps in (8, 16, 32):
        prior = untrained_flow(s, num_steps)
        errors.append((prior.decode(z) - prior.mean - s * z).square().mean().sqrt().item())
        assert prior.decode_nfe == prior.sample_nfe == 2 * num_steps
    # the midpoint rule has order two, and here three: the errors at t and 1 - t cancel at second order
    orders = [math.log2(a / b) for a, b in zip(errors[:-1], errors[1:], strict=True)]
    assert min(orders) > 1.9 and errors[-1] < 1e-5


def test_a_trained_flow_learns_what_is_not_white():
    factor = torch.tensor(
        [[0.8, 0, 0, 0], [0.6, 0.2, 0, 0], [0, 0, 0.5, 0], [0.3, 0, 0, 0.1]], dtype=torch.float64
    )
    x = (normal(4096, 4) @ factor.T + 0.5).view(-1, 1, 2, 2)
    settings = flow.FlowFamily(width=64, num_layers=2, num_iterations=1200)
    tensors, _ = settings.fit({"train": x.float()}, Path(), None)
    trained = settings.load(tensors, Path(), None)
    covariance, sigma = factor @ factor.T, 0.4
    x_t = x[:1000] + sigma * normal(1000, 1, 2, 2, seed=1)
    gain = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(4, dtype=torch.float64))
    exact = ((x_t - 0.5).flatten(1) @ gain.T + 0.5).view_as(x_t)
    variance = x.var().item()
    white = (x_t - 0.5) * variance / (variance + sigma**2) + 0.5

    def error(found: Tensor) -> float:
        return (found - exact).square().mean().item()

    # where it starts the error is 5e-2; 4096 images leave an estimation error of about 4 % of the noise's per number
    assert error(trained.denoise(x_t, torch.tensor(sigma))) < 0.05 * error(white)


# ---- vae and gan


def test_the_elbo_of_a_linear_gaussian_model_reaches_its_entropy():
    loadings, noise, n = normal(2, 5, seed="loadings"), 0.3, 8192
    x = normal(n, 2, seed=1) @ loadings + noise * normal(n, 5, seed=2)
    covariance = loadings.T @ loadings + noise**2 * torch.eye(5, dtype=torch.float64)
    entropy = (
        torch.linalg.slogdet(covariance).logabsdet / 2 + 5 / 2 * (1 + math.log(2 * math.pi))
    ).item()
    data = {"train": x.view(n, 1, 1, 5).float(), "test": x[:4096].view(-1, 1, 1, 5).float()}
    settings = vae.VAEFamily(
        num_latents=2, width=32, depth=1, num_iterations=1500, learning_rate=5e-3
    )
    _, card = settings.fit(data, Path(), None)
    # a bound from above; 4096 draws of chi^2_5 / 2 have a standard error of sqrt(2.5 / 4096) = 0.025
    assert entropy - 0.1 < card["negative_elbo_nats"]["test"] < entropy + 0.25
    assert card["pixel_noise_rms"] == pytest.approx(noise, rel=0.1)


def test_the_critics_loss_of_a_linear_critic():
    critic = torch.nn.Linear(3, 1)
    weight = torch.tensor([[1.0, -2.0, 0.5]])
    critic.weight.data.copy_(weight)
    real, made = normal(7, 3, dtype=torch.float32), normal(7, 3, seed=1, dtype=torch.float32)
    expected = (
        torch.nn.functional.softplus((made - real) @ weight[0]).mean() + 2.0 * weight.square().sum()
    )
    # the gradient is the weight everywhere: penalty / 2 (|w|^2 + |w|^2)
    torch.testing.assert_close(gan.critic_loss(critic, real, made, penalty=2.0), expected)


def test_the_game_ends_near_the_data():
    x = 0.5 * normal(2000, 2, dtype=torch.float32) @ torch.tensor([[1.0, 0.6], [0.0, 0.5]])
    settings = gan.GANFamily(
        num_latents=2, width=32, depth=2, num_iterations=800, penalty=0.1, learning_rate=2e-3
    )
    tensors, _ = settings.fit({"train": x.view(-1, 1, 1, 2)}, Path(), None)
    drawn = settings.load(tensors, Path(), None).sample(4000, Rng(("test",), (0,)))[0].view(-1, 2)
    # a game does not converge to a point: within a tenth of the spread
    assert ((drawn.mean(0) - x.mean(0)).abs() < 0.1).all()
    assert torch.cov(drawn.T).flatten() == pytest.approx(torch.cov(x.T).flatten(), abs=0.08)


# ---- distillation


def gaussian(mean: float, variances: tuple[float, ...]) -> GMM:
    covariances = torch.diag(torch.tensor(variances, dtype=torch.float64))[None]
    means = torch.full((1, 1, 1, len(variances)), mean, dtype=torch.float64)
    return GMM(torch.ones(1, dtype=torch.float64), means, covariances)


def test_pairs_are_on_the_trajectories_of_a_gaussian():
    variances = (0.5, 0.1, 0.02)
    teacher, variance = gaussian(0.3, variances), torch.tensor(variances)
    sigmas = torch.tensor([20.0, 2.0])
    settings = RegressionMap(num_pairs=200, num_levels=60)
    starts, ends = distil.ode_pairs(
        teacher, sigmas, settings, Rng(("test",), (0,), dtype=torch.float32)
    )
    for i, sigma in enumerate(sigmas):
        # x - mean is proportional to sqrt(C + sigma^2)
        pull = (variance / (variance + sigma**2)).sqrt()
        expected = 0.3 + pull * (starts[i] - 0.3)
        # at the first level the teacher's decoder sets out from noise around the mean, not around zero: pull * 0.3
        shift = 0.3 * pull if i == 0 else 0.0
        # and its start is sqrt(C + 100) z there, sqrt(C + 400) z here: a share C / 200 of z. Heun's own error is 1e-3
        torch.testing.assert_close(ends[i], expected + shift, rtol=1e-2, atol=5e-3)


def edm_teacher(num_ode_steps: int = 4) -> edm.Diffusion:
    network = networks.new_unet(
        SHAPE, (16, 16), 0, Rng(("test", "unet"), (0,), dtype=torch.float32)
    )
    network.conv_out.weight.data.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    settings = {"sigma_min": 0.002, "sigma_max": 20.0, "sigma_data": 0.8}
    return edm.Diffusion(
        EDMDenoiser(Pipeline(networks.frozen(network), scheduler_of(EDM, settings))), num_ode_steps
    )


def test_a_student_starts_as_its_teacher():
    teacher, images = edm_teacher(), normal(4, *SHAPE, dtype=torch.float32)
    rng = Rng(("test",), (0,), dtype=torch.float32)
    network, limits = distil.student_of(teacher, images, ConsistencyFamily(), rng)
    student = ConsistencyMap(
        Pipeline(network, scheduler_of(CONSISTENCY, {**limits, "clip_denoised": False}))
    )
    assert limits == {"sigma_min": 0.002, "sigma_max": 20.0, "sigma_data": 0.8}
    for sigma in (20.0, 2.0, 0.5):
        x_t = images * sigma
        difference = student(x_t, torch.tensor(sigma)) - teacher.denoise(x_t, torch.tensor(sigma))
        # least squares leaves 1e-3 of the time embedding, c_skip and c_out differ by sigma_min / sigma
        assert difference.abs().max() < 0.02


FEW = {"num_iterations": 200, "channels": (8, 8), "batch_size": 32}


@pytest.mark.parametrize(
    ("family", "most"),
    [
        # the images have a root mean square of 0.5, which is the error of f = 0, where it starts
        (RegressionMap(num_pairs=1024, **FEW), 0.15),
        # with two noise levels to learn each gets half of the steps
        (RegressionMap(num_pairs=1024, num_steps=2, **FEW), 0.25),
        # distillation has to bring the ends of 17 intervals together
        (ConsistencyFamily(**FEW), 0.35),
    ],
)
def test_a_student_of_a_gaussian_learns_its_map(family, most, tmp_path):
    covariance = 0.2 * torch.ones(16, 16, dtype=torch.float64) + 0.05 * torch.eye(
        16, dtype=torch.float64
    )
    teacher = GMM(torch.ones(1).double(), torch.zeros(1, 1, 4, 4).double(), covariance[None])
    images = teacher.sample(512, Rng(("test",), (0,)))[0].float()
    tensors, _ = family.fit({"train": images}, tmp_path, teacher)
    f = family.load(tensors, tmp_path, teacher).map
    z = normal(256, 1, 4, 4, seed=5, dtype=torch.float32)
    found = f(20 * z, torch.tensor(20.0))
    error = (found - teacher.decode(z.double())).square().mean().sqrt().item()
    assert error < most


class Taught:
    """A teacher that offers `caps` and nothing else."""

    def __init__(self, caps: Cap) -> None:
        self.caps = caps


@pytest.mark.parametrize(
    ("family", "caps"),
    [
        (RegressionMap(), Cap.DENOISER),
        (RegressionMap(), Cap.DECODER),
        (ConsistencyFamily(), Cap.DECODER),
    ],
)
def test_a_teacher_that_lacks_what_its_student_learns_from_is_refused(family, caps, tmp_path):
    images = {"train": torch.zeros(1, *SHAPE)}
    with pytest.raises(UserError, match="expected a teacher with .* got one with"):
        family.fit(images, tmp_path, Taught(caps))
