"""How a task's posterior is known (by exact draws, by checked particles, or not at all), and words for it."""

from __future__ import annotations

from collections.abc import Iterable

from bench.stats.results import SuiteResults, TaskResults

NONE, PARTICLES, EXACT = "none", "particles", "exact"
NO_REFERENCE = (
    "No task of this suite has reference draws, so no column is a distance to a posterior: methods are compared by "
    "fidelity, by how well samples fit the data, by diversity, and by metrics of sets of samples"
)


def reference_mode(task: TaskResults) -> str:
    """Return `none`, `particles` or `exact`, by the kind of posterior that the reference draws are from."""
    kind = str(task.reference.get("kind"))
    return NONE if kind == "none" else PARTICLES if "SMC" in kind else EXACT


def modes_of(tasks: Iterable[TaskResults]) -> frozenset[str]:
    """Return the modes that occur among tasks."""
    return frozenset(reference_mode(task) for task in tasks)


def has_reference(suite: SuiteResults) -> bool:
    """Return whether any task has reference draws."""
    return modes_of(suite.tasks) != {NONE}


def posterior_words(suite: SuiteResults) -> str:
    """Return `the exact posterior`, or `the reference posterior` where all draws are from particles; "" without any."""
    modes = modes_of(suite.tasks) - {NONE}
    return "" if not modes else f"the {'exact' if EXACT in modes else 'reference'} posterior"
