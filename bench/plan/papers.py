"""The protocols of a suite that follows a paper, as planned: no result has to exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.core.papers import PaperSpec, PlannedRow
from bench.core.registry import find
from bench.core.shipped import suite_file
from bench.papers.protocols import format_images, format_number, format_operator, format_prior
from bench.papers.published import NONE
from bench.plan.config import TASK_KEYS, module_of
from bench.plan.entries import num_measurements_of
from bench.plan.suite import Suite
from bench.plan.yaml_file import read_yaml


def paper_spec(suite: Suite) -> PaperSpec | None:
    """Return the spec of a suite that follows a paper; None for others.

    A rehearsal has the rows of the suite that it stands for, whose file is read here.
    """
    if "paper" not in suite.content:
        return None
    of = suite.content.get("rehearsal_of", "")
    planned = original(of) if of else suite
    return PaperSpec(
        root=suite.root,
        paper=suite.content["paper"],
        rows=tuple(planned_rows(planned)),
        unknown=dict(planned.content.get("unknown", {})),
        rehearsal_of=of,
    )


def original(name: str) -> Suite:
    """Return the suite that a rehearsal stands for; UserError, one line, where its file is gone."""
    file = suite_file(name)
    return Suite(str(file), read_yaml(file))


def planned_rows(suite: Suite) -> Iterator[PlannedRow]:
    """Yield the protocol of each row on each task."""
    for task in suite.tasks:
        shared = protocol_of_task(suite, task)
        for method in suite.methods_on(task):
            own = {"method": module_of(suite.content, method), "N": num_images(suite, task, method)}
            yield PlannedRow(task, method, shared | own)


def protocol_of_task(suite: Suite, task: str) -> dict[str, str]:
    """Return the aspects that all rows on a task share."""
    entry, prior = suite.content["tasks"][task], suite.content["priors"][suite.prior_of(task)]
    parameters = {key: value for key, value in entry.items() if key not in TASK_KEYS}
    dataset, sigma_y = prior["dataset"], entry.get("sigma_y")
    return {
        "dataset": format_images(dataset, suite.side(dataset)),
        "operator": format_operator(entry["operator"], parameters),
        "sigma_y": NONE if sigma_y is None else format_number(sigma_y),
        "prior": format_prior(weights_of(prior), prior["family"], dataset),
    }


def weights_of(prior: Mapping[str, Any]) -> str | None:
    """Return the checkpoint that the entry of a prior names; None for one that the suite trains."""
    return prior.get("pipeline") or prior.get("weights")


def num_images(suite: Suite, task: str, method: str) -> str:
    """Return the number of images behind a result: measurements or, for a reward, samples of a class."""
    if find("operator", suite.content["tasks"][task]["operator"]) is None:
        return str(suite.content["num_samples"])
    given = num_measurements_of(suite.content, task)
    return str(suite.restriction(method).get("num_measurements", given))
