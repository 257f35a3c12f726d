"""Make up results for the checks of figures: any number of methods and tasks, with some failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.core.kinds import KINDS
from bench.core.results import REFERENCE, REFERENCE_DRAWS, SampleSet, TaskSamples
from bench.stats.results import Better, RunRecord, SuiteResults, TaskResults
from bench.stats.scores import Score

NUM_MEASUREMENTS, NUM_SAMPLES = 8, 16
LEVELS = tuple(round(0.1 * i, 1) for i in range(1, 10))
# an error message that would stop matplotlib if it were read as mathematics
FAILURE = r"failed (ValueError: $\frac{ is no $ of 'a_b^c')"
BETTER: dict[str, Better] = {
    "energy": "lower",
    "sw2-128": "lower",
    "worth_energy": "higher",
    "mean_error": "lower",
    "diversity_ratio": 1.0,
    "std_ratio": 1.0,
}
BETTER |= {f"coverage_exact@{level}": level for level in LEVELS}


def suite_results(num_methods: int, num_tasks: int) -> SuiteResults:
    """Return results of methods with long names; with two or more, the last one fails on the first task."""
    methods = tuple(f"latent_langevin-variant{i}" for i in range(num_methods))
    tasks = tuple(
        _task(f"consistency-inpaint-random{j}", methods, np.random.default_rng(j))
        for j in range(num_tasks)
    )
    first = tasks[0]
    if num_methods > 1:
        tasks = (_with_failure(first, methods[-1]), *tasks[1:])
    timings = tuple(
        _timing(task.name, method, i) for task in tasks for i, method in enumerate(methods[:3])
    )
    return SuiteResults(
        Path("."), "made-up", methods, (0,), NUM_MEASUREMENTS, NUM_SAMPLES, tasks, (), timings
    )


def task_samples(num_methods: int) -> TaskSamples:
    """Return samples on one task; with two methods or more, the last one has none."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(NUM_MEASUREMENTS, 1, 8, 8))
    names = (REFERENCE_DRAWS, *(f"latent_langevin-variant{i}" for i in range(num_methods)))
    shape = (NUM_MEASUREMENTS, NUM_SAMPLES, 1, 8, 8)
    sets = [SampleSet(name, truth[:, None] + 0.3 * rng.normal(size=shape)) for name in names]
    if num_methods > 1:
        sets[-1] = SampleSet(names[-1], np.zeros((NUM_MEASUREMENTS, 0, 1, 8, 8)), FAILURE)
    return TaskSamples("made-up", {"x_true": truth, "y": truth + 0.1}, sets)


def _task(name: str, methods: tuple[str, ...], rng: np.random.Generator) -> TaskResults:
    scores, of_sets = [], []
    for place, method in enumerate((REFERENCE, *methods)):
        for i in range(NUM_MEASUREMENTS):
            values = _values(0.05 * place, rng)
            scores += [Score(method, 0, i, metric, value, "") for metric, value in values.items()]
        shares = {
            f"{kind}_x_true@{level}": level ** (1 + 0.1 * place)
            for kind in ("tarp", "sbc-misfit")
            for level in LEVELS
        }
        of_sets += [Score(method, 0, None, metric, value, "") for metric, value in shares.items()]
    other = 1 if name.endswith("1") else None  # this row saw another prior than the judge
    runs = tuple(_run(method, place, place == other) for place, method in enumerate(methods))
    truth = {"truth": "prior"} if name.endswith(("0", "2")) else {}
    about = (name, truth, {}, tuple(scores), {}, BETTER, runs, frozenset(), tuple(of_sets))
    return TaskResults(*about, harmonic=frozenset({"worth_energy"}))


def _values(wrong: float, rng: np.random.Generator) -> dict[str, float]:
    noise = 1 + 0.1 * rng.normal(size=3)
    values = {"sw2-128": (0.05 + wrong) * noise[0], "mean_error": (0.03 + wrong) * noise[1]}
    values |= {"diversity_ratio": noise[2] / (1 + 5 * wrong), "std_ratio": 1 / (1 + 2 * wrong)}
    # an unbiased distance, which may be negative, and worth, whose mean is harmonic
    values |= {"energy": 3 * wrong**2 * noise[0] + 0.01 * (noise[1] - 1)}
    values |= {"worth_energy": 1 / ((1 / NUM_SAMPLES + wrong**2) * noise[2])}
    values |= {f"psnr_mean_of_{k}": 24 - 4 / k - 9 * wrong for k in (1, 2, 4)}
    kinds = ("coverage_exact", "coverage_x_true")
    return values | {f"{x}@{level}": level ** (1 + 3 * wrong) for x in kinds for level in LEVELS}


def _run(method: str, place: int, saw_another_prior: bool) -> RunRecord:
    """Return a run; every third method is trained."""
    training = 30.0 if place % 3 == 2 else 0.0
    seconds = (0.1 if training else 1.0 + place) * NUM_MEASUREMENTS * NUM_SAMPLES
    rows = NUM_MEASUREMENTS * NUM_SAMPLES
    cost = {"nfe": 10.0 * (1 + place), "nfe_vjp": 0.0, "seconds": seconds, "rows": rows}
    for name in ("train_nfe", "train_nfe_vjp"):
        cost[name] = 1000.0 if training else 0.0
    cost["train_seconds"] = training
    kinds = list(KINDS)
    header = {"status": "ok", "joint": "independent", "kind": kinds[place % len(kinds)]}
    header |= {"borrowed": ["DENOISER"]} if saw_another_prior else {}
    return RunRecord(method, 0, header, cost)


def _with_failure(task: TaskResults, method: str) -> TaskResults:
    def failed(scores: tuple[Score, ...]) -> tuple[Score, ...]:
        return tuple(
            Score(method, 0, x.measurement, x.metric, None, FAILURE) if x.method == method else x
            for x in scores
        )

    runs = tuple(
        RunRecord(method, 0, {"status": "failed", "reason": FAILURE}, x.cost)
        if x.method == method
        else x
        for x in task.runs
    )
    about = (task.name, task.measurements, {}, failed(task.scores), {}, task.better, runs)
    return TaskResults(*about, frozenset(), failed(task.of_sets), harmonic=task.harmonic)


def _timing(task: str, method: str, place: int) -> dict:
    sizes = (1, 4, 16, 64)
    times = {s: (1 + place) * (0.5 + 0.01 * s) for s in sizes}
    curve = [{"s": s, "median": t, "low": 0.9 * t, "high": 1.1 * t} for s, t in times.items()]
    joint, worth = ("chain", {str(s): s / 3 for s in sizes}) if place == 0 else ("independent", {})
    return {"task": task, "method": method, "joint": joint, "worth": worth, "curve": curve}
