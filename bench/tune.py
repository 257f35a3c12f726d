"""Try settings on validation measurements: `python -m bench.tune specs/runs/<task>/<method>/seed<k>.json zeta=0.1,1`.

The objective is the energy score of the samples against x_true, a proper score that needs no knowledge of the
posterior (Gneiting & Raftery 2007, https://doi.org/10.1198/016214506000001437). Trials are written to
tuning/<task>/<method>/trials.csv; a winner takes effect when somebody writes it into the suite's configuration.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from bench.artefacts import read_json, read_tensors, write_csv
from bench.cli import UserError, run
from bench.metrics.distances import distances, mean_distance_within
from bench.priors import load_prior, prior_path
from bench.problems.bank import Observations, problem_of, read_observations
from bench.provenance import provenance
from bench.runs import load_method, sample, train, trainable

NUM_MEASUREMENTS = 32
NUM_SAMPLES = 32


def main(spec_path: str, *ranges: str) -> None:
    spec = read_json(spec_path) | {"num_samples": NUM_SAMPLES}
    root, task, method = Path(spec["root"]), spec["task"], spec["method"]
    observations = validation_measurements(root / "tasks" / task / "bank.safetensors")
    prior = load_prior(prior_path(root, spec["prior"], spec["family"]))
    problem = problem_of(observations.header, prior.shape)
    rows = ["settings,energy_score,standard_error"]
    for settings in tqdm(list(trials(ranges)), desc=f"{task} {method}"):
        candidate = load_method(spec["module"], spec["settings"] | settings)
        state = train(candidate, prior, problem, spec) if trainable(candidate) else None
        score = energy_score(sample(candidate, prior, problem, observations, spec, state), observations.x_true)
        error = score.std() / len(score) ** 0.5
        rows.append(f'"{json.dumps(settings).replace(chr(34), chr(34) * 2)}",{score.mean():.5f},{error:.5f}')
        tqdm.write(f"{task} {method} {settings}: energy score {score.mean():.4f} +- {error:.4f}")
    info = {"observations_sha256": observations.header["observations_sha256"], "provenance": provenance()}
    write_csv(root / "tuning" / task / method / "trials.csv", "\n".join(rows) + "\n", info)


def validation_measurements(bank: Path) -> Observations:
    """The first validation measurements of a task's bank; no test image is ever tuned on."""
    everything = read_observations(bank)
    rows = (~read_tensors(bank)[0]["is_test"]).nonzero().flatten()[:NUM_MEASUREMENTS]
    kept = {name: getattr(everything, name)[rows] for name in ("x_true", "y", "image_id")}
    return dataclasses.replace(everything, **kept)


def trials(ranges: tuple[str, ...]) -> list[dict]:
    """All combinations of `name=value,value,...`."""
    if not ranges or any("=" not in text for text in ranges):
        raise UserError("tune: expected settings to try, such as zeta=0.1,0.3,1")
    names, values = zip(*(text.split("=", 1) for text in ranges), strict=True)
    options = [[json.loads(value) for value in text.split(",")] for text in values]
    return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*options)]


def energy_score(x: Tensor, x_true: Tensor) -> Tensor:
    """E|X - x_true| - E|X - X'| / 2 per measurement for samples x (m, s, *x): (m,), in data units, lower is better."""
    samples = x.flatten(2)
    return distances(samples, x_true.flatten(1)[:, None]).mean((1, 2)) - mean_distance_within(samples) / 2


if __name__ == "__main__":
    run(main)
