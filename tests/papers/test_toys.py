"""Toys in the plane: the grid against closed forms, generators against their data, targets, and the figures' files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.core.artefacts import write_json
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.papers.toys.control import naive_adjoint_matching
from bench.papers.toys.densities import Data, EightGaussians, Gaussian, swiss_roll, two_moons
from bench.papers.toys.generators import Flow, fit_flow, network
from bench.papers.toys.grid import Grid, relative_entropy
from bench.papers.toys.posterior import tabulate
from bench.papers.toys.targets import Band, Plane, Tabulated, Tilted
from bench.stages.toy import main

SCALE, SIGMA_Y, LEVEL = 1.5, 0.4, 0.7
ODS = {
    "num_iterations": 4,
    "num_groups": 1,
    "group_size": 16,
    "width": 8,
    "num_steps": 5,
    "num_fit": 32,
}
TINY = {"flow_iterations": 3, "side": 30, "num_samples": 40, "ods": ODS}
TOYS = {"swiss_roll": {**TINY, "generator_iterations": 3}, "marginals": TINY, "moons": TINY}


def rng(*axes: object) -> Rng:
    return Rng(("test", "toys", *axes), [0])


@dataclass(frozen=True)
class Scaled:
    """x = 1.5 z, z ~ N(0, I): every posterior under a band is normal."""

    source: Gaussian = Gaussian()

    def decode(self, z: Tensor) -> Tensor:
        return SCALE * z


def test_the_grid_posterior_is_the_closed_form():
    posterior = tabulate(Scaled(), Band(0, SIGMA_Y), LEVEL, Grid(6.0, 200))
    # z_0 given y = 1.5 z_0 + 0.4 noise, and z_1 free
    precision = 1 + (SCALE / SIGMA_Y) ** 2
    mean, evidence = SCALE * LEVEL / SIGMA_Y**2 / precision, SCALE**2 + SIGMA_Y**2
    log_z = math.log(SIGMA_Y) - math.log(evidence) / 2 - LEVEL**2 / (2 * evidence)
    # the midpoint rule with cells of 0.06 is exact to rounding for a normal density of width 0.26; beyond 6 lie 2e-9 of
    # the prior
    assert posterior.probability.sum().item() == pytest.approx(1, abs=1e-12)
    assert posterior.log_z == pytest.approx(log_z, abs=1e-8)
    p, z = posterior.probability.flatten(), posterior.grid.points
    assert (p @ z).tolist() == pytest.approx([mean, 0.0], abs=1e-8)
    assert (p @ (z - p @ z) ** 2).tolist() == pytest.approx([1 / precision, 1.0], abs=1e-7)
    # KL of the posterior from the prior, in closed form
    expected = 0.5 * (1 / precision + mean**2 - 1 + math.log(precision))
    actual = relative_entropy(posterior.probability, posterior.log_prior, posterior.grid.width)
    assert actual == pytest.approx(expected, abs=1e-6)
    draws = posterior.grid.draw(posterior.probability, 40_000, rng("draw"))
    # 5 standard errors of means and variances of 4e4 draws; a cell adds 0.06^2 / 12 = 3e-4 to the variance
    for axis, (m, v) in enumerate(((mean, 1 / precision), (0.0, 1.0))):
        assert abs(draws[:, axis].mean() - m) < 5 * (v / 40_000) ** 0.5
        assert abs(draws[:, axis].var() - v) < 5 * v * (2 / 40_000) ** 0.5 + 3e-4


def test_marginals_of_a_gaussian_stay_gaussian():
    grid, signal, scale, std, centre = (
        Grid(5.0, 120, (0.5, -0.3)),
        0.3,
        1.2,
        0.5,
        torch.tensor([1.0, -0.5]).double(),
    )
    p, _ = grid.normalised(Gaussian(std).log_prob(grid.points - centre))
    marginal = grid.diffused(p, signal, scale).flatten() * grid.width**2
    variance = signal * std**2 + (1 - signal) * scale**2
    # 4.5 units from the border to the mean are 4.2 standard deviations: 3e-5 of the mass is outside
    assert marginal.sum().item() == pytest.approx(1, abs=2e-4)
    torch.testing.assert_close(marginal @ grid.points, signal**0.5 * centre, rtol=0, atol=2e-3)
    exact = (
        Gaussian(variance**0.5).log_prob(grid.points - signal**0.5 * centre).exp() * grid.width**2
    )
    assert (marginal - exact).abs().max() < 1e-6 * exact.max() + 1e-12


def test_histograms_keep_mass_and_place():
    grid, points = Grid(1.0, 20), torch.tensor([[0.55, -0.35], [9.0, 9.0]], dtype=torch.float64)
    sharp = grid.histogram(points, torch.tensor([0.25, 0.75], dtype=torch.float64), blur=0)
    assert sharp.sum() * grid.width**2 == pytest.approx(0.25)
    assert sharp.flatten().argmax() == (grid.points - points[0]).norm(dim=1).argmin()
    blurred = grid.histogram(points, torch.tensor([0.25, 0.75], dtype=torch.float64), blur=1.5)
    # 4.5 cells to the border are 3 deviations
    assert blurred.sum() * grid.width**2 == pytest.approx(0.25, rel=2e-3)


@pytest.mark.parametrize("source", [Gaussian(0.7), EightGaussians(1.5, 0.2)], ids=str)
def test_sources_have_their_density(source):
    grid = Grid(5.0, 300)
    p, log_integral = grid.normalised(source.log_prob(grid.points))
    assert log_integral == pytest.approx(0, abs=1e-9)
    draws = source.sample(20_000, rng("source"))
    second = (p.flatten() @ grid.points**2).sum()
    spread = draws.square().sum(1)
    assert abs(spread.mean() - second) < 5 * spread.std() / 20_000**0.5


@pytest.mark.parametrize(
    ("data", "axis", "level", "count"), [(swiss_roll(), 0, 0.5, 4), (two_moons(), 1, 0.1, 4)]
)
def test_crossings_lie_on_the_line_and_the_curve(data, axis, level, count):
    points = data.crossings(axis, level)
    assert len(points) == count
    # one of 20000 steps along less than 20 units
    assert (points[:, axis] - level).abs().max() < 1e-3
    curve = data.curve(torch.linspace(0, 1, 20001, dtype=torch.float64))
    assert torch.cdist(points, curve).min(1).values.max() < 1e-6


def test_a_flow_pushes_its_source_to_the_data():
    mean, std = torch.tensor([0.8, -0.4], dtype=torch.float64), 0.5
    data = Data(lambda u: mean.expand(len(u), 2), std)
    flow = fit_flow(Gaussian(), data, rng("fit"), 300)
    x = flow.sample(4000, rng("push"))[0]
    # an affine map that 300 iterations learn to a few per cent; 5 standard errors of 4000 draws are 0.04 and 0.03
    assert (x.mean(0) - mean).abs().max() < 0.08
    covariance = torch.cov(x.T)
    assert (covariance - std**2 * torch.eye(2, dtype=x.dtype)).abs().max() < 0.05
    log_prob, exact = flow.log_prob(x[:500]), Gaussian(std).log_prob(x[:500] - mean)
    assert (log_prob - exact).abs().mean() < 0.15


def test_flow_density_is_the_change_of_variables():
    flow = Flow(network(rng("untrained")).requires_grad_(False), Gaussian(), num_steps=20)
    z = rng("z").randn((50, 2))[0]
    with torch.enable_grad():
        x = flow.decode(z.requires_grad_())
        rows = [torch.autograd.grad(x[:, i].sum(), z, retain_graph=True)[0] for i in range(2)]
    jacobian, z = torch.stack(rows, 1), z.detach()
    exact = Gaussian().log_prob(z) - jacobian.det().abs().log()
    # networks in float32, and 20 Runge-Kutta steps there and back
    torch.testing.assert_close(flow.log_prob(flow.decode(z)), exact, rtol=0, atol=2e-3)
    torch.testing.assert_close(flow.paths(z)[:, -1], flow.decode(z))


class IndependentGaussians(nn.Module):
    """Velocity of the flow between N(0, I) and an independent N(mean, std^2 I), by formula, in the network's place."""

    mean, std = 0.6, 0.5

    def forward(self, features: Tensor, t: Tensor) -> Tensor:
        x, t = features[:, :2], t[:, None]
        variance = (1 - t) ** 2 + (t * self.std) ** 2
        return self.mean + (t * self.std**2 - (1 - t)) / variance * (x - t * self.mean)


