"""A suite: its data sets, priors, tasks, rows and runs, and what follows from its file for each of them.

The specs of its jobs are made in `suite_specs.py`, their inputs in `inputs.py`, and the jobs in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.core.catalogue import dataset_of, weights_wanted, why_unfit
from bench.core.layout import Layout
from bench.core.published_suites import suite_beside
from bench.core.registry import find
from bench.core.results import figures_of
from bench.core.source import read_source
from bench.core.weights import missing, placed
from bench.plan.config import method_source
from bench.plan.entries import prior_of
from bench.plan.metrics import networks_of_task
from bench.plan.schema import dataset_plugin


@dataclass(frozen=True)
class Suite:
    """The checked content of a suite's file. Paths are relative to the working directory."""

    file: str
    content: Mapping[str, Any]

    @property
    def root(self) -> str:
        return str(self.layout.root)

    @cached_property
    def layout(self) -> Layout:
        return Layout.of_suite(self.content["name"])

    @property
    def datasets(self) -> list[str]:
        return list(self.content["datasets"])

    @property
    def priors(self) -> list[str]:
        """Return the names of the priors, teachers first."""
        return sorted(
            self.content["priors"], key=lambda prior: "teacher" in self.content["priors"][prior]
        )

    @property
    def priors_of_tasks(self) -> set[str]:
        """Return the priors that some task depends on, including teachers."""
        priors = {self.prior_of(task) for task in self.tasks}
        return priors | {teacher for prior in priors if (teacher := self.teacher_of(prior))}

    @property
    def datasets_of_tasks(self) -> set[str]:
        """Return the data sets that some task depends on."""
        of_priors = {self.dataset_of(prior) for prior in self.priors_of_tasks}
        return of_priors | {dataset_of(classifier) for classifier in self.classifiers}

    @property
    def tasks(self) -> list[str]:
        return list(self.content["tasks"])

    @property
    def methods(self) -> list[str]:
        """Return the names of the rows."""
        return list(self.content["methods"])

    @property
    def seeds(self) -> list[int]:
        return list(self.content["seeds"])

    def seeds_of(self, method: str) -> list[int]:
        """Return the seeds of a row: methods that are trained may have more than the others."""
        training = self.content.get("training_seeds", self.seeds)
        own = list(training) if self.trains(method) else self.seeds
        return list(self.restriction(method).get("seeds", own))

    @property
    def toys(self) -> list[str]:
        return list(self.content.get("toys", {}))

    @property
    def figures(self) -> dict[str, Mapping[str, Any]]:
        """Return the parameters of the figures of the whole suite, by name."""
        return figures_of(self.content.get("figures", {}), bool(self.timed)) if self.tasks else {}

    @property
    def beside(self) -> str:
        """Return the suite whose published rows are shown beside those of this one; "" for none."""
        return suite_beside(self.content.get("beside", ""), self.content["name"])

    @property
    def timing_only(self) -> bool:
        return bool(self.content.get("timing_only"))

    @property
    def tests_claims(self) -> bool:
        """Return whether the papers' claims are tested on the suite."""
        return bool(self.content.get("claims"))

    @property
    def num_gpus(self) -> int:
        """Return the number of GPUs that a run occupies."""
        return int(self.content.get("device") == "cuda")

    @property
    def num_visits(self) -> int:
        """Return how often the clock times each run."""
        return self.content["clock"].get("visits", 1) if "clock" in self.content else 0

    @property
    def runs(self) -> list[tuple[str, str, int]]:
        """Return task, row and seed of each run."""
        return [
            (task, method, seed)
            for task in self.tasks
            for method in self.methods_on(task)
            for seed in self.seeds_of(method)
        ]

    @cached_property
    def timed(self) -> list[tuple[str, str, int]]:
        """Return the runs that are timed: with the first seed, on the tasks that the clock names."""
        clock = self.content.get("clock")
        if clock is None:
            return []
        pairs = [
            (task, method)
            for task in clock.get("tasks", self.tasks)
            for method in self.methods_on(task)
        ]
        return [
            (*pair, self.seeds[0])
            for pair in pairs
            if pair[1] in clock.get("methods", self.methods)
        ]

    @property
    def tuned(self) -> list[tuple[str, str]]:
        """Return the pairs of a task and a row whose settings are searched."""
        wanted = self.content.get("tune", {"tasks": [], "methods": []})
        pairs = [(task, method) for task in wanted["tasks"] for method in self.methods_on(task)]
        return [(task, method) for task, method in pairs if method in wanted["methods"]]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Return the pairs of a task and a row that the suite leaves out."""
        return [
            (task, method)
            for task in self.tasks
            for method in self.methods
            if method not in self.methods_on(task)
        ]

    def methods_on(self, task: str) -> list[str]:
        """Return the rows that run on a task."""
        return [
            method
            for method in self.methods
            if task in self.restriction(method).get("tasks", self.tasks)
        ]

    def restriction(self, method: str) -> Mapping[str, Any]:
        """Return the suite's restriction of a row (tasks, number of measurements, seeds); {} for none."""
        return self.content.get("restrict", {}).get(method, {})

    def trains(self, method: str) -> bool:
        """Return whether a row's method has a function `train`."""
        source = method_source(self.content, method)
        return source is not None and source.has("train")

    def prior_of(self, task: str) -> str:
        """Return the name of a task's prior."""
        return prior_of(self.content, task)

    def family(self, prior: str) -> str:
        """Return the plug-in of a prior."""
        return self.content["priors"][prior]["family"]

    def dataset_of(self, prior: str) -> str:
        """Return the data set of a prior."""
        return self.content["priors"][prior]["dataset"]

    def teacher_of(self, prior: str) -> str | None:
        """Return the prior that a prior learns from, where it has one."""
        return self.content["priors"][prior].get("teacher")

    def side(self, dataset: str) -> int | None:
        """Return the pixels along an image, where the suite or the data set's source says so."""
        return self._declared(dataset, "side")

    def size(self, dataset: str) -> tuple[int | None, int | None]:
        """Return the rows and columns of an image; a signal on a mesh has as many rows as vertices, and one column."""
        side = self.side(dataset)
        return self._declared(dataset, "num_vertices") or side, side

    def _declared(self, dataset: str, name: str) -> int | None:
        given = (self.content["datasets"][dataset] or {}).get(name)
        return given or _declared_by(dataset_plugin(dataset, {}), name)

    @property
    def classifiers(self) -> list[str]:
        """Return the classifiers of rewards, and of metrics that fit some task's images."""
        return sorted({name for task in self.tasks for name in self.classifiers_of_task(task)})

    def classifier_of_reward(self, task: str) -> list[str]:
        """Return the classifier of a task's reward, where it has one."""
        name = self.content["tasks"][task].get("classifier")
        return [name] if name else []

    def classifiers_of_metrics(self, task: str) -> list[str]:
        """Return the classifiers of the metrics that fit a task's images."""
        networks = [network for network, _ in networks_of_task(self.content, task)]
        return sorted(
            {x.classifier for x in networks if not why_unfit(x, *self._images(task))} - {""}
        )

    def classifiers_of_task(self, task: str) -> list[str]:
        """Return the classifiers that a task's reward and metrics need."""
        return sorted({*self.classifiers_of_metrics(task), *self.classifier_of_reward(task)})

    @property
    def absent_weights(self) -> list[str]:
        """Return a line for each published network that is missing where metrics say `absent_weights: stop`."""
        wanted = [
            weights_wanted(network, *self._images(task))
            for task in self.tasks
            for network, may_be_absent in networks_of_task(self.content, task)
            if not may_be_absent
        ]
        return [line for line in dict.fromkeys(wanted) if line]

    def weights_of_metrics(self, task: str) -> list[str]:
        """Return the files of published networks that fit a task's images and are on this machine."""
        networks = [network for network, _ in networks_of_task(self.content, task)]
        fit = [x.weights for x in networks if x.weights and not why_unfit(x, *self._images(task))]
        return [str(placed(name)) for name in dict.fromkeys(fit) if not missing(name)]

    def _images(self, task: str) -> tuple[str, int]:
        """Return the data set of a task, and the pixels along its images."""
        dataset = self.dataset_of(self.prior_of(task))
        return dataset, self.side(dataset) or 0


def _declared_by(plugin: str, name: str) -> int | None:
    """Return the integer that a data set's source gives a class variable or a field as its default; None without."""
    file = find("dataset", plugin)
    source = read_source(file) if file else None
    field = source.fields.get(name) if source else None
    value = source.constant(name) if source else None
    return (
        value if isinstance(value, int) else int(field.default) if field and field.default else None
    )
