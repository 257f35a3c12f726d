"""Read a suite's key `metrics`: plug-ins by name with their parameters, for all tasks or for some.

    metrics:
      perceptual: {networks: [percept-digits-v1]}
      my-metric: {scale: 2.0, tasks: [gmm-denoise]}

`tasks` is not a parameter of a metric: it restricts it to these tasks. The metrics of `bench.metrics.BUILT_IN` are
always there; named here they get other parameters. `headline: psnr_mean` and `columns: [...]` are not plug-ins: they
name the column that leads tables and the page, and those beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.core.catalogue import (
    ALLOW,
    EXTRACTORS,
    PERCEPTUAL,
    Network,
    dataset_of,
    extractor_network,
    perceptual_network,
)
from bench.core.registry import find, names
from bench.metrics import BUILT_IN
from bench.plan.schema import Fault, one_of
from bench.plan.sources import sources_of

TASKS = "tasks"
HEADLINE, COLUMNS = "headline", "columns"
OF_IMAGES = ("sets", "class_frechet")  # metrics that compare samples with real images
# metric -> parameter, network by name, names that are no pattern
NETWORKS = {
    "perceptual": ("networks", perceptual_network, PERCEPTUAL),
    "sets": ("extractors", extractor_network, EXTRACTORS),
    "class_frechet": ("extractors", extractor_network, EXTRACTORS),
}


def metrics_of_task(content: Mapping[str, Any], task: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of the metrics that a suite adds on a task, by plug-in."""
    entries = plugins_of(content)
    return {
        name: parameters
        for name, parameters in parameters_of(content).items()
        if task in entries[name].get(TASKS, [task])
    }


def parameters_of(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the parameters of all metrics that a suite adds, by plug-in."""
    return {
        name: {key: value for key, value in entry.items() if key != TASKS}
        for name, entry in plugins_of(content).items()
    }


def named_columns(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the ids of columns that a suite names, by the key that does so."""
    entries = content.get("metrics", {})
    named = {HEADLINE: [entries.get(HEADLINE)], COLUMNS: entries.get(COLUMNS, [])}
    return {f"metrics.{key}": columns for key, columns in named.items() if key in entries}


def plugins_of(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the entries of `metrics` that are plug-ins, without `headline` and `columns`."""
    entries = content.get("metrics", {})
    return {name: entry for name, entry in entries.items() if name not in (HEADLINE, COLUMNS)}


def networks_of_task(content: Mapping[str, Any], task: str) -> list[tuple[Network, bool]]:
    """Return the networks of a task's metrics, and for each whether its weights may be absent (`absent_weights`)."""
    metrics = metrics_of_task(content, task)
    return [
        (network, metrics[metric].get("absent_weights", ALLOW) == ALLOW)
        for metric, (parameter, network_of, _) in NETWORKS.items()
        if metric in metrics
        for name in metrics[metric].get(parameter, [])
        if (network := network_of(name))
    ]


def metric_sources(content: Mapping[str, Any], task: str) -> tuple[str, ...]:
    """Return the source files of a task's metrics with what they import."""
    files = [find("metric", name) for name in (*BUILT_IN, *metrics_of_task(content, task))]
    return tuple(sorted({source for file in files if file for source in sources_of(str(file))}))


def metric_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield metrics and networks that are unknown; the schema has checked the parameters."""
    for metric, parameters in plugins_of(content).items():
        if find("metric", metric) is None:
            yield ("metrics", metric), f"no such metric; {one_of(names('metric'), metric)}"
            return
        if metric in NETWORKS:
            yield from _network_faults(metric, parameters, content)


def _network_faults(
    metric: str, parameters: Mapping[str, Any], content: Mapping[str, Any]
) -> Iterator[Fault]:
    """Yield networks that are unknown, or trained on a data set that the suite does not have."""
    parameter, network_of, known = NETWORKS[metric]
    for name in parameters.get(parameter, []):
        where, network = ("metrics", metric, parameter), network_of(name)
        if network is None:
            yield where, f"no such network, {name}; {one_of(known, name)}"
            return
        classifier = network.classifier
        if classifier and dataset_of(classifier) not in content["datasets"]:
            dataset = dataset_of(classifier)
            yield (
                where,
                f"{name} needs a network trained on {dataset}, which is not among the datasets",
            )
