"""Tune a method on a task at a given cost: `python -m bench.stages.tune specs/tune/<task>/<method>.json [zeta=0.1,1 ...]`.

The objective is the energy score of the samples against x_true, a proper score that needs no knowledge of the
posterior (Gneiting & Raftery 2007, https://doi.org/10.1198/016214506000001437). Trial 0 has the suite's settings; the
others are scrambled Sobol points of the ranges that the method declares, or all combinations of values given as further
arguments. All trials have the same validation measurements and common random numbers. The best are scored again on
other validation measurements with other random numbers, for training, too, and the winner is the best of these: of many
trials the best looks better than it is.

Cost is seconds of this process on the CPU, or of the clock on another device, training included. A trial begins only
while the budget holds it and all confirmations, each taken to cost the mean of the trials so far.

Written to tuning/<task>/<method>/trials.csv (grid.csv with further arguments); a winner takes effect when somebody
writes it into the suite's configuration.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import Json, read_header, read_json, read_tensors, write_csv
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.rng import stream
from bench.core.types import Method, Prior, Problem
from bench.numerics.distances import distances, mean_distance_within
from bench.numerics.search import points, whole_fields
from bench.priors import load_prior, prior_path
from bench.problems.measurements import Measurements, problem_of, read_measurements
from bench.runtime.job import run
from bench.runtime.run_method import Outcome, attempt, load_method, refuse_unmet, sample, train, trainable
from bench.runtime.stopwatch import seconds_of

STAGES = ("search", "confirm")  # also the seeds of their random numbers
NUM_CONFIRMED = 3  # trial 0 and the best of the others
MOST_TRIALS = 128  # of a method that costs next to nothing
COLUMNS = ("trial", "stage", "settings", "energy_score", "standard_error", "difference", "difference_error")


def main(spec_path: str, *ranges: str) -> None:
    spec = read_json(spec_path)
    root, task, method = Path(spec["root"]), spec["task"], spec["method"]
    prior_file = prior_path(root, spec["prior"], spec["family"])
    prior, bank = load_prior(prior_file), root / "tasks" / task / "bank.safetensors"
    parts = validation_measurements(bank, spec["tune"]["num_measurements"])
    problem = problem_of(parts[0].header, prior.shape)
    course = {stage: Course(stage, prior, problem, part, spec) for stage, part in zip(STAGES, parts, strict=True)}
    tried = search(course["search"], candidates(spec_path, spec, ranges), spec["tune"]["seconds"])
    confirmed = [course["confirm"].trial(t.number, t.settings) for t in finalists(tried)]

    won = winner(confirmed)
    facts = {key: spec[key] for key in ("task", "method", "module", "settings", "tune")}
    facts |= {"seconds": sum(t.seconds for t in tried + confirmed), "winner": won}
    facts |= {"observations_sha256": parts[0].header["observations_sha256"]}
    facts |= {"prior_sha256": read_header(prior_file)["sha256"]}
    facts |= {"provenance": provenance(threads=torch.get_num_threads())}
    log = root / "tuning" / task / method / ("grid.csv" if ranges else "trials.csv")
    write_csv(log, table(tried) + table(confirmed).partition("\n")[2], facts)
    spent = f"{facts['seconds']:.0f} of {spec['tune']['seconds']:g} s"
    print(f"{task} {method}: {len(tried)} trials, {spent}; {in_words(won)}")


@dataclass(frozen=True)
class Trial:
    """What became of some settings: energy scores of m measurements, (m,), or why there are none."""

    number: int
    stage: str
    settings: Mapping[str, object]
    outcome: Outcome[Tensor]
    seconds: float

    @property
    def score(self) -> float:
        """The mean over measurements; lower is better, and what failed is worst."""
        return self.outcome.result.mean().item() if self.outcome.status == "ok" else math.inf


@dataclass(frozen=True)
class Course:
    """What all trials of a stage have in common."""

    stage: str
    prior: Prior
    problem: Problem
    observations: Measurements
    spec: Json

    def trial(self, number: int, settings: dict) -> Trial:
        outcomes: list[Outcome[Tensor]] = []
        seconds = seconds_of(lambda: outcomes.append(attempt(lambda: self._scores(settings))), self.observations.y.device)
        made = Trial(number, self.stage, settings, outcomes[0], seconds)
        what = f"energy score {made.score:.4f}" if outcomes[0].status == "ok" else str(outcomes[0])
        where = f"{self.spec['task']} {self.spec['method']}: {self.stage} {number}"
        print(f"{where} {json.dumps(settings)}: {what}; {seconds:.1f} s", flush=True)
        return made

    def _scores(self, settings: dict) -> Tensor:
        spec = self.spec | {"num_samples": self.spec["tune"]["num_samples"], "seed": self.stage}
        method = load_method(spec["module"], settings)
        refuse_unmet(method, self.prior, self.problem)
        state = train(method, self.prior, self.problem, spec) if trainable(method) else None
        x = sample(method, self.prior, self.problem, self.observations, spec, state)
        scores = energy_score(x, self.observations.x_true)
        num_bad = int((~scores.isfinite()).sum())
        if num_bad:
            raise ValueError(f"{num_bad} of {len(scores)} measurements have samples that are not finite")
        return scores


def validation_measurements(bank: Path, num_measurements: int) -> tuple[Measurements, Measurements]:
    """The first validation measurements of a task's bank and as many others; no test image is ever tuned on."""
    everything = read_measurements(bank)
    rows = (~read_tensors(bank)[0]["is_test"]).nonzero().flatten()
    if len(rows) < 2 * num_measurements:
        raise UserError(
            f"{bank}: has {len(rows)} validation images, but tune.num_measurements = {num_measurements} needs twice "
            f"as many, half of them to confirm; set it to at most {len(rows) // 2} in the suite's file"
        )
    parts = rows[: 2 * num_measurements].split(num_measurements)
    names = ("x_true", "y", "image_id")
    first, other = (replace(everything, **{name: getattr(everything, name)[part] for name in names}) for part in parts)
    return first, other


