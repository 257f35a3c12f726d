"""Which row of a suite was made by the protocol of a published number, and where there is none, what differs first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.artefacts import read_header
from bench.core.results import Summary
from bench.papers.published import NONE, UNKNOWN, Number, parameters_of
from bench.plan.config import module_of
from bench.stats.results import RunRecord, SuiteResults, TaskResults, num_measured

ASPECTS = ("dataset", "operator", "sigma_y", "prior", "method", "N", "NFE")  # compared in this order
SHOWN = 4  # of the values on one side of a difference

Protocol = Mapping[str, str]  # aspect -> text; two are the same when all texts are


@dataclass(frozen=True)
class Ours:
    """A method on a task of the suite."""

    task: str
    method: str
    protocol: Protocol


@dataclass(frozen=True)
class Difference:
    """`aspect theirs why`, as in "dataset ffhq 256 x 256 against digits 8 x 8"."""

    aspect: str
    theirs: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """What stands beside a published number: our lines of the same protocol, or how all of ours differ from it."""

    number: Number
    ours: tuple[Summary, ...]
    difference: Difference | None


def verdicts_on(numbers: Sequence[Number], suite: SuiteResults, lines: Sequence[Summary]) -> tuple[Verdict, ...]:
    """A verdict on each published number.

    lines: the suite's summary. Raises ArtefactError when the file of a prior is missing.
    """
    found = {(x.task, x.method, x.metric): x for x in lines}
    ours = protocols(suite, found)
    return tuple(_verdict(number, ours, found) for number in numbers)


def protocols(suite: SuiteResults, found: Mapping[tuple[str, str, str], Summary]) -> tuple[Ours, ...]:
    """The protocol of each method on each task, whatever the seed."""
    first = suite.seeds[0]
    return tuple(
        Ours(task.name, run.method, _ours(task, run, suite, images, prior, found))
        for task in suite.tasks
        for images, prior in [(_images(suite.root, task), _prior(suite.root, task))]
        for run in task.runs
        if run.seed == first
    )


def protocol_of(number: Number) -> Protocol:
    """That of a published number, in the words of ours."""
    known = number.checkpoint not in (UNKNOWN, NONE)
    return {
        "dataset": f"{number.dataset} {number.side} x {number.side}" if number.side.isdecimal() else number.dataset,
        "operator": _operator(number.operator, parameters_of(number)),
        "sigma_y": _digits(number.sigma_y),
        "prior": _weights(number.checkpoint) if known else f"{number.prior} (weights {number.checkpoint})",
        "method": number.module or number.method,
        "N": number.num_images,
        "NFE": _digits(number.nfe),
    }


def listed(values: Sequence[str]) -> str:
    """Different values, the first few of them."""
    different = list(dict.fromkeys(values))
    more = [f"{len(different) - SHOWN} more"] if len(different) > SHOWN else []
    return ", ".join([*different[:SHOWN], *more])


def _ours(task: TaskResults, run: RunRecord, suite: SuiteResults, images: str, prior: str, found: Mapping) -> Protocol:
    seen, nfe = task.measurements, found[task.name, run.method, "nfe"].mean
    is_reward = seen.get("sigma_y") is None  # then a measurement is a class, and its samples are the images
    return {
        "dataset": images,
        "operator": _operator(seen["operator"], seen["parameters"]),
        "sigma_y": NONE if is_reward else _digits(seen["sigma_y"]),
        "prior": prior,
        "method": run.header.get("module", module_of(run.method)),
        "N": str(suite.num_samples if is_reward else num_measured(run.header, suite.num_measurements)),
        "NFE": NONE if nfe is None else _digits(nfe),
    }


def _verdict(number: Number, ours: Sequence[Ours], found: Mapping[tuple[str, str, str], Summary]) -> Verdict:
    theirs = protocol_of(number)
    for aspect in ASPECTS:
        same = [x for x in ours if x.protocol[aspect] == theirs[aspect]]
        if not same:
            against = f"against {listed([x.protocol[aspect] for x in ours])}"
            return Verdict(number, (), Difference(aspect, theirs[aspect], against))
        ours = same
    if not number.spec:
        return Verdict(number, (), Difference("metric", number.metric, f"({number.spec_reason})"))
    lines = tuple(found[key] for x in ours if (key := (x.task, x.method, number.spec)) in found)
    missing = None if lines else Difference("metric", number.spec, "is not measured here")
    return Verdict(number, lines, missing)


def _images(root: Path, task: TaskResults) -> str:
    """`digits 8 x 8`."""
    from safetensors import safe_open

    with safe_open(root / "tasks" / task.name / "observations.safetensors", "numpy") as file:
        *_, height, width = file.get_slice("x_true").get_shape()
    return f"{task.measurements['dataset']} {height} x {width}"


def _prior(root: Path, task: TaskResults) -> str:
    """The name of the weights, where they were not made by the suite; else family and dataset."""
    prior, family, dataset = (task.measurements[key] for key in ("prior", "family", "dataset"))
    opened = read_header(root / "priors" / prior / f"{family}.safetensors").get("settings", {}).get("pipeline")
    return _weights(opened) if opened else f"{family} of {dataset}"


def _weights(name: str) -> str:
    """`ffhq_10m` of `ffhq_10m.pt`, of a folder `.../ffhq_10m`, and of an id `owner/ffhq_10m`."""
    last = Path(name).name
    return Path(last).stem if Path(last).suffix in (".pt", ".pth", ".pkl", ".safetensors") else last


def _operator(name: str, parameters: Mapping[str, Any]) -> str:
    """`blur (kernel_size 61, std 3)`."""
    words = ", ".join(f"{key} {_digits(value)}" for key, value in sorted(parameters.items()))
    return f"{name} ({words})" if words else name


def _digits(value: object) -> str:
    """A number in its shortest form, so that 3, 3.0 and "3.00" are the same; other text as it is."""
    try:
        return f"{float(value):g}" if not isinstance(value, bool) else str(value).lower()
    except (TypeError, ValueError):
        return str(value)
