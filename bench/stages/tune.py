"""`python -m bench.stages.tune specs/tune/<task>/<method>.json [zeta=0.1,1 ...]`: tune a method on a task.

The objective is the energy score of the samples against x_true, a proper score that needs no knowledge of the
posterior (Gneiting & Raftery 2007, https://doi.org/10.1198/016214506000001437). Trial 0 has the suite's settings; the
others are scrambled Sobol points of the ranges that the method declares, or all combinations of values given as further
arguments. All trials have the same validation measurements and common random numbers. The best are scored again on
other validation measurements with other random numbers, also for training, and the winner is the best of these: of many
trials the best looks better than it is.

Cost is seconds of this process on the CPU, or of the wall on another device, training included. A trial begins only
while the budget holds it and all confirmations, each taken to cost the mean of the trials so far.

Writes tuning/<task>/<method>/trials.csv (grid.csv with further arguments). A winner takes effect when somebody writes
it into the suite's file.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from bench.core.artefacts import Json, read_tensors, write_csv
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.rng import stream
from bench.core.specs import TuneSpec
from bench.core.types import Choice, LogUniform, Uniform
from bench.numerics.distances import distances, mean_distance_within
from bench.numerics.sobol import integer_fields, sobol_settings
from bench.problems.measurements import Measurements
from bench.runtime.containment import Ending, hold
from bench.runtime.job import run
from bench.runtime.progress import progress
from bench.runtime.run_method import (
    Draws,
    RunResult,
    attempt,
    load_method,
    refuse_unmet,
    sample,
    train,
    trainable,
)
from bench.runtime.stopwatch import seconds_of
from bench.task import Task, open_task

NUM_CONFIRMED = 3  # trial 0 and the best of the others
MOST_TRIALS = 128  # of a method that costs next to nothing
COLUMNS = (
    "trial",
    "stage",
    "settings",
    "energy_score",
    "standard_error",
    "difference",
    "difference_error",
)
COLUMNS += ("seconds", "reason")


def main(spec_path: str, *ranges: str) -> None:
    """Search and confirm settings of a method on a task, and write the log of all trials.

    Its limits, where it has some, are of each trial.
    """
    spec = TuneSpec.read(spec_path)
    hold(spec.limits)
    task = open_task(spec, with_posterior=False, all_measurements=True)
    parts = validation_measurements(
        task, spec.layout.task(spec.task).all_measurements, spec.tune.num_measurements
    )
    search, confirmation = (
        Phase(name, task, part, spec)
        for name, part in zip(("search", "confirm"), parts, strict=True)
    )
    candidates = settings_to_try(spec_path, spec, ranges)
    tried = run_trials(search, candidates, spec.tune.seconds)
    confirmed = [confirmation.run_trial(trial.number, trial.settings) for trial in finalists(tried)]
    log = {key: spec.content()[key] for key in ("task", "method", "module", "tune")}
    log |= {"settings": spec.settings, "ranges": ranges_of(spec, candidates, bool(ranges))}
    log |= {
        "seconds": sum(trial.seconds for trial in tried + confirmed),
        "winner": winner(confirmed),
    }
    log |= {
        "observations_sha256": task.header["observations_sha256"],
        "prior_sha256": task.prior_sha256,
    }
    log["provenance"] = provenance(threads=torch.get_num_threads())
    trials = pd.concat([trials_frame(tried), trials_frame(confirmed)])
    path = spec.layout.tuning(spec.task, spec.method, "grid" if ranges else "trials")
    write_csv(path, trials.to_csv(index=False, lineterminator="\n"), log)
    spent = f"{len(tried)} trials, {log['seconds']:.0f} of {spec.tune.seconds:g} s"
    print(f"{spec.task} {spec.method}: {spent}; {format_winner(log['winner'])}")


def outputs(spec_path: str, *ranges: str) -> tuple[Path, ...]:
    """Return the log of a search, which `main` writes."""
    spec = TuneSpec.read(spec_path)
    return (spec.layout.tuning(spec.task, spec.method, "grid" if ranges else "trials"),)


def write_failed(ending: Ending, spec_path: str, *ranges: str) -> None:
    """Write a log without trials for a search whose process has ended, with the reason."""
    spec, (path,) = TuneSpec.read(spec_path), outputs(spec_path, *ranges)
    log = {key: spec.content()[key] for key in ("task", "method", "module", "tune")}
    log |= {"settings": spec.settings, "ranges": {}, "seconds": 0.0, "winner": None}
    log |= {"reason": str(ending), "provenance": provenance(threads=torch.get_num_threads())}
    write_csv(path, trials_frame([]).to_csv(index=False, lineterminator="\n"), log)
    note_failure(path, ending.reason, ending.is_passing, ending.over(spec.limits))


@dataclass(frozen=True)
class Trial:
    """Settings with the energy scores of m measurements, (m,), or the reason why there are none."""

    number: int
    phase: str
    settings: Mapping[str, object]
    run_result: RunResult[Tensor]
    seconds: float

    @property
    def scores(self) -> Tensor | None:
        return self.run_result.result if self.run_result.status == "ok" else None

    @property
    def score(self) -> float:
        """Return the mean over measurements; lower is better, and a failed trial is worst."""
        return math.inf if self.scores is None else self.scores.mean().item()


@dataclass(frozen=True)
class Phase:
    """What all trials of the search, or of its confirmation, have in common. name: also seeds their random numbers."""

    name: str
    task: Task
    measurements: Measurements
    spec: TuneSpec

    def run_trial(self, number: int, settings: Mapping[str, object]) -> Trial:
        """Score settings, print the result and return it with its seconds."""
        hold(self.spec.limits)
        run_results: list[RunResult[Tensor]] = []
        device = self.measurements.y.device
        seconds = seconds_of(
            lambda: run_results.append(attempt(lambda: self._scores(dict(settings)))), device
        )
        trial = Trial(number, self.name, settings, run_results[0], seconds)
        result = str(run_results[0]) if trial.scores is None else f"energy score {trial.score:.4f}"
        where = f"{self.spec.task} {self.spec.method}: {self.name} {number}"
        print(f"{where} {json.dumps(settings)}: {result}; {seconds:.1f} s", flush=True)
        return trial

    def _scores(self, settings: dict) -> Tensor:
        method = load_method(self.spec.module, settings)
        prior = self.task.prior
        problem = self.task.problem
        refuse_unmet(method, prior, problem)
        state = (
            train(method, prior, problem, self.spec.task, self.name) if trainable(method) else None
        )
        draws = Draws(
            self.spec.task, self.name, self.spec.tune.num_samples, self.spec.rows_per_chunk
        )
        x = sample(method, prior, problem, self.measurements, draws, state)
        scores = energy_score(x, self.measurements.x_true)
        num_bad = int((~scores.isfinite()).sum())
        if num_bad:
            raise ValueError(
                f"{num_bad} of {len(scores)} measurements have samples that are not finite"
            )
        return scores


def validation_measurements(
    task: Task, path: Path, num_measurements: int
) -> tuple[Measurements, Measurements]:
    """Return the first validation measurements of a task and as many others; no test image is ever tuned on.

    path: the file with all measurements of the task.
    """
    rows = (~read_tensors(path)[0]["is_test"]).nonzero().flatten()
    if len(rows) < 2 * num_measurements:
        raise UserError(
            f"{path}: has {len(rows)} validation images, but tune.num_measurements = {num_measurements} needs twice "
            f"as many, half of them to confirm; set it to at most {len(rows) // 2} in the suite's file"
        )
    everything, names = task.measured, ("x_true", "y", "image_id")
    first, second = (
        replace(everything, **{name: getattr(everything, name)[part] for name in names})
        for part in rows[: 2 * num_measurements].split(num_measurements)
    )
    return first, second


def settings_to_try(spec_path: str, spec: TuneSpec, ranges: Sequence[str]) -> list[dict]:
    """Return all settings to try, in order and none twice: the suite's, then Sobol points or the grid of `ranges`."""
    run_result = attempt(lambda: load_method(spec.module, spec.settings))
    method = run_result.result
    if run_result.status != "ok" or method is None:
        raise UserError(
            f"{spec_path}: methods/{spec.module}.py with the suite's settings: {run_result.reason}"
        )
    if not ranges and not method.search:
        fault = f"methods/{spec.module}.py declares no range to search"
        raise UserError(f"{spec_path}: {fault}; name settings to try, such as zeta=0.1,0.3,1")
    start = {name: getattr(method, name) for name in method.search} | spec.settings
    seed = int(stream("tune", spec.task, spec.method).integers(2**31))
    integers = integer_fields(method)
    others = (
        grid_of(ranges)
        if ranges
        else sobol_settings(method.search, integers, MOST_TRIALS - 1, seed)
    )
    candidates = [start, *(start | other for other in others)]
    return [settings for i, settings in enumerate(candidates) if settings not in candidates[:i]]


