"""The rules of the workflow: stage, spec and outputs of each as patterns, and the jobs that a suite has of it.

The Snakefile takes outputs and specs from here, and `commands.py` the jobs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.core.layout import CLAIMS_TABLES, PUBLISHED_TABLES, TABLES, TIMING_TABLES
from bench.core.papers import NAME as PAPER
from bench.core.retries import times_tried
from bench.core.specs import MethodSpec, Spec, SuiteSpec
from bench.plan.inputs import Inputs
from bench.plan.suite import Suite
from bench.plan.suite_specs import specs_of

ON_DEMAND = ("data", "prior")  # made only where a task depends on them
ON_REQUEST = ("tune",)  # made by the target `tuned` alone: no run depends on a search
RUN = {"task": "{task}", "method": "{method}", "seed": "{seed}"}
RUN_SPEC = ("{task}", "{method}", "seed{seed}")
ONCE: tuple[dict[str, Any], ...] = ({},)  # one job, without wildcards

Wildcards = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A rule of the workflow.

    stage: in bench/stages. spec: the names of its spec (`Layout.spec`), outputs: paths, argument: of the command after
    the spec; all with wildcards in braces. cases: the wildcards of each job that the suite has.
    gathers: whether it reads the outputs of all runs.
    """

    stage: str
    spec: tuple[str, ...]
    outputs: tuple[str, ...]
    cases: tuple[Wildcards, ...]
    argument: str = ""
    gathers: bool = False


@dataclass(frozen=True)
class Rules:
    """The rules of a suite."""

    suite: Suite

    @cached_property
    def all(self) -> dict[str, Rule]:
        """Return all rules by stage, each after those whose outputs it reads."""
        rules = [
            *_rules_of_tasks(self.suite),
            *_rules_of_runs(self.suite),
            *_rules_of_pages(self.suite),
        ]
        return {rule.stage: rule for rule in rules}

    @property
    def targets(self) -> list[str]:
        """Return every artefact, so that a deleted one is made again even if artefacts made from it exist.

        Data sets and priors on which no task depends are left out, and searches for settings.
        """
        used = {("dataset", dataset) for dataset in self.suite.datasets_of_tasks} | {
            ("prior", prior) for prior in self.suite.priors_of_tasks
        }
        return [
            path.format(**case)
            for stage, rule in self.all.items()
            for case in rule.cases
            if stage not in ON_REQUEST
            and (stage not in ON_DEMAND or used.intersection(case.items()))
            for path in rule.outputs
        ]

    def outputs(self, stage: str) -> tuple[str, ...]:
        """Return the outputs of a rule, with wildcards."""
        return self.all[stage].outputs

    def made(self, *stages: str) -> list[str]:
        """Return the outputs of all jobs of some rules."""
        rules = [self.all[stage] for stage in stages]
        return [
            path.format(**case) for rule in rules for case in rule.cases for path in rule.outputs
        ]

    def spec_path(self, stage: str, wildcards: Wildcards) -> str:
        """Return the path of a job's spec."""
        return str(
            self.suite.layout.spec(*(name.format(**wildcards) for name in self.all[stage].spec))
        )

    def params(self, stage: str) -> dict[str, Callable[[Any], str]]:
        """Return the params of a rule for Snakemake, which reruns a job when one changes.

        These are the path of its spec, a hash of the spec's content, and one of its source code apart from plug-ins. A
        failure that is to be tried again changes the hash of the content, too.
        """

        def spec(wildcards: Any) -> str:
            return self.spec_path(stage, dict(wildcards.items()))

        return {
            "spec": spec,
            "content": lambda wildcards: self._digest(
                stage, spec(wildcards), dict(wildcards.items())
            ),
            "code": lambda wildcards: self._inputs.code(stage, dict(wildcards.items())),
        }

    def _digest(self, stage: str, path: str, wildcards: Wildcards) -> str:
        """Return a hash of a job's spec, "" for none. Tables and figures depend on no other figure's parameters."""
        spec = self.specs.get(path)
        again, limits = "", None
        if isinstance(spec, MethodSpec):  # no number depends on them
            limits, spec = spec.limits, dataclasses.replace(spec, limits=None)
        if outputs := self.all[stage].outputs:
            again = times_tried(outputs[0].format(**wildcards), limits and asdict(limits))
        if isinstance(spec, SuiteSpec) and stage != "report":
            own = {
                name: given
                for name, given in spec.figures.items()
                if name == wildcards.get("figure")
            }
            spec = dataclasses.replace(spec, figures=own)
        of_paper = self.specs.get(str(self.suite.layout.spec(PAPER)))
        if of_paper and stage in ("published", "report"):
            again = f"{digest_of(of_paper)}{again}"
        return (digest_of(spec) if spec else "") + again

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.suite)

    @cached_property
    def specs(self) -> dict[str, Spec]:
        """Return all specs of the suite by their paths."""
        return dict(specs_of(self.suite))


