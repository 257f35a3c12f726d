"""A figure of a toy: `python -m bench.stages.toy results/<suite>/specs/toys/<toy>.json`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.core.artefacts import read_json
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.rng import Rng
from bench.figures.toy import Board, Density, Number, Panel, Paths, Points
from bench.numerics.distances import energy_distance, mean_distance_within, projected, sliced_wasserstein2
from bench.papers.toys.grid import Grid
from bench.papers.toys.scenes import Case, Marginals, Moons, MoonsCase, Sampler, Samples, SwissRoll, TwoSpaces
from bench.papers.toys.targets import Plane, Tilted
from bench.runtime.job import run
from bench.runtime.run_method import load_method

SIGNALS = (0.0, 0.1, 0.3, 0.6, 0.9, 1.0)  # shares of the target in the states that are drawn
NUM_DRAWN = 1000  # points in a panel
OUTLINE = "orange outlines: 90 % of the posterior by grid"


def main(spec_path: str) -> None:
    """Write figures/<toy>.pdf, .png and .csv."""
    import matplotlib

    from bench.figures.style import RC, save
    from bench.figures.toy import draw

    spec = read_json(spec_path)
    scenes: dict[str, tuple[type, Callable]] = {
        "swiss_roll": (SwissRoll, swiss_roll),
        "marginals": (Marginals, marginals),
        "moons": (Moons, moons),
    }
    if spec["toy"] not in scenes:
        raise UserError(f"{spec_path}: no toy {spec['toy']!r}; expected one of {', '.join(scenes)}")
    scene, board_of = scenes[spec["toy"]]
    parameters = dict(spec["parameters"])
    settings = parameters.pop("ods", {})
    known = [field.name for field in fields(scene)]
    for name in sorted(set(parameters) - set(known)):
        raise UserError(f"{spec_path}: no parameter {name!r} of {spec['toy']}; expected {', '.join(known)} or ods")
    board = board_of(scene(**parameters).compute(ods(settings)))
    with matplotlib.rc_context(RC):
        save(draw(spec["toy"], board), Path(spec["root"]) / "figures", {"toy": spec["toy"], "provenance": provenance()})


def ods(settings: dict) -> Sampler:
    """Outsourced diffusion sampling, trained for one target of which it is told no gradients."""
    method = load_method("ods", {"amortised": False, "drift": "plain", **settings})

    def sample(plane: Plane, target: Tilted, num_samples: int, rng: Rng) -> Samples:
        y = torch.zeros(1, 1, dtype=torch.float64)
        begin = time.process_time()
        ((_, trained),) = method.samplers(plane, target, y, rng, {})
        seconds = time.process_time() - begin
        noise = rng.randn((num_samples, method.num_steps + 1, 2)).float()
        rows = y.expand(num_samples, 1)
        paths, _ = trained.sampler.rollout(rows, trained.features(rows), noise[0])
        paths = plane.decode(paths.to(y) @ trained.affine.axes.T)
        schedule = trained.sampler.schedule
        signal = torch.cat([schedule.before[:1], schedule.after])
        log_z, elbo, ess = (value.item() for value in trained.judge(y, noise))
        return Samples(paths[:, -1], paths, signal, log_z, elbo, ess, seconds)

    return sample


def swiss_roll(cases: Sequence[Case]) -> Board:
    """Figure 1: noise and data space of each generator; prior, constraint, posterior, samples."""
    rows = [f"{case.name}: {space}" for case in cases for space in ("noise z", "data x")]
    panels = [row(case) for case in cases for row in (noise_row, data_row)]
    columns = ("prior", "constraint", "posterior (grid)", "ODS samples")
    return Board(columns, rows, panels, [number for case in cases for number in numbers_of(case)], OUTLINE)


def noise_row(case: Case) -> list[Panel]:
    posterior, grid = case.posterior, case.posterior.grid
    shape = (grid.side, grid.side)
    constraint = Density("constraint", array(posterior.log_reward.exp().view(shape)), grid.extent, "constraint")
    layers = [noise_prior(case), constraint, truth := noise_posterior(case)]
    estimate = in_words(case.samples, posterior.log_z)
    return [*(Panel([layer]) for layer in layers), samples_on(truth, case.noise["ods"], estimate)]


def data_row(case: Case) -> list[Panel]:
    posterior, window = case.posterior, case.window
    constraint = posterior.reward(window.points).exp().view(window.side, window.side)
    truth = pushed_posterior(case)
    layers = [pushed_prior(case), Density("constraint", array(constraint), window.extent, "constraint"), truth]
    return [*(Panel([layer]) for layer in layers), samples_on(truth, case.data["ods"], nearness(case, "ods"))]


def marginals(spaces: TwoSpaces) -> Board:
    """Figure 2: marginals in time, of an ideal sampler as surfaces, states of the trained one as points."""
    case, inside, outside = spaces.case, spaces.case.samples, spaces.direct
    grid, window, truth = case.posterior.grid, case.window, case.posterior.probability
    columns, rows = [], ([], [], [])
    for step in [int((inside.signal - signal).abs().argmin()) for signal in SIGNALS]:
        signal = float(inside.signal[step])
        columns.append(f"signal {signal:.2f}")
        marginal = grid.diffused(truth, signal)
        image = window.histogram(case.posterior.x, marginal.flatten() * grid.width**2)
        direct = window.diffused(spaces.probability, signal, spaces.scale)
        states = inside.paths[:, step]
        rows[0].append(ideal_and_states(grid, marginal, states))
        rows[1].append(ideal_and_states(window, image, case.posterior.decode(states)))
        rows[2].append(ideal_and_states(window, direct, outside.paths[:, step]))
    distances = [f"target: {spaces.entropies[name]:.2f} nats away" for name in ("noise", "data")]
    remarks = ((distances[0], in_words(inside, case.posterior.log_z)), ("", nearness(case, "ods")))
    remarks += ((distances[1], f"{in_words(outside, spaces.log_z)}\n{nearness(case, 'ods in data space')}"),)
    for row, (first, last) in zip(rows, remarks, strict=True):
        row[0], row[-1] = Panel(row[0].layers, first), Panel(row[-1].layers, last)
    numbers = [*numbers_of(case), *estimates_of("data", outside), ("data", "log Z", "quadrature", spaces.log_z)]
    numbers += [(name, "relative entropy from the start", "grid", value) for name, value in spaces.entropies.items()]
    names = ("noise space", "noise space,\nshown as data", "data space")
    note = "surfaces: an ideal sampler's marginals, by grid; points: states of ODS; signal: share of the target in them"
    return Board(columns, names, rows, numbers, note)


def ideal_and_states(grid: Grid, density: Tensor, states: Tensor) -> Panel:
    ideal = Density("ideal sampler (grid)", array(density), grid.extent, "posterior")
    return Panel([ideal, Points("ods", array(states[:NUM_DRAWN]), "samples")])


def moons(cases: Sequence[MoonsCase]) -> Board:
    """Figure 3: the flow; its noise space; in data space posterior, naive Adjoint Matching and ODS."""
    panels = []
    for found in cases:
        case, truth = found.case, pushed_posterior(found.case)
        inside = samples_on(noise_posterior(case), case.noise["ods"], in_words(case.samples, case.posterior.log_z))
        panels.append(
            [
                Panel([pushed_prior(case), Paths("flow", array(found.paths), "samples")]),
                Panel([replace(noise_prior(case), outline=True), *inside.layers], inside.remark),
                Panel([truth]),
                samples_on(truth, case.data["adjoint"], nearness(case, "adjoint"), "adjoint", "other"),
                samples_on(truth, case.data["ods"], nearness(case, "ods")),
            ]
        )
    columns = ("prior and flow", "ODS in noise space", "posterior (grid)", "naive Adjoint M.", "ODS")
    rows = [f"source: {found.case.name}" for found in cases]
    numbers = [number for found in cases for number in numbers_of(found.case)]
    return Board(columns, rows, panels, numbers, f"{OUTLINE}; blue: of the source")


def samples_on(truth: Density, points: Tensor, remark: str, name: str = "ods", role: str = "samples") -> Panel:
    """Points over the outline of what holds 90 % of the truth."""
    return Panel([replace(truth, outline=True), Points(name, array(points[:NUM_DRAWN]), role)], remark)


def noise_prior(case: Case) -> Density:
    grid = case.posterior.grid
    return Density("prior", array(case.posterior.log_prior.exp().view(grid.side, grid.side)), grid.extent, "prior")


def noise_posterior(case: Case) -> Density:
    grid = case.posterior.grid
    return Density("posterior (grid)", array(case.posterior.probability / grid.width**2), grid.extent, "posterior")


def pushed_prior(case: Case) -> Density:
    return pushed(case, case.posterior.log_prior, "prior (grid)", "prior")


def pushed_posterior(case: Case) -> Density:
    return pushed(case, case.posterior.log_prior + case.posterior.log_reward, "posterior (grid)", "posterior")


def pushed(case: Case, log_weight: Tensor, name: str, role: str) -> Density:
    """The image in data space of a density over the grid of noise."""
    weights, _ = case.posterior.grid.normalised(log_weight)
    values = case.window.histogram(case.posterior.x, weights.flatten())
    return Density(name, array(values), case.window.extent, role)


def in_words(samples: Samples, log_z: float) -> str:
    return f"log Z {samples.log_z:.2f} (grid {log_z:.2f})\nESS {100 * samples.ess:.0f} %"


def nearness(case: Case, name: str) -> str:
    value, floor = (sw2(case.data[key], case.data["grid"]) for key in (name, "floor"))
    return f"SW2 {value:.3f} (floor {floor:.3f})"


def numbers_of(case: Case) -> Iterator[Number]:
    """Distances to the grid's draws with their floor, mass per mode, log Z."""
    for space, sets in (("noise", case.noise), ("data", case.data)):
        for name, points in sets.items():
            if name != "grid":
                yield f"{case.name} {space}", "sliced W2 to grid", name, sw2(points, sets["grid"])
                yield f"{case.name} {space}", "energy distance to grid", name, energy(points, sets["grid"])
    for name, points in case.data.items():
        nearest = torch.cdist(points, case.modes).argmin(1)
        for i, (x, y) in enumerate(case.modes.tolist()):
            share = (nearest == i).double().mean().item()
            yield f"{case.name} data", f"mass near ({x:.2f}, {y:.2f})", name, share
    yield f"{case.name} noise", "log Z", "quadrature", case.posterior.log_z
    yield from estimates_of(f"{case.name} noise", case.samples)


def estimates_of(place: str, samples: Samples) -> Iterator[Number]:
    yield place, "log Z", "ods", samples.log_z
    yield place, "lower bound of log Z", "ods", samples.elbo
    yield place, "effective share of importance weights", "ods", samples.ess


def sw2(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein2(projected(x[None]), projected(y[None])).item()


def energy(x: Tensor, y: Tensor) -> float:
    return energy_distance(x[None], y[None], mean_distance_within(y[None])).item()


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main)
