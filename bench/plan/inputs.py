"""The inputs of a suite's jobs: artefacts of other jobs, and the source files that decide what a job computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.catalogue import dataset_of
from bench.core.layout import CLAIMS, CLAIMS_TABLES, PUBLISHED, REFERENCE, Layout
from bench.core.published_suites import published_files
from bench.core.registry import Kind, find
from bench.core.shipped import shipped
from bench.plan.config import module_of, settings_of
from bench.plan.listing import content_at, listing_of, paths_in
from bench.plan.metrics import OF_IMAGES, metric_sources, metrics_of_task
from bench.plan.schema import dataset_plugin
from bench.plan.sources import hash_of, imported_packages, is_plugin, sources_of, stage_file
from bench.plan.suite import Suite

SLOW_PACKAGES = ("diffusers",)  # its import takes as long as those of torch and all others together


@dataclass(frozen=True)
class Inputs:
    """The inputs of a suite's rules, by the values of their wildcards."""

    suite: Suite

    @property
    def layout(self) -> Layout:
        return self.suite.layout

    def sources(self, stage: str, wildcards: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the source files that decide what a job computes; a change in one of them reruns it."""
        return tuple(sorted({*sources_of(stage_file(stage)), *self._of_plugins(stage, wildcards)}))

    def plugins(self, stage: str, wildcards: Mapping[str, Any]) -> list[str]:
        """Return the files of a job's plug-ins, which are among its inputs.

        The rest of its sources are a param, as one hash, since Snakemake is slow with many inputs per job.
        """
        return [file for file in self.sources(stage, wildcards) if is_plugin(file)]

    def code(self, stage: str, wildcards: Mapping[str, Any]) -> str:
        """Return a hash of those sources of a job that are not plug-ins, and of files that its plug-ins read."""
        sources = hash_of(file for file in self.sources(stage, wildcards) if not is_plugin(file))
        images = self.images(wildcards["dataset"]) if stage == "data" else ""
        named = dict.fromkeys(paths_in(self._parameters(stage, wildcards)))
        return "".join([sources, images, *map(content_at, named)])

    def _parameters(self, stage: str, wildcards: Mapping[str, Any]) -> Any:
        """Return the parameters of a job's plug-ins, among which paths of checkpoints and other files may be."""
        content = self.suite.content
        match stage:
            case "data" if not self.images(wildcards["dataset"]):
                return content["datasets"].get(wildcards["dataset"])
            case "prior":
                return content["priors"][wildcards["prior"]]
            case "observe" | "reference":
                return content["tasks"][wildcards["task"]]
            case "train" | "sample" | "clock" | "tune":
                task, method = wildcards["task"], wildcards["method"]
                return [content["tasks"][task], settings_of(content, task, method)]
            case "evaluate":
                return metrics_of_task(content, wildcards["task"])
        return None

    def _of_plugins(self, stage: str, wildcards: Mapping[str, Any]) -> tuple[str, ...]:
        match stage:
            case "data":
                return self.dataset_sources(wildcards["dataset"])
            case "prior":
                return self.prior_sources(wildcards["prior"])
            case "observe" | "reference":
                return self.task_sources(wildcards["task"])
            case "train" | "sample" | "clock" | "tune":
                return self.run_sources(wildcards["task"], wildcards["method"])
            case "evaluate":
                task = wildcards["task"]
                return (*self.task_sources(task), *self.metric_sources(task))
            case "grid":
                return self.figure_sources("grid")
            case "figure":
                return self.figure_sources(wildcards["figure"])
            case "toy":
                return _plugin_sources("method", "ods")
            case _:
                return ()

    def data(self, prior: str) -> str:
        """Return the file of a prior's data set."""
        return str(self.layout.data(self.suite.dataset_of(prior)))

    def data_of_classifier(self, classifier: str) -> str:
        """Return the file of the data set that a classifier is trained on."""
        return str(self.layout.data(dataset_of(classifier)))

    def data_of_task(self, task: str) -> str:
        """Return the file of a task's data set."""
        return self.data(self.suite.prior_of(task))

    def dataset_sources(self, dataset: str) -> tuple[str, ...]:
        """Return the source files of a data set's plug-in."""
        return _plugin_sources("dataset", dataset_plugin(dataset, {}))

    def images(self, dataset: str) -> str:
        """Return a hash of which files a data set `folder` finds in its folder; "" for others, which are published."""
        parameters = self.suite.content["datasets"].get(dataset) or {}
        is_folder = dataset_plugin(dataset, parameters) == "folder" and "path" in parameters
        return listing_of(parameters) if is_folder else ""

    def teacher(self, prior: str) -> list[str]:
        """Return the teacher's file, where a prior has a teacher."""
        teacher = self.suite.teacher_of(prior)
        return [self._prior_file(teacher)] if teacher else []

    def prior_sources(self, prior: str) -> tuple[str, ...]:
        """Return the source files of a prior's family, and of its teacher's."""
        teacher = self.suite.teacher_of(prior)
        of_teacher = self.prior_sources(teacher) if teacher else ()
        return tuple(sorted({*_plugin_sources("prior", self.suite.family(prior)), *of_teacher}))

    @property
    def unused_packages(self) -> list[str]:
        """Return packages that take seconds to import and that no prior or method of the suite imports anywhere."""
        sources = {source for prior in self.suite.priors for source in self.prior_sources(prior)}
        sources |= {source for row in self.suite.methods for source in self.method_sources(row)}
        used = {name for source in sources for name in imported_packages(Path(source))}
        return [name for name in SLOW_PACKAGES if name not in used]

    def problem(self, task: str) -> list[str]:
        """Return the files of a task's prior and, for a reward, of its classifier."""
        classifiers = [
            str(self.layout.classifier(name)) for name in self.suite.classifier_of_reward(task)
        ]
        return [self._prior_file(self.suite.prior_of(task)), *classifiers]

    def task_sources(self, task: str) -> tuple[str, ...]:
        """Return the source files of a task's prior and operator."""
        of_operator = _plugin_sources("operator", self.suite.content["tasks"][task]["operator"])
        return tuple(sorted({*self.prior_sources(self.suite.prior_of(task)), *of_operator}))

    def method_sources(self, method: str) -> tuple[str, ...]:
        """Return the source files of a row's method."""
        return _plugin_sources("method", module_of(self.suite.content, method))

    def run_sources(self, task: str, method: str) -> tuple[str, ...]:
        """Return the source files of a task's prior and operator, and of a row's method."""
        return (*self.task_sources(task), *self.method_sources(method))

    def training(self, task: str, method: str, seed: int | str) -> list[str]:
        """Return the files that the training of a run writes; [] for a method that is not trained."""
        files = self.layout.run(task, method, seed).of_training
        return [*map(str, files)] if self.suite.trains(method) else []

    def clocked(self, task: str, method: str, seed: int | str) -> list[str]:
        """Return the files from which the clock computes worth: samples of the same run, and reference draws."""
        files = [self.layout.run(task, method, seed).samples, self.layout.task(task).reference]
        return [] if self.suite.timing_only else [*map(str, files)]

    def visits(self, task: str, method: str, seed: int | str) -> list[str]:
        """Return the files that the clock writes, one for each visit to a run."""
        files = self.layout.run(task, method, seed)
        return [str(files.visit(number + 1)) for number in range(self.suite.num_visits)]

    def visits_before(self, visit: int | str) -> list[str]:
        """Return the files of the previous visit to every run, so that visits are spread over time."""
        before = int(visit) - 1
        return (
            [str(self.layout.run(*run).visit(before)) for run in self.suite.timed] if before else []
        )

    def samples(self, task: str) -> list[str]:
        """Return the samples of each run on a task."""
        return [str(self.layout.run(*run).samples) for run in self.suite.runs if run[0] == task]

    def of_metrics(self, task: str) -> list[str]:
        """Return the files that a task's metrics read beside samples: classifiers, published weights, real images."""
        classifiers = [
            str(self.layout.classifier(name)) for name in self.suite.classifiers_of_metrics(task)
        ]
        asked = metrics_of_task(self.suite.content, task)
        images = [self.data_of_task(task)] if any(name in asked for name in OF_IMAGES) else []
        return [*classifiers, *self.suite.weights_of_metrics(task), *images]

    def metric_sources(self, task: str) -> tuple[str, ...]:
        """Return the source files of a task's metrics."""
        return metric_sources(self.suite.content, task)

    @property
    def timings(self) -> list[str]:
        """Return the times of each run that is timed, from all visits of the clock."""
        return [str(self.layout.run(*run).timing) for run in self.suite.timed]

    @property
    def results(self) -> list[str]:
        """Return the inputs of tables and figures: metrics, costs and times of all runs, and published rows."""
        metrics = [str(self.layout.task(task).metrics) for task in self.suite.tasks]
        return [
            *metrics,
            *(str(self.layout.run(*run).cost) for run in self.suite.runs),
            *self.timings,
            *(published_files(self.suite.beside) if self.suite.beside else []),
        ]

    @property
    def references(self) -> list[str]:
        """Return the reference draws of all tasks."""
        return [str(self.layout.task(task).reference) for task in self.suite.tasks]

    @property
    def published(self) -> list[str]:
        """Return the numbers of the papers, which are committed or installed."""
        return sorted(map(str, shipped(str(PUBLISHED)).glob("*.csv")))

    @property
    def published_rows(self) -> list[str]:
        """Return the rows of this suite that were published, which are committed; [] where there are none."""
        return published_files(self.suite.content["name"])

    @property
    def ledger(self) -> list[str]:
        """Return the published verdicts on the papers' claims, for a suite that does not test them itself."""
        path = REFERENCE / CLAIMS / CLAIMS_TABLES[0]
        return [str(path)] if path.exists() and not self.suite.tests_claims else []

    def figure_sources(self, figure: str) -> tuple[str, ...]:
        """Return the source files of a figure's plug-in."""
        return _plugin_sources("figure", figure)

    def _prior_file(self, prior: str) -> str:
        return str(self.layout.prior(prior, self.suite.family(prior)))


def _plugin_sources(kind: Kind, name: str) -> tuple[str, ...]:
    """Return the file of a plug-in with what it imports; () where there is none, such as the operator of a reward."""
    file = find(kind, name)
    return sources_of(str(file)) if file else ()