def digest_of(spec: Spec) -> str:
    """Return a hash of a spec, its defaults included."""
    text = json.dumps(dataclasses.asdict(spec), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rules_of_tasks(suite: Suite) -> list[Rule]:
    """Return the rules from a data set to reference draws, and that of toys."""
    layout, files = suite.layout, suite.layout.task("{task}")
    priors = [{"prior": prior, "family": suite.family(prior)} for prior in suite.priors]
    tasks = _each(task=suite.tasks)
    references = _each(task=[] if suite.timing_only else suite.tasks)
    measurements = (files.all_measurements, files.measurements)
    classifier = layout.classifier("{classifier}")
    return [
        _rule(
            "data", ("data", "{dataset}"), [layout.data("{dataset}")], _each(dataset=suite.datasets)
        ),
        _rule("prior", ("priors", "{prior}"), [layout.prior("{prior}", "{family}")], priors),
        _rule(
            "classifier",
            ("classifiers", "{classifier}"),
            [classifier, classifier.with_name("card.json")],
            _each(classifier=suite.classifiers),
        ),
        _rule("observe", ("tasks", "{task}"), measurements, tasks),
        _rule("reference", ("tasks", "{task}"), [files.reference], references),
        _rule("toy", ("toys", "{toy}"), layout.figure_files("{toy}"), _each(toy=suite.toys)),
    ]


def _rules_of_runs(suite: Suite) -> list[Rule]:
    """Return the rules of single runs; the clock's first visits to all runs come before the second ones."""
    files = suite.layout.run(**RUN)
    runs = [_run(*run) for run in suite.runs]
    trained = [run for run in runs if suite.trains(run["method"])]
    timed = [_run(*run) for run in suite.timed]
    visits = [run | {"visit": number + 1} for number in range(suite.num_visits) for run in timed]
    tuned = [{"task": task, "method": method} for task, method in suite.tuned]
    log = suite.layout.tuning("{task}", "{method}")
    return [
        _rule("tune", ("tune", "{task}", "{method}"), [log], tuned),
        _rule("train", ("train", *RUN_SPEC), files.of_training, trained),
        _rule(
            "sample",
            ("runs", *RUN_SPEC),
            [files.samples, files.cost],
            [] if suite.timing_only else runs,
        ),
        _rule("clock", ("clock", *RUN_SPEC), [files.visit("{visit}")], visits, argument="{visit}"),
        _rule("pool", ("clock", *RUN_SPEC), [files.timing], timed),
    ]


def _rules_of_pages(suite: Suite) -> list[Rule]:
    """Return the rules that read all runs on a task, or all runs."""
    layout, compares = suite.layout, bool(suite.tasks) and not suite.timing_only
    tasks, once = _each(task=suite.tasks if compares else []), ONCE if compares else ()
    figures = _each(figure=list(suite.figures) if compares else [])

    def page(
        stage: str, outputs: Iterable[Path], cases: Iterable[Wildcards], argument: str = ""
    ) -> Rule:
        return _rule(stage, ("suite",), outputs, cases, argument, gathers=True)

    return [
        _rule(
            "evaluate", ("evaluate", "{task}"), [layout.task("{task}").metrics], tasks, gathers=True
        ),
        _rule(
            "grid", ("evaluate", "{task}"), layout.figure_files("grid-{task}"), tasks, gathers=True
        ),
        page("figure", layout.figure_files("{figure}"), figures, argument="{figure}"),
        page("tables", map(layout.table, TABLES), once),
        page("published", map(layout.table, PUBLISHED_TABLES), once),
        page("claims", map(layout.table, CLAIMS_TABLES), once if suite.tests_claims else ()),
        page("timing", map(layout.table, TIMING_TABLES), ONCE if suite.timing_only else ()),
        page("report", [layout.report], once),
        page("reproduce", (), ()),  # asked for by name: no job of the suite
    ]


def _rule(
    stage: str,
    spec: tuple[str, ...],
    outputs: Iterable[Path],
    cases: Iterable[Wildcards],
    argument: str = "",
    gathers: bool = False,
) -> Rule:
    return Rule(stage, spec, tuple(map(str, outputs)), tuple(cases), argument, gathers)


def _each(**values: Iterable[str]) -> list[Wildcards]:
    """Return one set of wildcards for each value of a single wildcard."""
    return [{name: value} for name, several in values.items() for value in several]


def _run(task: str, method: str, seed: int) -> dict[str, Any]:
    return {"task": task, "method": method, "seed": seed}
