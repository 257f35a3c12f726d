"""Steps of DDIM and of renoising keep the distributions that they have to keep."""

import pytest
import torch

from bench.numerics.diffusion import ancestral_step
from bench.numerics.steps import ddim_step, renoise_step

SIGMA, NEXT = torch.tensor(3.0, dtype=torch.float64), torch.tensor(1.2, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gains(step, eta: float) -> tuple[float, float]:
    """Return what a step keeps of x_t - x_0, and the deviation of the noise that it adds, where x_0 = 0."""
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    kept = step(one, zero, SIGMA, NEXT, eta, zero)
    return kept.item(), step(zero, zero, SIGMA, NEXT, eta, one).item()


@pytest.mark.parametrize("step", [ddim_step, renoise_step])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_true_image_keeps_the_noise_level(step, eta):
    # x_t = x_0 + sigma eps has to become x_0 + sigma_next eps'
    kept, added = gains(step, eta)
    assert (kept * 3.0) ** 2 + added**2 == pytest.approx(1.2**2, rel=1e-12)


def test_ddim_ends_at_the_ancestral_step_and_at_eulers():
    x_t, x_0, noise = normal(3, 5, 1, 2, 2)
    ancestral = ancestral_step(x_t, x_0, SIGMA, NEXT, noise)
    torch.testing.assert_close(ddim_step(x_t, x_0, SIGMA, NEXT, 1.0, noise), ancestral)
    euler = x_t + (NEXT - SIGMA) * (x_t - x_0) / SIGMA
    torch.testing.assert_close(ddim_step(x_t, x_0, SIGMA, NEXT, 0.0, noise), euler)
    torch.testing.assert_close(renoise_step(x_t, x_0, SIGMA, NEXT, 0.0, noise), euler)


def test_renoising_all_forgets_the_state_and_ancestral_steps_do_not():
    assert gains(renoise_step, 1.0)[0] == 0 and gains(ddim_step, 1.0)[0] == pytest.approx(0.16)


@pytest.mark.parametrize("step", [ddim_step, renoise_step])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_last_step_returns_the_estimate_in_its_dtype(step, dtype):
    x_t, x_0, noise = normal(3, 5, 1, 2, 2).to(dtype)
    last = step(x_t, x_0, SIGMA, torch.zeros_like(SIGMA), 0.7, noise)
    assert torch.equal(last, x_0) and last.dtype == dtype
