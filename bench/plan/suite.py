"""A suite: its runs, their specs, and where its artefacts lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.plan.config import TASK_KEYS, module_of, prior_of, settings_of
from bench.plan.sources import sources_of

FIGURES = ("distance", "fidelity-diversity", "calibration")
TASK_FILES = ("bank.safetensors", "observations.safetensors", "exact.safetensors", "metrics.csv")


@dataclass(frozen=True)
class Suite:
    """The checked content of a suite's YAML and what follows from it. All paths are relative to the repository."""

    file: str
    content: Mapping[str, Any]

    @property
    def root(self) -> str:
        return f"results/{self.content['name']}"

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
        return [f"{self.root}/tables/summary.{kind}" for kind in ("csv", "md", "tex")]

    @property
    def figures(self) -> list[str]:
        stems = [*(f"grid-{task}" for task in self.tasks), *FIGURES]
        return [f"{self.root}/figures/{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "csv")]

    @property
    def targets(self) -> list[str]:
        """Every artefact, so that one which was deleted is made again even if nothing else asks for it."""
        made_per_task = [path for file in TASK_FILES for path in self.per_task(file)]
        made_per_run = [*self.all_runs("samples.safetensors"), *self.all_runs("cost.json")]
        return [f"{self.root}/report.html", *self.tables, *self.figures, *made_per_task, *made_per_run]

    def key_of(self, spec: Mapping[str, Any]) -> str:
        """Where in the suite's file a task's or a run's spec comes from."""
        task, method = spec["task"], spec.get("method")
        if method and method not in self.content["tasks"][task].get("settings", {}):
            return f"methods.{method}"
        return f"tasks.{task}.settings.{method}" if method else f"tasks.{task}"

    def side(self, dataset: str) -> int | None:
        """Pixels along an image, where the suite says so."""
        return self.content["datasets"][dataset].get("side")

    def data(self, prior: str) -> str:
        return f"{self.root}/data/{self.content['priors'][prior]['dataset']}.safetensors"

    def prior(self, task: str) -> str:
        prior = prior_of(task)
        return f"{self.root}/priors/{prior}/{self.content['priors'][prior]['family']}.safetensors"

    def data_of_task(self, task: str) -> str:
        return self.data(prior_of(task))

    def per_task(self, file: str) -> list[str]:
        return [f"{self.root}/tasks/{task}/{file}" for task in self.tasks]

    def runs(self, task: str, file: str) -> list[str]:
        """One file of each run on a task."""
        return [f"{self.root}/runs/{task}/{method}/seed{seed}/{file}" for method in self.methods for seed in self.seeds]

    def all_runs(self, file: str) -> list[str]:
        return [path for task in self.tasks for path in self.runs(task, file)]

    def sources(self, verb: str) -> tuple[str, ...]:
        """The source files that decide what `python -m bench.<verb>` computes; a change in one of them reruns it."""
        return sources_of(f"bench/{verb}.py")

    def method_sources(self, method: str) -> tuple[str, ...]:
        """The method's module and what it imports from bench."""
        return sources_of(f"methods/{module_of(method)}.py")

    def specs(self) -> Iterator[tuple[str, dict]]:
        """(path, content) of each spec file: all that a command is told."""
        content, folder = self.content, f"{self.root}/specs"
        for dataset, parameters in content["datasets"].items():
            yield f"{folder}/data/{dataset}.json", {"root": self.root, "dataset": dataset, "parameters": parameters}
        for prior, entry in content["priors"].items():
            yield f"{folder}/priors/{prior}.json", self._prior_spec(prior, entry)
        for task, entry in content["tasks"].items():
            yield f"{folder}/tasks/{task}.json", self._task_spec(task, entry)
            runs = [{"method": method, "seed": seed} for method in self.methods for seed in self.seeds]
            evaluate = {"root": self.root, "task": task, "runs": runs, "num_samples": content["num_samples"]}
            yield f"{folder}/evaluate/{task}.json", evaluate
            for run in runs:
                yield f"{folder}/runs/{task}/{run['method']}/seed{run['seed']}.json", self._run_spec(task, **run)
        summary = {key: content[key] for key in ("name", "seeds", "num_measurements", "num_samples")}
        yield f"{folder}/suite.json", {"root": self.root, "tasks": self.tasks, "methods": self.methods, **summary}

    def _prior_spec(self, prior: str, entry: Mapping[str, Any]) -> dict:
        parameters = {key: value for key, value in entry.items() if key not in ("family", "dataset")}
        return {
            "root": self.root,
            "prior": prior,
            "family": entry["family"],
            "dataset": entry["dataset"],
            "parameters": parameters,
        }

    def _task_spec(self, task: str, entry: Mapping[str, Any]) -> dict:
        prior = self.content["priors"][prior_of(task)]
        return {
            "root": self.root,
            "task": task,
            "prior": prior_of(task),
            "family": prior["family"],
            "dataset": prior["dataset"],
            "operator": entry["operator"],
            "parameters": {key: value for key, value in entry.items() if key not in TASK_KEYS},
            "sigma_y": entry["sigma_y"],
            "num_measurements": self.content["num_measurements"],
            "num_reference": self.content["num_reference"],
        }

    def _run_spec(self, task: str, method: str, seed: int) -> dict:
        return {
            "root": self.root,
            "task": task,
            "prior": prior_of(task),
            "family": self.content["priors"][prior_of(task)]["family"],
            "method": method,
            "module": module_of(method),
            "settings": settings_of(self.content, task, method),
            "seed": seed,
            "num_samples": self.content["num_samples"],
            "rows_per_chunk": self.content["rows_per_chunk"],
        }
