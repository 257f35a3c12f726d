"""`python -m bench.reference specs/tasks/<task>.json`: two independent sets of exact draws, and their checks."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import torch
from torch import Tensor

from bench.artefacts import read_header, read_json, write_tensors
from bench.cli import run
from bench.metrics.distances import energy_distance, mean_distance_within
from bench.priors import load_prior, prior_path
from bench.problems.bank import Observations, problem_of, read_observations
from bench.problems.exact import Posterior, TemperedSMC, exact_posterior
from bench.provenance import provenance
from bench.rng import Rng

MAX_ENERGY_SHARE = 0.003  # energy distance of the two sets over twice the mean distance within one, beyond 1 / e
MAX_SHIFT = 4.0  # distance of two means in standard errors of e independent draws each, all pixels together
NUM_TRIES = 3  # with twice the particles each time


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    folder = Path(spec["root"]) / "tasks" / spec["task"]
    observations = read_observations(folder / "observations.safetensors")
    prior_file = prior_path(spec["root"], spec["prior"], spec["family"])
    prior = load_prior(prior_file)
    posterior = exact_posterior(prior, problem_of(observations.header, prior.shape))
    x_a, x_b, checks = draw(posterior, observations, spec["num_reference"])
    mean, std = posterior.moments(observations.y) or (x_a.mean(1), x_a.std(1))
    perplexity = posterior.perplexity(observations.y)
    if perplexity is None:  # no formula: of the component to which a draw belongs
        perplexity = torch.stack([prior.log_joint(x).softmax(1).mean(0) for x in x_a])
        perplexity = torch.special.entr(perplexity).sum(1).exp()
    reasons = [reason(check, spec["num_reference"]) for check in checks]
    for i, text in enumerate(reasons):
        if text:
            print(f"{spec['task']}: reference of measurement {i} not admitted: {text}", file=sys.stderr)
    header = {
        "task": spec["task"],
        "kind": posterior.kind,
        "admitted": [not text for text in reasons],
        "reasons": reasons,
        "checks": {name: [check.get(name) for check in checks] for name in checks[0]},
        "posterior_perplexity": perplexity.tolist(),
        "perplexity_of": posterior.perplexity_of,
        "observations_sha256": observations.header["observations_sha256"],
        "prior_sha256": read_header(prior_file)["sha256"],
        "provenance": provenance(),
    }
    tensors = {"x_a": x_a, "x_b": x_b, "mean": mean, "std": std}
    write_tensors(folder / "exact.safetensors", {name: tensor.float() for name, tensor in tensors.items()}, header)


def draw(posterior: Posterior, observations: Observations, num_draws: int) -> tuple[Tensor, Tensor, list[dict]]:
    """Two sets (m, num_draws, *x) and the checks of each measurement; a particle reference may try again, larger."""
    task, y = observations.header["task"], observations.y
    sets, checks = [], []
    for i, image_id in enumerate(observations.image_id.tolist()):
        sampler, row = posterior, y[i : i + 1]
        for attempt in range(NUM_TRIES):
            pair = [
                sampler.sample(row, num_draws, Rng(("reference", task, name, attempt), (image_id,), range(num_draws)))
                for name in "ab"
            ]
            check = compare(*pair, posterior.moments(row))
            if not reason(check, num_draws) or not isinstance(sampler, TemperedSMC):
                break
            particles = max(sampler.num_particles, 2 * num_draws)  # as many as there were
            sampler = dataclasses.replace(sampler, num_particles=2 * particles)
        sets.append(pair)
        checks.append(check)
    return torch.cat([a for a, _ in sets]), torch.cat([b for _, b in sets]), checks


def compare(x_a: Tensor, x_b: Tensor, moments: tuple[Tensor, Tensor] | None) -> dict[str, float]:
    """How far two sets of e draws (1, e, *x) are from each other and, where there is a formula, from its mean.

    A shift is |difference of means| over its root mean square for independent draws, so about 1 when all is well.
    """
    a, b = x_a.flatten(2), x_b.flatten(2)
    within_b, num_draws = mean_distance_within(b), a.shape[1]
    mean_variance = ((a.var(1) + b.var(1)) / 2).sum() / num_draws + 1e-12
    check = {
        "energy_share": (energy_distance(a, b, within_b) / (2 * within_b.clamp_min(1e-12))).item(),
        "shift": ((a.mean(1) - b.mean(1)).norm() / (2 * mean_variance).sqrt()).item(),
    }
    if moments is not None:
        mean = moments[0].flatten(1)
        check["shift_from_formula"] = max(((x.mean(1) - mean).norm() / mean_variance.sqrt()).item() for x in (a, b))
    return check


def reason(check: dict[str, float], num_draws: int) -> str:
    """Why draws are not admitted, or nothing. Draws from a formula are exact; their shifts are kept on record."""
    if "shift_from_formula" in check:
        return ""
    limits = {"energy_share": MAX_ENERGY_SHARE + 1 / num_draws, "shift": MAX_SHIFT}
    broken = [name for name in limits if not check[name] <= limits[name]]  # what is not a number is broken, too
    words = [f"{name} {check[name]:.3g} above {limits[name]:.3g}" for name in broken]
    return f"two sets of draws differ: {', '.join(words)}" if words else ""


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main)