def test_adjoint_matching_is_right_where_its_assumptions_hold():
    """A source N(0, I), independent of the data: the optimum of control is then the posterior."""
    law, band = IndependentGaussians(), Band(0, SIGMA_Y)
    flow = Flow(law, Gaussian())
    y, num = torch.zeros(1, 1, dtype=torch.float64), 3000
    x = naive_adjoint_matching(flow, lambda x: band.log_likelihood(x, y), num, rng("control"))
    precision = 1 / law.std**2 + 1 / SIGMA_Y**2
    moments = ((law.mean / law.std**2 / precision, 1 / precision), (law.mean, law.std**2))
    for axis, (mean, variance) in enumerate(moments):
        # 5 standard errors, 1 % for 64 paths instead of all and 2 % of the variance for 40 steps
        assert abs(x[:, axis].mean() - mean) < 5 * (variance / num) ** 0.5 + 0.01
        assert abs(x[:, axis].var() / variance - 1) < 5 * (2 / num) ** 0.5 + 0.03


def test_a_tilted_plane_is_the_density_itself():
    density, scale = EightGaussians(1.5, 0.3), 1.3
    plane, target = Plane(scale), Tilted(density.log_prob, scale)
    x, y = rng("tilted").randn((20, 2))[0], torch.zeros(20, 1)
    torch.testing.assert_close(plane.log_prob(x) + target.log_likelihood(x, y), density.log_prob(x))
    grid = Grid(3.0, 50)
    table = Tabulated(grid, density.log_prob(grid.points).view(50, 50))
    torch.testing.assert_close(table(grid.points), density.log_prob(grid.points))
    outside = torch.tensor([[4.0, 0.0], [5.0, 0.0]], dtype=torch.float64)
    border, *falling = table(
        torch.cat([outside[:1] - torch.tensor([[1.0, 0.0]]), outside])
    ).tolist()
    # 1/3 and 2/3 of the half width beyond the border
    assert falling == pytest.approx([border - 100 / 9, border - 400 / 9])
    assert table.floored(10.0).values.min() == table.values.max() - 10


@pytest.mark.parametrize("toy", TOYS)
def test_the_stage_writes_its_files(toy, tmp_path):
    spec = tmp_path / "specs" / f"{toy}.json"
    write_json(spec, {"root": str(tmp_path), "toy": toy, "parameters": TOYS[toy]})
    with torch.no_grad():
        main(str(spec))
    text = (tmp_path / "figures" / f"{toy}.csv").read_text()
    assert {line.split(",")[-4] for line in text.splitlines()[1:]} >= {"density", "point", "number"}
    assert (
        "log Z: quadrature" in text and "log Z: ods" in text and "sliced W2 to grid: floor" in text
    )
    assert all(
        Path(tmp_path, "figures", f"{toy}.{kind}").stat().st_size > 0 for kind in ("pdf", "png")
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"toy": "spirals", "parameters": {}}, "no toy 'spirals'; expected one of swiss_roll"),
        ({"toy": "moons", "parameters": {"levels": 1}}, "no parameter 'levels' of moons"),
    ],
)
def test_senseless_settings_are_refused_with_a_message(spec, words, tmp_path):
    write_json(tmp_path / "spec.json", {"root": str(tmp_path), **spec})
    with pytest.raises(UserError, match=words):
        main(str(tmp_path / "spec.json"))
