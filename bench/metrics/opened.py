"""The networks that a suite asks its metrics to look through, opened: which columns they give, which not, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.core.catalogue import EXTRACTORS, LPIPS, PERCEPTUAL, Network, why_closed
from bench.core.weights import path_of
from bench.metrics.extractors import Extract, open_extractor, open_inception, register
from bench.metrics.metric import Metric
from bench.metrics.networks import Numbers, floor_metrics, perceptual_id, perceptual_metrics, set_metrics, why_no_set
from bench.metrics.perceptual import Embed, classifier_embedding, load_lpips, lpips_embedding
from bench.metrics.sets import Judge, make_judge

BACKBONES = {"lpips-alex-v0.1": "alex", "lpips-vgg-v0.1": "vgg"}
NOT_HELD_OUT = "n/a (no image was held out: the prior has them all)"


class Classifier(Protocol):
    """What metrics use of a classifier."""

    def activations(self, x: Tensor) -> Sequence[Tensor]: ...
    def features(self, x: Tensor) -> Tensor: ...


Load = Callable[[str], Classifier]  # by name


@dataclass(frozen=True)
class Asked:
    """What a suite asks for, by name, and of which images: of what data set, how large, how many samples in a set.

    offline: absent weights are no error, but a reason.
    """

    perceptual: tuple[str, ...]
    sets: tuple[str, ...]
    offline: bool
    dataset: str
    side: int
    num_samples: int


@dataclass(frozen=True)
class Networks:
    """Columns of measurements, of sets and of the floors of sets; what computes them; why some of them stay empty.

    embeddings: by the id of the perceptual distance that they give.
    """

    metrics: tuple[Metric, ...]
    sets: tuple[Metric, ...]
    floors: tuple[Metric, ...]
    embeddings: dict[str, Embed]
    judges: tuple[Judge, ...]
    why_not: dict[str, str]


def open_networks(asked: Asked, load: Load, load_images: Callable[[], Mapping[str, Tensor]]) -> Networks:
    """UserError when weights are absent, unless the suite is offline.

    load_images: the data set's `train`, `validation` and `test`, and `atoms` where it has them; called when a suite
    asks for sets.
    """
    metrics, embeddings, why_not = _perceptual(asked, load)
    sets, floors, judges, why_no_sets = _sets(asked, load, load_images()) if asked.sets else ((), (), (), {})
    return Networks(metrics, sets, floors, embeddings, judges, why_not | why_no_sets)


def _perceptual(asked: Asked, load: Load) -> tuple[tuple[Metric, ...], dict[str, Embed], dict[str, str]]:
    columns = {name: perceptual_metrics(name) for name in asked.perceptual}
    closed = {name: _why_closed(PERCEPTUAL[name], asked) for name in columns}
    opened = {perceptual_id(name): _embedding(name, load) for name, why in closed.items() if not why}
    why_not = {metric.id: why for name, why in closed.items() if why for metric in columns[name]}
    return sum(columns.values(), ()), opened, why_not


def _sets(
    asked: Asked, load: Load, images: Mapping[str, Tensor]
) -> tuple[tuple[Metric, ...], tuple[Metric, ...], tuple[Judge, ...], dict[str, str]]:
    train, held_out, num = images["train"], torch.cat([images["test"], images["validation"]]), asked.num_samples
    numbers = Numbers(num, len(train), len(held_out))
    sets = {name: set_metrics(name, numbers) for name in asked.sets}
    floors = {name: floor_metrics(name, numbers) for name in asked.sets}
    judges, why_not = [], {}
    for name in asked.sets:
        why = _why_closed(EXTRACTORS[name], asked) or (NOT_HELD_OUT if "atoms" in images else "")
        if why:
            why_not |= dict.fromkeys([metric.id for metric in (*sets[name], *floors[name])], why)
        else:
            why_not |= why_no_set(name, numbers)
            judges.append(make_judge(name, _extractor(name, load), held_out, train, num))
    return sum(sets.values(), ()), sum(floors.values(), ()), tuple(judges), why_not


def _why_closed(network: Network, asked: Asked) -> str:
    return why_closed(network, asked.dataset, asked.side, asked.offline)


def _embedding(name: str, load: Load) -> Embed:
    if name in LPIPS:
        return lpips_embedding(load_lpips(BACKBONES[name], path_of(LPIPS[name].weights)))
    return classifier_embedding(load(PERCEPTUAL[name].classifier))


def _extractor(name: str, load: Load) -> Extract:
    network = EXTRACTORS[name]
    if network.weights:
        return open_inception(path_of(network.weights))
    register(name, load(network.classifier).features)
    return open_extractor(name)
