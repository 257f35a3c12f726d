"""`posterior-bench papers`: each experiment of the four papers, its suite, what that needs, and whether it was run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.catalogue import EXTRACTORS, LPIPS
from bench.core.errors import UserError
from bench.core.layout import REFERENCE, Layout
from bench.core.papers import REHEARSAL
from bench.core.shipped import suite_file
from bench.core.text import markdown_table
from bench.core.weights import folder, missing
from bench.papers.experiments import EXPERIMENTS, Experiment
from bench.plan.gpu_hours import gpu_hours, rate
from bench.plan.papers import original, weights_of
from bench.plan.suite import Suite

EXPERIMENT = ("paper", "experiment", "where", "suite", "state", "not as in the paper, or why not")
NEEDS = ("suite", "state", "weights", "images", "weights of metrics", "GPU hours")
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
    """Return the text: experiments, then what their suites need."""
    suites = {x.suite: original(x.suite) for x in EXPERIMENTS if x.suite and has_file(x.suite)}
    experiments = markdown_table(EXPERIMENT, [experiment_row(x, suites) for x in EXPERIMENTS])
    large = [needs_row(name, suite) for name, suite in suites.items() if name.startswith("papers/")]
    return "\n\n".join(
        [experiments, markdown_table(NEEDS, large), FORMULA.format(source=rate().source)]
    )


def has_file(name: str) -> bool:
    """Return whether a suite's file is there."""
    try:
        return suite_file(name).exists()
    except UserError:
        return False


def experiment_row(x: Experiment, suites: Mapping[str, Suite]) -> list[str]:
    """Return the cells of an experiment."""
    state = state_of(suites[x.suite]) if x.suite in suites else "not possible"
    return [x.paper or "all", x.what, x.place, x.suite or "none", state, x.missing]


def state_of(suite: Suite) -> str:
    """Return whether the results of a suite are there or published, or the page of its rehearsal."""
    name = suite.content["name"]
    if Layout.of_suite(name).report.exists() or (REFERENCE / name).is_dir():
        return "run"
    rehearsed = Layout.of_suite(name + REHEARSAL).report.exists()
    return "rehearsed" if rehearsed else "not run here"


def needs_row(name: str, suite: Suite) -> list[str]:
    """Return the cells of a suite: what it needs, and what of that is here."""
    priors, datasets = suite.content["priors"].values(), suite.content["datasets"].values()
    weights = [marked(given, weights_here(given)) for x in priors if (given := weights_of(x))]
    weights += rewards_of(suite)
    images = [marked(x["path"], Path(x["path"]).expanduser().exists()) for x in datasets if x]
    hours = gpu_hours(suite)
    told = "not estimated: no published network" if hours is None else f"{hours:.3g}"
    cells = [", ".join(dict.fromkeys(part)) for part in (weights, images, metric_weights(suite))]
    return [name, state_of(suite), *(cell or "none" for cell in cells), told]


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
    """Return the published networks that the suite's metrics ask for."""
    metrics: Mapping[str, Any] = suite.content.get("metrics", {})
    asked = [
        *metrics.get("perceptual", {}).get("networks", []),
        *metrics.get("sets", {}).get("extractors", []),
    ]
    known = {**LPIPS, **EXTRACTORS}
    files = [known[name].weights for name in asked if name in known and known[name].weights]
    return [marked(name, not missing(name)) for name in files]
