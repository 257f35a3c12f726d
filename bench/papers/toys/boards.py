"""Boards of panels for the three toys: prior, constraint, posterior and samples in each figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from bench.papers.toys.figure import Board, Density, Panel, Paths, Points
from bench.papers.toys.grid import Grid
from bench.papers.toys.numbers import estimates_of, format_estimates, format_nearness, numbers_of
from bench.papers.toys.posterior import Case
from bench.papers.toys.scenes import MoonsCase, TwoSpaces

SIGNALS = (0.0, 0.1, 0.3, 0.6, 0.9, 1.0)  # shares of the target in the states that are drawn
NUM_DRAWN = 1000  # points in a panel
OUTLINE = "orange outlines: 90 % of the posterior by grid"


def swiss_roll_board(cases: Sequence[Case]) -> Board:
    """Return figure 1: noise and data space of each generator; prior, constraint, posterior, samples."""
    rows = [f"{case.name}: {space}" for case in cases for space in ("noise z", "data x")]
    panels = [panels_of(case) for case in cases for panels_of in (_noise_panels, _data_panels)]
    columns = ("prior", "constraint", "posterior (grid)", "ODS samples")
    return Board(
        columns, rows, panels, [number for case in cases for number in numbers_of(case)], OUTLINE
    )


def _noise_panels(case: Case) -> list[Panel]:
    posterior, grid = case.posterior, case.posterior.grid
    constraint = _density("constraint", posterior.log_reward.exp(), grid, "constraint")
    truth, estimates = _noise_posterior(case), format_estimates(case.samples, posterior.log_z)
    layers = (_noise_prior(case), constraint, truth)
    return [*(Panel([layer]) for layer in layers), _samples_on(truth, case.noise["ods"], estimates)]


def _data_panels(case: Case) -> list[Panel]:
    window, truth = case.window, _pushed_posterior(case)
    constraint = _density(
        "constraint", case.posterior.reward(window.points).exp(), window, "constraint"
    )
    layers = (_pushed_prior(case), constraint, truth)
    return [
        *(Panel([layer]) for layer in layers),
        _samples_on(truth, case.data["ods"], format_nearness(case, "ods")),
    ]


def marginals_board(spaces: TwoSpaces) -> Board:
    """Return figure 2: marginals in time, of an ideal sampler as surfaces, states of the trained one as points."""
    steps = [int((spaces.case.samples.signal - signal).abs().argmin()) for signal in SIGNALS]
    rows = [
        list(panels)
        for panels in zip(*(_marginals_at(spaces, step) for step in steps), strict=True)
    ]
    for row, (first, last) in zip(rows, _remarks_on_marginals(spaces), strict=True):
        row[0], row[-1] = replace(row[0], remark=first), replace(row[-1], remark=last)
    numbers = [*numbers_of(spaces.case), *estimates_of("data", spaces.direct)]
    numbers.append(("data", "log Z", "quadrature", spaces.log_z))
    numbers += [
        (name, "relative entropy from the start", "grid", value)
        for name, value in spaces.entropies.items()
    ]
    columns = [f"signal {float(spaces.case.samples.signal[step]):.2f}" for step in steps]
    names = ("noise space", "noise space,\nshown as data", "data space")
    note = "surfaces: an ideal sampler's marginals, by grid; points: states of ODS; signal: share of the target in them"
    return Board(columns, names, rows, numbers, note)


def _marginals_at(spaces: TwoSpaces, step: int) -> list[Panel]:
    """Return one time: in noise space, pushed to data space, and of the sampler in data space."""
    case, window, signal = spaces.case, spaces.case.window, float(spaces.case.samples.signal[step])
    posterior, states = case.posterior, case.samples.paths[:, step]
    marginal = posterior.grid.diffused(posterior.probability, signal)
    image = window.histogram(posterior.x, marginal.flatten() * posterior.grid.width**2)
    direct = window.diffused(spaces.probability, signal, spaces.scale)
    return [
        _ideal_and_states(posterior.grid, marginal, states),
        _ideal_and_states(window, image, posterior.decode(states)),
        _ideal_and_states(window, direct, spaces.direct.paths[:, step]),
    ]


def _remarks_on_marginals(spaces: TwoSpaces) -> tuple[tuple[str, str], ...]:
    """Return small print below the first and the last panel of each row."""
    case = spaces.case
    noise, data = (f"target: {spaces.entropies[name]:.2f} nats away" for name in ("noise", "data"))
    direct = f"{format_estimates(spaces.direct, spaces.log_z)}\n{format_nearness(case, 'ods in data space')}"
    inside = format_estimates(case.samples, case.posterior.log_z)
    return (noise, inside), ("", format_nearness(case, "ods")), (data, direct)


def moons_board(cases: Sequence[MoonsCase]) -> Board:
    """Return figure 3: the flow; its noise space; in data space posterior, naive Adjoint Matching and ODS."""
    columns = (
        "prior and flow",
        "ODS in noise space",
        "posterior (grid)",
        "naive Adjoint M.",
        "ODS",
    )
    rows = [f"source: {moons.case.name}" for moons in cases]
    numbers = [number for moons in cases for number in numbers_of(moons.case)]
    return Board(
        columns,
        rows,
        [_moons_panels(moons) for moons in cases],
        numbers,
        f"{OUTLINE}; blue: of the source",
    )


def _moons_panels(moons: MoonsCase) -> list[Panel]:
    case, truth = moons.case, _pushed_posterior(moons.case)
    estimates = format_estimates(case.samples, case.posterior.log_z)
    inside = _samples_on(_noise_posterior(case), case.noise["ods"], estimates)
    return [
        Panel([_pushed_prior(case), Paths("flow", _array(moons.paths), "samples")]),
        Panel([replace(_noise_prior(case), outline=True), *inside.layers], inside.remark),
        Panel([truth]),
        _samples_on(
            truth, case.data["adjoint"], format_nearness(case, "adjoint"), "adjoint", "other"
        ),
        _samples_on(truth, case.data["ods"], format_nearness(case, "ods")),
    ]


def _ideal_and_states(grid: Grid, density: Tensor, states: Tensor) -> Panel:
    ideal = _density("ideal sampler (grid)", density, grid, "posterior")
    return Panel([ideal, Points("ods", _array(states[:NUM_DRAWN]), "samples")])


def _samples_on(
    truth: Density, points: Tensor, remark: str, name: str = "ods", role: str = "samples"
) -> Panel:
    """Return points over the outline of what holds 90 % of the truth."""
    return Panel(
        [replace(truth, outline=True), Points(name, _array(points[:NUM_DRAWN]), role)], remark
    )


def _noise_prior(case: Case) -> Density:
    return _density("prior", case.posterior.log_prior.exp(), case.posterior.grid, "prior")


def _noise_posterior(case: Case) -> Density:
    grid = case.posterior.grid
    return _density(
        "posterior (grid)", case.posterior.probability / grid.width**2, grid, "posterior"
    )


def _pushed_prior(case: Case) -> Density:
    return _pushed(case, case.posterior.log_prior, "prior (grid)", "prior")


def _pushed_posterior(case: Case) -> Density:
    return _pushed(
        case, case.posterior.log_prior + case.posterior.log_reward, "posterior (grid)", "posterior"
    )


def _pushed(case: Case, log_weight: Tensor, name: str, role: str) -> Density:
    """Return the image in data space of a density over the grid of noise."""
    weights, _ = case.posterior.grid.normalised(log_weight)
    return _density(
        name, case.window.histogram(case.posterior.x, weights.flatten()), case.window, role
    )


def _density(name: str, values: Tensor, grid: Grid, role: str) -> Density:
    return Density(name, _array(values.view(grid.side, grid.side)), grid.extent, role)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()
