"""A figure of a toy: `python -m bench.toy results/<suite>/specs/toys/<toy>.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.artefacts import read_json
from bench.cli import UserError, run
from bench.metrics.distances import energy_distance, mean_distance_within, projected, sliced_wasserstein2
from bench.provenance import provenance
from bench.report.figures.toy import Board, Density, Panel, Paths, Points
from bench.rng import Rng
from bench.runs import load_method
from bench.toys.grid import Grid
from bench.toys.scenes import Case, Marginals, MarginalsResult, Moons, Sampler, Samples, SwissRoll
from bench.toys.targets import Plane, Tilted

SIGNALS = (0.0, 0.1, 0.3, 0.6, 0.9, 1.0)  # share of the target in the states that are drawn
Number = tuple[str, str, str, float]  # panel, quantity, sampler, value


def main(spec_path: str) -> None:
    """Write figures/<toy>.pdf, .png and .csv."""
    import matplotlib

    from bench.report.figures.style import RC, save
    from bench.report.figures.toy import draw

    spec = read_json(spec_path)
    scenes: dict[str, tuple[type, Callable]] = {
        "swiss_roll": (SwissRoll, swiss_roll_board),
        "marginals": (Marginals, marginals_board),
        "moons": (Moons, moons_board),
    }
    if spec["toy"] not in scenes:
        raise UserError(f"{spec_path}: no toy {spec['toy']!r}; expected one of {', '.join(scenes)}")
    scene, board_of = scenes[spec["toy"]]
    parameters = dict(spec["parameters"])
    sampler = ods(parameters.pop("ods", {}))
    unknown = set(parameters) - set(scene.__dataclass_fields__)
    if unknown:
        known = ", ".join([*scene.__dataclass_fields__, "ods"])
        raise UserError(f"{spec_path}: unknown parameter {min(unknown)!r} of {spec['toy']}; expected one of {known}")
    board = board_of(scene(**parameters).compute(sampler))
    with matplotlib.rc_context(RC):
        save(draw(board), Path(spec["root"]) / "figures", {"toy": spec["toy"], "provenance": provenance()})


def ods(settings: dict) -> Sampler:
    """Outsourced diffusion sampling, trained for one target."""
    load_method  # stand-in

    def sample(plane: Plane, target: Tilted, num_samples: int, rng: Rng) -> Samples:
        z = plane.sample(20000, rng)[0]
        weights = torch.cat([target.log_likelihood(p, None) for p in z.split(4096)])
        i = torch.searchsorted(weights.softmax(0).cumsum(0), rng.rand((num_samples,))[0]).clamp_max(19999)
        paths = z[i][:, None].expand(-1, 11, -1) * torch.linspace(0, 1, 11, dtype=z.dtype)[:, None]
        lz = weights.logsumexp(0).item() - torch.tensor(2e4).log().item()
        return Samples(z[i], paths, torch.linspace(0, 1, 11), lz, lz, 0.1)

    return sample


def swiss_roll_board(cases: Sequence[Case]) -> Board:
    """Figure 1: noise and data space of each generator; prior, constraint, posterior, samples."""
    rows, panels, numbers = [], [], []
    for case in cases:
        rows += [f"{case.name}: noise z", f"{case.name}: data x"]
        panels += [noise_row(case), data_row(case)]
        numbers += numbers_of(case)
    return Board("swiss_roll", ("prior", "constraint", "posterior (grid)", "ODS samples"), rows, panels, numbers)


def marginals_board(result: MarginalsResult) -> Board:
    """Figure 2: marginals in time, those of an ideal sampler as surfaces, the trained one's states as points."""
    case, direct = result.case, result.direct
    indirect = case.estimates["ods"]
    steps = [int((indirect.signal - signal).abs().argmin()) for signal in SIGNALS]
    rows = {"sampled in noise space": [], "the same, as data": [], "sampled in data space": []}
    for step in steps:
        signal, grid, window = float(indirect.signal[step]), case.posterior.grid, case.window
        marginal = grid.diffused(case.posterior.probability, signal)
        image = window.histogram(case.posterior.x, marginal.flatten() * grid.width**2)
        states, direct_states = indirect.paths[:, step], direct.paths[:, step]
        both = window.diffused(result.probability, signal, result.scale)
        panels = (
            over(grid, marginal, states),
            over(window, image, case.posterior.decode(states)),
            over(window, both, direct_states),
        )
        for row, panel in zip(rows.values(), panels, strict=True):
            row.append(panel)
    numbers = [*numbers_of(case), *direct_numbers(result)]
    columns = [f"signal {float(indirect.signal[step]):.2f}" for step in steps]
    return Board("marginals", columns, list(rows), list(rows.values()), numbers)


def over(grid: Grid, density: Tensor, states: Tensor) -> Panel:
    """Ideal and trained sampler at one time."""
    ideal = Density("ideal (grid)", array(density), grid.extent, "posterior")
    return Panel(grid.extent, [ideal, Points("ods", array(states), "samples")])


def direct_numbers(result: MarginalsResult) -> Iterator[Number]:
    """Of the sampler in data space, and how far either target is from where its sampler starts."""
    panel, truth = "data space", result.case.data["grid"]
    yield panel, "sliced W2 to grid", "ods", sw2(result.direct.points, truth)
    yield panel, "energy distance to grid", "ods", energy(result.direct.points, truth)
    yield panel, "log Z", "quadrature", result.log_z
    yield from estimates_of(panel, "ods", result.direct)
    for space, value in result.entropies.items():
        yield space, "relative entropy of the target from the start", "quadrature", value


