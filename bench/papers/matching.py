"""Match protocols: find the rows of a suite with the protocol of a published number, else name the first difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.artefacts import read_header
from bench.core.layout import Layout
from bench.core.registry import plugin_of
from bench.core.results import Summary
from bench.papers.protocols import (
    ASPECTS,
    Protocol,
    format_images,
    format_number,
    format_operator,
    format_prior,
    protocol_of_number,
)
from bench.papers.published import NONE, PublishedNumber
from bench.stats.results import RunRecord, SuiteResults, TaskResults, num_measured

NUM_LISTED = 4  # values named on one side of a difference

SummaryLines = Mapping[tuple[str, str, str], Summary]  # by task, method and metric


@dataclass(frozen=True)
class RowProtocol:
    """The protocol of a method on a task of the suite, the same for all seeds."""

    task: str
    method: str
    protocol: Protocol


@dataclass(frozen=True)
class Difference:
    """The first aspect in which protocols differ.

    It reads `aspect theirs why`, as in "dataset ffhq 256 x 256 against digits 8 x 8".
    """

    aspect: str
    theirs: str
    why: str

    def __str__(self) -> str:
        return f"{self.aspect} {self.theirs} {self.why}"


@dataclass(frozen=True)
class Match:
    """A published number with the suite's lines of the same protocol, or else the first difference."""

    number: PublishedNumber
    ours: tuple[Summary, ...]
    difference: Difference | None


def match_numbers(
    numbers: Sequence[PublishedNumber], suite: SuiteResults, lines: Sequence[Summary]
) -> tuple[Match, ...]:
    """Return a match for each published number.

    lines: the suite's summary. Raises ArtefactError when the file of a prior is missing.
    """
    by_key = {(line.task, line.method, line.metric): line for line in lines}
    ours = protocols_of_suite(suite, by_key)
    return tuple(_match(number, ours, by_key) for number in numbers)


def protocols_of_suite(suite: SuiteResults, lines: SummaryLines) -> tuple[RowProtocol, ...]:
    """Return the protocol of each method on each task."""
    protocols = []
    for task in suite.tasks:
        shared = {"dataset": _images_of(suite.root, task), "prior": _prior_of(suite.root, task)}
        for run in task.runs:
            if run.seed == suite.seeds[0]:
                protocols.append(
                    RowProtocol(
                        task.name, run.method, shared | _protocol_of_run(task, run, suite, lines)
                    )
                )
    return tuple(protocols)


def list_values(values: Sequence[str]) -> str:
    """Return the distinct values as text, at most NUM_LISTED by name: `a, b, c, d, 3 more`."""
    different = list(dict.fromkeys(values))
    more = [f"{len(different) - NUM_LISTED} more"] if len(different) > NUM_LISTED else []
    return ", ".join([*different[:NUM_LISTED], *more])


def _protocol_of_run(
    task: TaskResults, run: RunRecord, suite: SuiteResults, lines: SummaryLines
) -> dict[str, str]:
    header, nfe = task.measurements, lines[task.name, run.method, "nfe"].mean
    # with a reward, a measurement is a class, and the samples are the images that are counted
    is_reward = header.get("sigma_y") is None
    return {
        "operator": format_operator(header["operator"], header["parameters"]),
        "sigma_y": NONE if is_reward else format_number(header["sigma_y"]),
        "method": run.header.get("module") or plugin_of("method", run.method),
        "N": str(
            suite.num_samples if is_reward else num_measured(run.header, suite.num_measured(task))
        ),
        "NFE": NONE if nfe is None else format_number(nfe),
    }


def _match(number: PublishedNumber, ours: Sequence[RowProtocol], lines: SummaryLines) -> Match:
    theirs = protocol_of_number(number)
    for aspect in ASPECTS:
        # `hmc` names every row whose name begins with `hmc-`, too
        named = f"{theirs[aspect]}-" if aspect == "method" else None
        same = [
            x
            for x in ours
            if x.protocol[aspect] == theirs[aspect] or named and f"{x.method}-".startswith(named)
        ]
        if not same:
            against = f"against {list_values([row.protocol[aspect] for row in ours])}"
            return Match(number, (), Difference(aspect, theirs[aspect], against))
        ours = same
    if not number.spec:
        return Match(number, (), Difference("metric", number.metric, f"({number.spec_reason})"))
    measured = tuple(
        lines[key] for row in ours if (key := (row.task, row.method, number.spec)) in lines
    )
    return Match(
        number,
        measured,
        None if measured else Difference("metric", number.spec, "is not measured here"),
    )


def _images_of(root: Path, task: TaskResults) -> str:
    """Return name and size of a task's images: `digits 8 x 8`."""
    from safetensors import safe_open

    with safe_open(Layout(root).task(task.name).measurements, "numpy") as file:
        *_, height, width = file.get_slice("x_true").get_shape()
    return format_images(task.measurements["dataset"], height, width)


def _prior_of(root: Path, task: TaskResults) -> str:
    """Return the name of the prior's weights if the suite did not make them, else its family and data set."""
    prior, family, dataset = (task.measurements[key] for key in ("prior", "family", "dataset"))
    settings = read_header(Layout(root).prior(prior, family)).get("settings", {})
    return format_prior(settings.get("pipeline") or settings.get("weights"), family, dataset)