def ranges_of(spec: TuneSpec, candidates: Sequence[dict], is_grid: bool) -> dict[str, list]:
    """Return what was searched of each number: [low, high, "linear" | "log"], or the ends of a grid with "grid"."""
    if is_grid:
        tried = {name: [x[name] for x in candidates if name in x] for name in candidates[-1]}
        return {
            name: [min(values), max(values), "grid"]
            for name, values in tried.items()
            if all(map(is_number, values)) and len(set(values)) > 1
        }
    search = load_method(spec.module, spec.settings).search
    known = {name: ends_of(values) for name, values in search.items()}
    return {name: ends for name, ends in known.items() if ends}


def ends_of(values: Uniform | LogUniform | Choice) -> list:
    """Return [low, high, how it is searched] of a range; of a choice of numbers as of a grid, [] of any other."""
    if not isinstance(values, Choice):
        return [values.low, values.high, "log" if isinstance(values, LogUniform) else "linear"]
    if len(values.values) < 2 or not all(map(is_number, values.values)):
        return []
    return [min(values.values), max(values.values), "grid"]


def is_number(value: object) -> bool:
    """Return whether a value has an order: True and False have none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def grid_of(ranges: Sequence[str]) -> Iterator[dict]:
    """Yield all combinations of `name=value,value,...`."""
    if any("=" not in text for text in ranges):
        raise UserError("tune: expected settings to try, such as zeta=0.1,0.3,1")
    names, values = zip(*(text.split("=", 1) for text in ranges), strict=True)
    for combination in itertools.product(
        *([json.loads(value) for value in text.split(",")] for text in values)
    ):
        yield dict(zip(names, combination, strict=True))


def run_trials(phase: Phase, settings: Sequence[dict], budget: float) -> list[Trial]:
    """Return trials of the settings in order, the first one in any case, while the budget (seconds) holds another."""
    trials: list[Trial] = []
    for number, candidate in enumerate(
        progress(settings, what=f"tune {phase.spec.task} {phase.spec.method}")
    ):
        used = sum(trial.seconds for trial in trials)
        if trials and trials[0].run_result.status == "n/a":
            break
        if trials and used + (1 + NUM_CONFIRMED) * used / len(trials) > budget:
            break
        trials.append(phase.run_trial(number, candidate))
    return trials


def finalists(tried: Sequence[Trial]) -> list[Trial]:
    """Return trial 0 and the best of the others; none where the method cannot run here."""
    good = sorted(
        (trial for trial in tried[1:] if trial.score < math.inf), key=lambda trial: trial.score
    )
    return [] if tried[0].run_result.status == "n/a" else [tried[0], *good[: NUM_CONFIRMED - 1]]


def winner(confirmed: Sequence[Trial]) -> Json | None:
    """Return the best of the confirmed trials, with its paired difference to trial 0; None where none has a score."""
    best = min(confirmed, key=lambda trial: trial.score, default=None)
    if best is None or best.score == math.inf:
        return None
    difference, error = paired_difference(best, confirmed[0]) or (None, None)
    scored = {"trial": best.number, "settings": dict(best.settings), "energy_score": best.score}
    return scored | {"difference": difference, "difference_error": error}


def paired_difference(trial: Trial, first: Trial) -> tuple[float, float] | None:
    """Return mean and standard error of the paired differences of their scores; None where one of them has none."""
    if trial.scores is None or first.scores is None:
        return None
    difference = trial.scores - first.scores
    return difference.mean().item(), standard_error(difference)


def standard_error(values: Tensor) -> float:
    """Return the standard error of the mean of values (m,)."""
    return (values.std() / len(values) ** 0.5).item()


def trials_frame(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return the log of one phase: a row per trial, with its difference to the phase's first; empty where it failed."""
    rows = []
    for trial in trials:
        error = None if trial.scores is None else standard_error(trial.scores)
        numbers = (trial.score, error, *(paired_difference(trial, trials[0]) or (None, None)))
        reason = "" if trial.run_result.status == "ok" else str(trial.run_result)
        texts = ["" if number is None else f"{number:.5f}" for number in numbers]
        rows.append(
            [
                trial.number,
                trial.phase,
                json.dumps(trial.settings),
                *texts,
                f"{trial.seconds:.2f}",
                reason,
            ]
        )
    return pd.DataFrame(rows, columns=[*COLUMNS])


def energy_score(x: Tensor, x_true: Tensor) -> Tensor:
    """Return E|X - x_true| - E|X - X'| / 2 per measurement, (m,), in data units; lower is better.

    x: samples (m, s, *x); x_true: (m, *x).
    """
    samples = x.flatten(2)
    return (
        distances(samples, x_true.flatten(1)[:, None]).mean((1, 2))
        - mean_distance_within(samples) / 2
    )


def format_winner(won: Json | None) -> str:
    """Return the winner in one line, with its difference to trial 0."""
    if won is None:
        return "no winner"
    line = f"trial {won['trial']} wins, {json.dumps(won['settings'])}"
    return (
        line
        if won["difference"] is None
        else f"{line}: {won['difference']:+.4f} +- {won['difference_error']:.4f}"
    )


if __name__ == "__main__":
    run(main, failed=write_failed, outputs=outputs)
