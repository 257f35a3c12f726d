"""`posterior-bench papers`: each experiment of the four papers, its suite, what that needs, and whether it was run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.core.catalogue import EXTRACTORS, LPIPS
from bench.core.errors import UserError
from bench.core.layout import REFERENCE, Layout
from bench.core.papers import REHEARSAL
from bench.core.shipped import shipped, suite_file
from bench.core.text import markdown_table
from bench.core.weights import folder, missing
from bench.papers.experiments import EXPERIMENTS, Experiment
from bench.plan.gpu_hours import gpu_hours, rate
from bench.plan.papers import original, weights_of
from bench.plan.rehearsal import twin_of
from bench.plan.rehearsals import (
    FILE,
    Rehearsal,
    fingerprint,
    networks_of_metrics,
    read_rehearsals,
    record_rehearsal,
)
from bench.plan.suite import Suite

EXPERIMENT = ("paper", "experiment", "where", "suite", "state", "not as in the paper, or why not")
NEEDS = ("suite", "state", "weights", "images", "weights of metrics", "GPU hours")
REHEARSED = ("rehearsed suite", "commit", "date", "runs", "n/a", "failed", "minutes", "networks")
REHEARSED += ("networks of metrics without numbers",)
# classifiers of rewards of others, and their files
REWARDS = {
    "cifar10-vgg13_bn": folder() / "cifar10_vgg13_bn.pt",
    "ffhq-wrapped": Path("rewards/ffhq.py"),
}
FORMULA = (
    "GPU hours: samples x (rows forward + rows backward) x operations of a row, summed over runs with their training, "
    "over the operations per second of {source}. A row is an image through the prior's network."
)


def listing() -> str:
    """Return the text: experiments, then what their suites need, then the record of rehearsals."""
    record = read_rehearsals()
    suites = {x.suite: original(x.suite) for x in EXPERIMENTS if x.suite and has_file(x.suite)}
    states = {name: state_of(suite, record.get(name)) for name, suite in suites.items()}
    large = [name for name in suites if name.startswith("papers/")]
    parts = [
        markdown_table(EXPERIMENT, [experiment_row(x, states) for x in EXPERIMENTS]),
        markdown_table(NEEDS, [needs_row(name, suites[name], states[name]) for name in large]),
        FORMULA.format(source=rate().source),
    ]
    rows = [rehearsal_row(record[name]) for name in large if name in record]
    return "\n\n".join(parts + ([markdown_table(REHEARSED, rows)] if rows else []))


def added(folder: str) -> str:
    """Add a finished rehearsal to the record, and return a sentence that says so."""
    return f"{FILE}: {record_rehearsal(folder).suite} was added"


def has_file(name: str) -> bool:
    """Return whether a suite's file is there."""
    try:
        return suite_file(name).exists()
    except UserError:
        return False


def experiment_row(x: Experiment, states: Mapping[str, str]) -> list[str]:
    """Return the cells of an experiment."""
    state = states.get(x.suite, "not possible")
    return [x.paper or "all", x.what, x.place, x.suite or "none", state, x.missing]


def state_of(suite: Suite, rehearsal: Rehearsal | None) -> str:
    """Return whether a suite was run, or else rehearsed. rehearsal: its row of the record.

    A suite was run where its results are here or published.
    """
    name = suite.content["name"]
    if Layout.of_suite(name).report.exists() or is_published(name):
        return "run"
    is_here = Layout.of_suite(name + REHEARSAL).report.exists()
    if rehearsal is None:
        return "rehearsed here, not recorded" if is_here else "not run here"
    planned = fingerprint(twin_of(suite.content, rehearsal.suite))
    older = "" if planned == rehearsal.twin_sha256 else " with an older suite"
    return f"rehearsed{older} ({rehearsal.origin})"


def is_published(name: str) -> bool:
    """Return whether results of a suite, or toys, are committed."""
    try:
        return shipped(str(REFERENCE / name)).is_dir()
    except UserError:
        return False


def rehearsal_row(x: Rehearsal) -> list[str]:
    """Return the cells of a rehearsal."""
    counts = [str(count) for count in (x.runs, x.not_applicable, x.failed)]
    unused = x.unused_networks or "none"
    return [x.suite, x.commit[:12], x.date, *counts, f"{x.minutes:g}", x.networks, unused]


def needs_row(name: str, suite: Suite, state: str) -> list[str]:
    """Return the cells of a suite: what it needs, and what of that is here."""
    priors, datasets = suite.content["priors"].values(), suite.content["datasets"].values()
    weights = [marked(given, weights_here(given)) for x in priors if (given := weights_of(x))]
    weights += rewards_of(suite)
    images = [marked(x["path"], Path(x["path"]).expanduser().exists()) for x in datasets if x]
    hours = gpu_hours(suite)
    told = "not estimated: networks of other projects" if hours is None else f"{hours:.3g}"
    cells = [", ".join(dict.fromkeys(part)) for part in (weights, images, metric_weights(suite))]
    return [name, state, *(cell or "none" for cell in cells), told]


def marked(name: str, is_here: bool) -> str:
    """Return a name, and whether what it names is here."""
    return f"{name} ({'here' if is_here else 'absent'})"


def weights_here(given: str) -> bool:
    """Return whether a checkpoint is here: a path, or a name that `posterior-bench weights` knows."""
    from bench.core.checkpoints import CHECKPOINTS

    name = given.rpartition("/")[2]
    known = CHECKPOINTS.get(given) or CHECKPOINTS.get(name)
    return Path(given).exists() or bool(known and known.path.exists())


def rewards_of(suite: Suite) -> list[str]:
    """Return the files of a suite's rewards that the user has to provide, marked as here or absent."""
    names = {x.get("classifier", "") for x in suite.content["tasks"].values()}
    files = [Path(path).expanduser() for name, path in REWARDS.items() if name in names]
    return [marked(file.name, file.exists()) for file in files]


def metric_weights(suite: Suite) -> list[str]:
    """Return the files of published networks that the suite's metrics ask for, marked as here or absent."""
    known = {**LPIPS, **EXTRACTORS}
    files = [known[name].weights for name in networks_of_metrics(suite)]
    return [marked(name, not missing(name)) for name in files]
