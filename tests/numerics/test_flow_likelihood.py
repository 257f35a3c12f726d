"""The density by the probability-flow ODE: a Gaussian's closed form, with correlated pixels."""

import pytest
import torch

from bench.core.rng import Rng
from bench.numerics.flow_likelihood import flow_log_prob

SIZE, LIMITS = 6, (0.01, 80.0)
EYE = torch.eye(SIZE, dtype=torch.float64)


def covariance() -> torch.Tensor:
    """Return a covariance with eigenvalues between 0.01 and 1."""
    turn = torch.linalg.qr(Rng(("turn",), (0,)).randn((SIZE, SIZE))[0])[0]
    return turn @ torch.diag(torch.logspace(-2, 0, SIZE, dtype=torch.float64)) @ turn.T


def test_the_density_of_a_gaussian_is_exact_on_average_over_probes():
    cov = covariance()
    x = Rng(("x",), (0,)).randn((SIZE,))[0] @ torch.linalg.cholesky(cov).T

    def denoise(x_t, sigma):
        return (x_t.flatten(1) @ torch.linalg.solve(cov + sigma**2 * EYE, cov)).view_as(x_t)

    # all signs once: their mean is the trace itself
    probe = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * SIZE)
    probe, rows = probe.view(-1, 1, 2, 3), x.expand(len(probe), -1).view(-1, 1, 2, 3)
    expected = torch.distributions.MultivariateNormal(
        torch.zeros(SIZE, dtype=torch.float64), cov + LIMITS[0] ** 2 * EYE
    ).log_prob(x)
    errors = [
        (flow_log_prob(denoise, rows, LIMITS, num_steps, probe).mean() - expected).abs().item()
        for num_steps in (15, 60)
    ]
    # the start leaves out the variances, trace(cov) / (2 sigma_max^2) = 1e-4; an ODE of order 4 leaves 1/256
    assert errors[0] < 0.02 and errors[1] < 2e-4


def test_rows_do_not_meet():
    x = Rng(("rows",), (0,)).randn((4, 1, 2, 2))[0]
    probe = 2.0 * Rng(("probe",), (0,)).randint(2, (4, 1, 2, 2))[0].double() - 1

    def denoise(x_t, sigma):
        return x_t.tanh() / (1 + sigma)

    together = flow_log_prob(denoise, x, LIMITS, 3, probe)
    alone = [flow_log_prob(denoise, x[i : i + 1], LIMITS, 3, probe[i : i + 1]) for i in (0, 3)]
    assert together[[0, 3]].tolist() == pytest.approx(torch.cat(alone).tolist())
