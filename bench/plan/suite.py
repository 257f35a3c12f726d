"""A suite: its runs, their specs, and where its artefacts lie."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.core import registry
from bench.core.catalogue import Network, dataset_of, weights_wanted, why_unfit
from bench.core.compute import compute_of
from bench.core.layout import Layout
from bench.core.registry import find, plugin_of
from bench.core.results import figures_of
from bench.core.source import read_source
from bench.core.specs import (
    Budget,
    ClassifierSpec,
    Clock,
    ClockSpec,
    DataSpec,
    EvaluateSpec,
    PriorSpec,
    Run,
    RunSpec,
    Spec,
    SuiteSpec,
    TaskSpec,
    ToySpec,
    TrainSpec,
    Tune,
    TuneSpec,
)
from bench.plan.config import PRIOR_KEYS, PUBLISHED, TASK_KEYS, method_file, method_source, prior_of, settings_of
from bench.plan.metrics import metric_sources, metrics_of_task, networks_of_task
from bench.plan.schema import dataset_plugin
from bench.plan.sources import sources_of, stage_file

TABLES = ("summary.csv", "comparisons.csv", "summary.md", "summary.tex")
TASK_FILES = ("all_measurements.safetensors", "observations.safetensors", "exact.safetensors", "metrics.csv")
RUN_FILES = ("samples.safetensors", "cost.json")
TRAINING_FILES = ("state.safetensors", "training.json")
CLOCK_KEYS = ("num_samples", "repeats", "visits", "patience")
TIMING_TABLES = ("timing.csv", "timing.md")
TUNE_KEYS = ("seconds", "num_measurements", "num_samples")


@dataclass(frozen=True)
class Suite:
    """The checked content of a suite's YAML and what follows from it. All paths are relative to the repository."""

    file: str
    content: Mapping[str, Any]

    @property
    def root(self) -> str:
        return f"results/{self.content['name']}"

    @property
    def layout(self) -> Layout:
        return Layout(Path(self.root))

    @property
    def datasets(self) -> list[str]:
        return list(self.content["datasets"])

    @property
    def priors(self) -> list[str]:
        """Teachers first."""
        return sorted(self.content["priors"], key=lambda prior: "teacher" in self.content["priors"][prior])

    @property
    def toys(self) -> list[str]:
        return list(self.content.get("toys", {}))

    @property
    def all_runs_of_tasks(self) -> list[tuple[str, str, int]]:
        return [(task, method, seed) for task in self.tasks for method in self.methods_on(task) for seed in self.seeds]

    @property
    def tasks(self) -> list[str]:
        return list(self.content["tasks"])

    @property
    def methods(self) -> list[str]:
        return list(self.content["methods"])

    @property
    def seeds(self) -> list[int]:
        return list(self.content["seeds"])

    @property
    def tables(self) -> list[str]:
        return [f"{self.root}/tables/{name}" for name in TABLES]

    @property
    def timing_tables(self) -> list[str]:
        """Of a suite that is timing_only."""
        return [f"{self.root}/tables/{name}" for name in TIMING_TABLES]

    @property
    def beside(self) -> list[str]:
        """Published numbers beside ours."""
        return [f"{self.root}/tables/published.{kind}" for kind in ("csv", "md")]

    @property
    def ledger(self) -> list[str]:
        """Claims of the papers, tested."""
        return [f"{self.root}/tables/claims.{kind}" for kind in ("csv", "md")]

    @property
    def published(self) -> list[str]:
        """The numbers of the papers, which are committed."""
        return sorted(map(str, PUBLISHED.glob("*.csv")))

    @property
    def figures(self) -> dict[str, Mapping[str, Any]]:
        """Figures of the whole suite, by name."""
        return figures_of(self.content.get("figures", {}), bool(self._timed)) if self.tasks else {}

    def figure_sources(self, figure: str) -> tuple[str, ...]:
        """Return the file of a figure with what it imports from bench."""
        file = registry.find("figure", figure)
        return sources_of(str(file)) if file else ()

    @property
    def curves(self) -> list[str]:
        return self._figures(self.figures)

    @property
    def grids(self) -> list[str]:
        return self._figures(f"grid-{task}" for task in self.tasks)

    @property
    def toy_figures(self) -> list[str]:
        return self._figures(self.content.get("toys", {}))

    @property
    def targets(self) -> list[str]:
        """Every artefact, so that one which was deleted is made again even if nothing else asks for it."""
        if not self.tasks:
            return self.toy_figures
        if self.timing_only:
            return [*self.timing_tables, *self.timings]
        made = [path for file in TASK_FILES for path in self.per_task(file)]
        made += [path for file in RUN_FILES for path in self.all_runs(file)]
        states = [path for run in self.all_runs_of_tasks for path in self.training(*run)]
        shown = [f"{self.root}/report.html", *self.tables, *self.beside, *self.ledger, *self.curves, *self.grids]
        return [*shown, *made, *states, *self.timings, *self.tunings]

    @property
    def timing_only(self) -> bool:
        return bool(self.content.get("timing_only"))

    @property
    def num_gpus(self) -> int:
        """That a run occupies."""
        return int(self.content.get("device") == "cuda")

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Pairs of a task and a method that the suite leaves out."""
        return [(task, method) for task in self.tasks for method in self.methods if method not in self.methods_on(task)]

    def methods_on(self, task: str) -> list[str]:
        """The methods that run on a task."""
        return [method for method in self.methods if task in self._restriction(method).get("tasks", self.tasks)]

    def _restriction(self, method: str) -> Mapping[str, Any]:
        return self.content.get("restrict", {}).get(method, {})

    def key_of(self, spec: PriorSpec | TaskSpec | RunSpec) -> str:
        """Where in the suite's file a prior's, a task's or a run's spec comes from."""
        if isinstance(spec, PriorSpec):
            return f"priors.{spec.prior}"
        task, method = spec.task, spec.method if isinstance(spec, RunSpec) else None
        if method and method not in self.content["tasks"][task].get("settings", {}):
            return f"methods.{method}"
        return f"tasks.{task}.settings.{method}" if method else f"tasks.{task}"

    def side(self, dataset: str) -> int | None:
        """Pixels along an image, where the suite says so."""
        return self._dataset_parameters(dataset).get("side") or _side_of(dataset_plugin(dataset, {}))

    def data(self, prior: str) -> str:
        return f"{self.root}/data/{self.content['priors'][prior]['dataset']}.safetensors"

    def prior(self, task: str) -> str:
        return self.prior_file(prior_of(self.content, task))

    def teacher(self, prior: str) -> list[str]:
        """The teacher's file, where a prior has a teacher."""
        teacher = self.content["priors"][prior].get("teacher")
        return [self.prior_file(teacher)] if teacher else []

    def prior_sources(self, prior: str) -> tuple[str, ...]:
        """The module of a prior's family, and of its teacher's, with what they import from bench."""
        entry = self.content["priors"][prior]
        teacher = self.prior_sources(entry["teacher"]) if "teacher" in entry else ()
        return tuple(sorted({*sources_of(str(find("prior", entry["family"]))), *teacher}))

    def dataset_sources(self, dataset: str) -> tuple[str, ...]:
        """Return the source files of a data set's plug-in."""
        file = find("dataset", dataset_plugin(dataset, {}))
        return sources_of(str(file)) if file else ()

    def task_sources(self, task: str) -> tuple[str, ...]:
        """Return the source files of a task's prior and operator."""
        file = find("operator", self.content["tasks"][task]["operator"])
        of_operator = sources_of(str(file)) if file else ()
        return tuple(sorted({*self.prior_sources(prior_of(self.content, task)), *of_operator}))

    @property
    def classifiers(self) -> list[str]:
        """Of rewards, and of metrics that are for some task's images."""
        of_rewards = {entry["classifier"] for entry in self.content["tasks"].values() if "classifier" in entry}
        of_metrics = {network.classifier for task in self.tasks for network in self._networks(task)} - {""}
        return sorted(of_rewards | of_metrics)

    def classifier(self, task: str) -> list[str]:
        """The classifier's file, where a task's reward has a classifier."""
        name = self.content["tasks"][task].get("classifier")
        return [self._classifier_file(name)] if name else []

    def classifiers_of_task(self, task: str) -> list[str]:
        """Names of the classifiers that a task's reward and metrics need."""
        of_reward = self.content["tasks"][task].get("classifier")
        of_metrics = {network.classifier for network in self._networks(task)} - {""}
        return sorted({*of_metrics, *([of_reward] if of_reward else [])})

    def data_of_classifier(self, classifier: str) -> str:
        return f"{self.root}/data/{dataset_of(classifier)}.safetensors"

    def of_metrics(self, task: str) -> list[str]:
        """What metrics look at a task's samples with: classifiers, and real images."""
        classifiers = sorted({network.classifier for network in self._networks(task)} - {""})
        images = [self.data_of_task(task)] if "sets" in metrics_of_task(self.content, task) else []
        return [*map(self._classifier_file, classifiers), *images]

    def metric_sources(self, task: str) -> tuple[str, ...]:
        """Return the source files of a task's metrics."""
        return metric_sources(self.content, task)

    @property
    def absent_weights(self) -> list[str]:
        """Return a line for each published network that metrics need and that is missing; none for offline ones."""
        wanted = [
            weights_wanted(network, *self._images(task))
            for task in self.tasks
            for network, offline in networks_of_task(self.content, task)
            if not offline
        ]
        return [line for line in dict.fromkeys(wanted) if line]

    def _networks(self, task: str) -> list[Network]:
        """Return the networks that are for a task's images."""
        networks = [network for network, _ in networks_of_task(self.content, task)]
        return [network for network in networks if not why_unfit(network, *self._images(task))]

    def _images(self, task: str) -> tuple[str, int]:
        """Data set of a task, and pixels along its images."""
        dataset = self.content["priors"][prior_of(self.content, task)]["dataset"]
        return dataset, self.side(dataset) or 0

    def _classifier_file(self, name: str) -> str:
        return f"{self.root}/classifiers/{name}/{name}.safetensors"

    def prior_file(self, prior: str) -> str:
        return f"{self.root}/priors/{prior}/{self.content['priors'][prior]['family']}.safetensors"

    def data_of_task(self, task: str) -> str:
        return self.data(prior_of(self.content, task))

    def per_task(self, file: str) -> list[str]:
        return [f"{self.root}/tasks/{task}/{file}" for task in self.tasks]

    def runs(self, task: str, file: str) -> list[str]:
        """One file of each run on a task."""
        methods = self.methods_on(task)
        return [f"{self.root}/runs/{task}/{method}/seed{seed}/{file}" for method in methods for seed in self.seeds]

    def training(self, task: str, method: str, seed: int | str) -> list[str]:
        """What training leaves of a run, where the method trains."""
        folder = f"{self.root}/runs/{task}/{method}/seed{seed}"
        return [f"{folder}/{file}" for file in TRAINING_FILES] if self._trains(method) else []

    def _trains(self, method: str) -> bool:
        source = method_source(method)
        return source is not None and "train" in source.functions

    def all_runs(self, file: str) -> list[str]:
        return [path for task in self.tasks for path in self.runs(task, file)]

    def clocked(self, task: str, method: str, seed: int | str) -> list[str]:
        """What the clock looks at beside seconds: samples of the same run, and exact ones."""
        files = [f"runs/{task}/{method}/seed{seed}/samples.safetensors", f"tasks/{task}/exact.safetensors"]
        return [] if self.timing_only else [f"{self.root}/{file}" for file in files]

    def sources(self, verb: str) -> tuple[str, ...]:
        """The source files that decide what `python -m bench.stages.<rule>` computes; a change in one of them reruns it."""
        return sources_of(stage_file(verb))

    def method_sources(self, method: str) -> tuple[str, ...]:
        """The method's module and what it imports from bench."""
        file = method_file(method)
        return sources_of(str(file)) if file else ()

    @property
    def timings(self) -> list[str]:
        """Times of each run with the first seed on the tasks that are timed, from all visits of the clock."""
        return [f"{self.root}/runs/{task}/{method}/seed{seed}/timing.json" for task, method, seed in self._timed]

    @property
    def num_visits(self) -> int:
        return self.content["clock"].get("visits", 1) if "clock" in self.content else 0

    def visits(self, task: str, method: str, seed: int | str) -> list[str]:
        """Where the clock writes: a file of each visit to a run."""
        return [self._visit(task, method, seed, number + 1) for number in range(self.num_visits)]

    def visits_before(self, visit: int | str) -> list[str]:
        """The visit before this one to every run: visits are spread over time, since machines change their speed."""
        return [self._visit(*run, int(visit) - 1) for run in self._timed] if int(visit) > 1 else []

    def _visit(self, task: str, method: str, seed: int | str, visit: int) -> str:
        return f"{self.root}/runs/{task}/{method}/seed{seed}/visits/{visit}.json"

    @property
    def _timed(self) -> list[tuple[str, str, int]]:
        clock = self.content.get("clock")
        tasks = clock.get("tasks", self.tasks) if clock else []
        pairs = [(task, method) for task in tasks for method in self.methods_on(task)]
        return [(*pair, self.seeds[0]) for pair in pairs if pair[1] in clock.get("methods", self.methods)]

    @property
    def tunings(self) -> list[str]:
        """Logs of the settings that were tried."""
        return [f"{self.root}/tuning/{task}/{method}/trials.csv" for task, method in self._tuned]

    @property
    def _tuned(self) -> list[tuple[str, str]]:
        asked = self.content.get("tune", {"tasks": [], "methods": []})
        pairs = [(task, method) for task in asked["tasks"] for method in self.methods_on(task)]
        return [(task, method) for task, method in pairs if method in asked["methods"]]

    def spec_path(self, *names: str) -> str:
        """Return the path of a spec, e.g. `spec_path("tasks", task)`."""
        return str(self.layout.spec(*names))

    def digest(self, *names: str) -> str:
        """Return a hash of a spec's content, defaults included: a job reruns when it changes; "" for no such spec."""
        return self._digests.get(self.spec_path(*names), "")

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {path: _digest_of(spec) for path, spec in self.specs()}

    def specs(self) -> Iterator[tuple[str, Spec]]:
        """Yield path and content of each spec file: all that a command is told."""
        content, spec = self.content, self.layout.spec
        for dataset in self.datasets:
            yield str(spec("data", dataset)), self._data_spec(dataset)
        for prior in content["priors"]:
            yield str(spec("priors", prior)), self._prior_spec(prior)
        for classifier in self.classifiers:
            yield str(spec("classifiers", classifier)), ClassifierSpec(root=self.root, classifier=classifier)
        for task in self.tasks:
            yield str(spec("tasks", task)), self._task_spec(task)
            yield from self._specs_of_runs(task)
        for task, method, seed in self._timed:
            yield str(spec("clock", task, method, f"seed{seed}")), self._clock_spec(task, method, seed)
        for task, method in self._tuned:
            yield str(spec("tune", task, method)), self._tuning_spec(task, method)
        for toy, parameters in content.get("toys", {}).items():
            yield str(spec("toys", toy)), ToySpec(root=self.root, toy=toy, parameters=parameters)
        if self.tasks:
            yield str(spec("suite")), self._suite_spec()

    def _specs_of_runs(self, task: str) -> Iterator[tuple[str, Spec]]:
        runs = [(method, seed) for method in self.methods_on(task) for seed in self.seeds]
        if not self.timing_only:
            yield str(self.layout.spec("evaluate", task)), self._evaluate_spec(task, runs)
        for method, seed in runs:
            name = (task, method, f"seed{seed}")
            if not self.timing_only:
                yield str(self.layout.spec("runs", *name)), RunSpec(**self._run_fields(task, method, seed))
            if self._trains(method):
                yield str(self.layout.spec("train", *name)), self._training_spec(task, method, seed)

    def _figures(self, stems: Iterable[str]) -> list[str]:
        return [f"{self.root}/figures/{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "csv")]

    def _dataset_parameters(self, dataset: str) -> dict[str, Any]:
        return dict(self.content["datasets"][dataset] or {})

    def _data_spec(self, dataset: str) -> DataSpec:
        return DataSpec(
            root=self.root,
            dataset=dataset,
            plugin=dataset_plugin(dataset, {}),
            parameters=self._dataset_parameters(dataset),
        )

    def _prior_spec(self, prior: str) -> PriorSpec:
        entry = self.content["priors"][prior]
        teacher = entry.get("teacher")
        return PriorSpec(
            root=self.root,
            prior=prior,
            family=entry["family"],
            dataset=entry["dataset"],
            parameters={key: value for key, value in entry.items() if key not in PRIOR_KEYS},
            teacher=teacher,
            teacher_family=self.content["priors"][teacher]["family"] if teacher else None,
            quality=not self.timing_only,  # a network of random weights has none
        )

    def _problem_fields(self, task: str) -> dict[str, Any]:
        entry, prior = self.content["tasks"][task], self.content["priors"][prior_of(self.content, task)]
        return {
            "root": self.root,
            "task": task,
            "prior": prior_of(self.content, task),
            "family": prior["family"],
            "dataset": prior["dataset"],
            "operator": entry["operator"],
            "parameters": {key: value for key, value in entry.items() if key not in TASK_KEYS},
            "sigma_y": entry.get("sigma_y"),
        }

    def _task_spec(self, task: str) -> TaskSpec:
        return TaskSpec(
            **self._problem_fields(task),
            num_measurements=self.content["num_measurements"],
            num_reference=self.content["num_reference"],
            num_particles=self.content.get("num_particles"),
            perplexity=not self.timing_only,
        )

    def _row_fields(self, task: str, method: str, seed: int) -> dict[str, Any]:
        """What a row of the suite is on a task; training depends on no more, beside prior and problem."""
        return {
            "method": method,
            "module": plugin_of("method", method),
            "settings": settings_of(self.content, task, method),
            "seed": seed,
            "compute": compute_of(self.content),
        }

    def _training_spec(self, task: str, method: str, seed: int) -> TrainSpec:
        return TrainSpec(**self._problem_fields(task), **self._row_fields(task, method, seed))

    def _method_fields(self, task: str, method: str, seed: int) -> dict[str, Any]:
        prior = prior_of(self.content, task)
        names = {"root": self.root, "task": task, "prior": prior, "family": self.content["priors"][prior]["family"]}
        return names | self._row_fields(task, method, seed) | {"rows_per_chunk": self.content["rows_per_chunk"]}

    def _run_fields(self, task: str, method: str, seed: int) -> dict[str, Any]:
        budget = self.content.get("budget")
        return self._method_fields(task, method, seed) | {
            "trains": self._trains(method),
            "num_measurements": self._restriction(method).get("num_measurements"),
            "num_samples": self.content["num_samples"],
            "budget": Budget(**budget) if budget else None,
        }

    def _clock_spec(self, task: str, method: str, seed: int) -> ClockSpec:
        asked = {key: self.content["clock"][key] for key in CLOCK_KEYS if key in self.content["clock"]}
        asked["num_samples"] = tuple(asked["num_samples"])
        clock = Clock(**asked, bare=self.timing_only, ess=not self.timing_only)
        return ClockSpec(**self._run_fields(task, method, seed), clock=clock)

    def _tuning_spec(self, task: str, method: str) -> TuneSpec:
        fields = self._method_fields(task, method, 0)
        fields.pop("compute")
        return TuneSpec(**fields, tune=Tune(**{key: self.content["tune"][key] for key in TUNE_KEYS}))

    def _evaluate_spec(self, task: str, runs: Sequence[tuple[str, int]]) -> EvaluateSpec:
        prior = prior_of(self.content, task)
        return EvaluateSpec(
            root=self.root,
            task=task,
            prior=prior,
            family=self.content["priors"][prior]["family"],
            runs=tuple(Run(method, seed) for method, seed in runs),
            num_samples=self.content["num_samples"],
            metrics=metrics_of_task(self.content, task),
        )

    def _suite_spec(self) -> SuiteSpec:
        return SuiteSpec(
            root=self.root,
            name=self.content["name"],
            seeds=tuple(self.seeds),
            num_measurements=self.content["num_measurements"],
            num_samples=self.content["num_samples"],
            tasks=tuple(self.tasks),
            methods=tuple(self.methods),
            left_out=tuple(self.left_out),
            timed=tuple(self._timed),
            figures={} if self.timing_only else {name: dict(own) for name, own in self.figures.items()},
            compares=not self.timing_only,
        )


def _side_of(plugin: str) -> int | None:
    """Return the pixels along an image of a data set whose source says so, as a class variable or as a default."""
    file = find("dataset", plugin)
    source = read_source(file) if file else None
    field = source.fields.get("side") if source else None
    value = source.constant("side") if source else None
    return value if isinstance(value, int) else int(field.default) if field and field.default else None


def _digest_of(spec: Spec) -> str:
    text = json.dumps(dataclasses.asdict(spec), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