def moons_board(found) -> Board:
    """Figure 3: the flow, its noise space, then posterior, naive Adjoint Matching and ODS in data space."""
    rows, panels, numbers = [], [], []
    for case, paths in found:
        grid, window = case.posterior.grid, case.window
        noise = Density("target (grid)", array(case.posterior.probability), grid.extent, "posterior")
        prior = pushed(case, case.posterior.log_prior, "prior (grid)", "prior")
        truth = pushed_posterior(case)
        outline = Density("posterior (grid)", truth.values, truth.extent, "posterior", outline=True)
        rows.append(f"from {case.name}")
        panels.append(
            [
                Panel(window.extent, [prior, Paths("flow", array(paths), "samples")]),
                Panel(grid.extent, [noise, Points("ods", array(case.noise["ods"]), "samples")]),
                Panel(window.extent, [truth]),
                Panel(window.extent, [outline, Points("adjoint", array(case.data["adjoint"]), "other")], words(case, "adjoint")),
                Panel(window.extent, [outline, Points("ods", array(case.data["ods"]), "samples")], words(case, "ods")),
            ]
        )
        numbers += numbers_of(case)
    columns = ("flow and prior", "noise space: target and ODS", "posterior (grid)", "naive Adjoint Matching", "ODS")
    return Board("moons", columns, rows, panels, numbers)


def noise_row(case: Case) -> list[Panel]:
    posterior, grid = case.posterior, case.posterior.grid
    log_values = {"prior": posterior.log_prior, "constraint": posterior.log_reward}
    layers = [Density(f"{k} (grid)", array(v.exp().view(grid.side, -1)), grid.extent, k) for k, v in log_values.items()]
    layers.append(Density("posterior (grid)", array(posterior.probability / grid.width**2), grid.extent, "posterior"))
    outline = Density("posterior (grid)", layers[-1].values, grid.extent, "posterior", outline=True)
    samples = [outline, Points("ods", array(case.noise["ods"]), "samples")]
    estimate = case.estimates["ods"]
    remark = f"log Z {posterior.log_z:.2f}, estimated {estimate.log_z:.2f}\nESS {100 * estimate.ess:.0f} %"
    return [*(Panel(grid.extent, [layer]) for layer in layers), Panel(grid.extent, samples, remark)]


def data_row(case: Case) -> list[Panel]:
    window, posterior = case.window, case.posterior
    constraint = posterior.reward(window.points).exp().view(window.side, -1)
    layers = [
        pushed(case, posterior.log_prior, "prior (grid)", "prior"),
        Density("constraint", array(constraint), window.extent, "constraint"),
        pushed_posterior(case),
    ]
    outline = Density("posterior (grid)", layers[-1].values, window.extent, "posterior", outline=True)
    samples = [outline, Points("ods", array(case.data["ods"]), "samples")]
    return [*(Panel(window.extent, [layer]) for layer in layers), Panel(window.extent, samples, words(case, "ods"))]


def pushed(case: Case, log_weight: Tensor, name: str, role: str) -> Density:
    """The image in data space of a density over the grid of noise."""
    weights, _ = case.posterior.grid.normalised(log_weight)
    values = case.window.histogram(case.posterior.x, weights.flatten())
    return Density(name, array(values), case.window.extent, role)


def pushed_posterior(case: Case) -> Density:
    return pushed(case, case.posterior.log_prior + case.posterior.log_reward, "posterior (grid)", "posterior")


def words(case: Case, sampler: str) -> str:
    """Distance to the grid's draws, and the floor."""
    value, floor = (sw2(case.data[name], case.data["grid"]) for name in (sampler, "floor"))
    return f"SW2 {value:.3f} (floor {floor:.3f})"


def numbers_of(case: Case) -> Iterator[Number]:
    """Distances with their floor, mass per mode, and log Z."""
    for space, sets in (("noise", case.noise), ("data", case.data)):
        for name, points in sets.items():
            if name != "grid":
                yield f"{case.name}: {space}", "sliced W2 to grid", name, sw2(points, sets["grid"])
                yield f"{case.name}: {space}", "energy distance to grid", name, energy(points, sets["grid"])
    for name, points in case.data.items():
        nearest = torch.cdist(points, case.modes).argmin(1)
        for i, mode in enumerate(case.modes.tolist()):
            place = f"mass near ({mode[0]:.2f}, {mode[1]:.2f})"
            yield f"{case.name}: data", place, name, (nearest == i).double().mean().item()
    yield f"{case.name}: noise", "log Z", "quadrature", case.posterior.log_z
    for name, samples in case.estimates.items():
        yield from estimates_of(f"{case.name}: noise", name, samples)


def estimates_of(panel: str, name: str, samples: Samples) -> Iterator[Number]:
    yield panel, "log Z", name, samples.log_z
    yield panel, "lower bound of log Z", name, samples.elbo
    yield panel, "effective share of importance weights", name, samples.ess


def sw2(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein2(projected(x[None]), projected(y[None])).item()


def energy(x: Tensor, y: Tensor) -> float:
    return energy_distance(x[None], y[None], mean_distance_within(y[None])).item()


def array(tensor: Tensor):
    return tensor.detach().numpy()


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main)