def candidates(spec_path: str, spec: Json, ranges: Sequence[str]) -> list[dict]:
    """All settings to try, in order and none twice: the suite's, then Sobol points or the grid that was asked for."""
    outcome = attempt(lambda: load_method(spec["module"], spec["settings"]))
    if outcome.status != "ok":
        raise UserError(f"{spec_path}: methods/{spec['module']}.py with the suite's settings: {outcome.reason}")
    method: Method = outcome.result
    if not ranges and not method.search:
        what = f"methods/{spec['module']}.py declares no range to search"
        raise UserError(f"{spec_path}: {what}; name settings to try, such as zeta=0.1,0.3,1")
    start = {name: getattr(method, name) for name in method.search} | spec["settings"]
    seed = int(stream("tune", spec["task"], spec["method"]).integers(2**31))
    others = list(grid(ranges)) if ranges else points(method.search, whole_fields(method), MOST_TRIALS - 1, seed)
    found = [start] + [start | other for other in others]
    return [settings for i, settings in enumerate(found) if settings not in found[:i]]


def grid(ranges: Sequence[str]) -> Iterator[dict]:
    """All combinations of `name=value,value,...`."""
    if any("=" not in text for text in ranges):
        raise UserError("tune: expected settings to try, such as zeta=0.1,0.3,1")
    names, values = zip(*(text.split("=", 1) for text in ranges), strict=True)
    for combination in itertools.product(*([json.loads(value) for value in text.split(",")] for text in values)):
        yield dict(zip(names, combination, strict=True))


def search(course: Course, settings: Sequence[dict], budget: float) -> list[Trial]:
    """Trials of the settings in order, the first one in any case, while the budget (seconds) holds another one."""
    tried = [course.trial(0, settings[0])]
    for number in range(1, len(settings)):
        used = sum(trial.seconds for trial in tried)
        if tried[0].outcome.status == "n/a" or used + (1 + NUM_CONFIRMED) * used / len(tried) > budget:
            break
        tried.append(course.trial(number, settings[number]))
    return tried


def finalists(tried: Sequence[Trial]) -> list[Trial]:
    """Trial 0 and the best of the others; nobody where the method cannot run here."""
    good = sorted((trial for trial in tried[1:] if trial.score < math.inf), key=lambda trial: trial.score)
    return [] if tried[0].outcome.status == "n/a" else [tried[0], *good[: NUM_CONFIRMED - 1]]


def winner(confirmed: Sequence[Trial]) -> Json | None:
    """The best of the confirmed trials, with its paired difference to trial 0; None where none of them has a score."""
    best = min(confirmed, key=lambda trial: trial.score, default=None)
    if best is None or best.score == math.inf:
        return None
    difference, error = against(best, confirmed[0]) or (None, None)
    found = {"trial": best.number, "settings": dict(best.settings), "energy_score": best.score}
    return found | {"difference": difference, "difference_error": error}


def against(trial: Trial, first: Trial) -> tuple[float, float] | None:
    """Mean and standard error of the paired differences of their scores; None where one of them has none."""
    if "ok" != trial.outcome.status or "ok" != first.outcome.status:
        return None
    difference = trial.outcome.result - first.outcome.result
    return difference.mean().item(), standard_error(difference)


def standard_error(values: Tensor) -> float:
    return (values.std() / len(values) ** 0.5).item()


def table(trials: Sequence[Trial]) -> str:
    """The log of one stage as csv: a row per trial, `difference` to the stage's first trial; empty where it failed."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*COLUMNS, "seconds", "reason"])
    for trial in trials:
        good = trial.outcome.status == "ok"
        numbers = [trial.score, standard_error(trial.outcome.result) if good else None]
        numbers += against(trial, trials[0]) or (None, None)
        written = ["" if number is None else f"{number:.5f}" for number in numbers]
        reason = "" if good else str(trial.outcome)
        rows.writerow([trial.number, trial.stage, json.dumps(trial.settings), *written, f"{trial.seconds:.2f}", reason])
    return text.getvalue()


def energy_score(x: Tensor, x_true: Tensor) -> Tensor:
    """E|X - x_true| - E|X - X'| / 2 per measurement for samples x (m, s, *x): (m,), in data units, lower is better."""
    samples = x.flatten(2)
    return distances(samples, x_true.flatten(1)[:, None]).mean((1, 2)) - mean_distance_within(samples) / 2


def in_words(won: Json | None) -> str:
    if won is None:
        return "no winner"
    words = f"trial {won['trial']} wins, {json.dumps(won['settings'])}"
    return words if won["difference"] is None else f"{words}: {won['difference']:+.4f} +- {won['difference_error']:.4f}"


if __name__ == "__main__":
    run(main)
