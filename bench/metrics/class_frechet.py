"""Samples of a class against held-out images of it, by the features of a network that is not the reward's classifier.

The Frechet distance of each class to images of that class is what Venkatraman et al. 2025 report for CIFAR-10
(https://arxiv.org/abs/2502.06999, Tables 3, 7 and 8). Features of the classifier that is the reward, as in the metric
`reward`, are what a sampler is paid for; those of another network are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from bench.core.catalogue import extractor_network, why_unfit
from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.distances import mean_distance_within
from bench.numerics.frechet import BLOCK, frechet_in_blocks, moments

__all__ = ["ClassFrechet"]

TOO_FEW = f"n/a (fewer than {BLOCK} samples)"
NO_LABELS = "n/a (the data set has no labels)"
HELD_OUT = ("test", "validation")


class RealClass(NamedTuple):
    """Features of real images of one class: moments of held-out images, and distances as floors for samples."""

    mean: Tensor  # (F,)
    covariance: Tensor  # (F, F)
    floor: Tensor  # (), Frechet distance of training images
    pairwise: Tensor  # (), mean distance between two held-out images


@dataclass(frozen=True)
class ClassFrechet(Metric):
    """Frechet distance to real images of the class, and distance between samples, by networks of the workflow."""

    extractors: tuple[str, ...] = ()  # <data set>-convnet-v1, digits-cnn-v1

    tiny: ClassVar[Mapping[str, Any]] = {"extractors": ("digits-convnet-v1",)}

    def __post_init__(self) -> None:
        for name in self.extractors:
            network = extractor_network(name)
            if network is None or not network.classifier:
                raise ValueError(f"extractors: no network of the workflow has the name {name!r}")

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return tuple(column for name in self.extractors for column in columns_by(name))

    def why_empty(self, truth: Truth) -> dict[str, str]:
        reasons = {name: self._why_empty(name, truth.context) for name in self.extractors}
        return {c.id: why for name, why in reasons.items() if why for c in columns_by(name)}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        values, classes = {}, truth.y.flatten(1).argmax(1).tolist()
        for name in self.extractors:
            if self._why_empty(name, truth.context):
                continue
            network = opened(name, truth.context)
            features = network.features(samples.flatten(0, 1)).unflatten(0, samples.shape[:2])
            real = [real_class(name, k, truth.context) for k in classes]
            mean, covariance, floor, pairwise = (torch.stack(x) for x in zip(*real, strict=True))
            found = (frechet_in_blocks(features, mean, covariance), floor)
            found += (mean_distance_within(features), pairwise)
            columns = columns_by(name)
            values |= {column.id: x for column, x in zip(columns, found, strict=True)}
        return values

    def _why_empty(self, name: str, context: Context) -> str:
        network = extractor_network(name)
        assert network is not None
        unfit = why_unfit(network, context.dataset, context.side)
        return unfit or ("" if "train_label" in images(context) else NO_LABELS)


def columns_by(name: str) -> tuple[Column, ...]:
    """Return the four columns by the features of a network."""
    frechet, pairwise = f"class_frechet-{name}-n{BLOCK}", f"class_pairwise-{name}"
    what = (
        f"Frechet distance of samples, in blocks of {BLOCK}, to held-out images of the class: of Gaussians fitted to "
        f"the activations before the last layer of {name}, which is not the reward's classifier. It falls with the "
        "size of a block: compare it with the floor"
    )
    between = f"mean Euclidean distance between the features (of {name}) of two samples of one measurement"
    unit, why = "features^2", TOO_FEW
    return (
        Column(frechet, what, "lower", unit, "reward", not_finite=why),
        Column(
            f"class_frechet_floor-{name}-n{BLOCK}",
            f"what the training images of the class have for {frechet}",
            "lower", unit, "reward", not_finite=why,
        ),
        Column(pairwise, between, None, "features", "reward"),
        Column(
            f"class_pairwise_floor-{name}",
            f"what held-out images of the class have for {pairwise}",
            None, "features", "reward",
        ),
    )  # fmt: skip


def opened(name: str, context: Context) -> Any:
    """Return a network that the workflow trained; its `features` map (n, *x) to (n, F)."""
    return context.once(("network", name), lambda: context.load_classifier(name))


def images(context: Context) -> Mapping[str, Tensor]:
    """Return the tensors of a task's data set."""
    return context.once("images of the data set", context.load_images)


def real_class(name: str, label: int, context: Context) -> RealClass:
    """Return the features of real images of a class by a network."""

    def computed() -> RealClass:
        data, network = images(context), opened(name, context)
        held_out = torch.cat([data[part][data[f"{part}_label"] == label] for part in HELD_OUT])
        trained_on = data["train"][data["train_label"] == label]
        real, of_training = (network.features(x.double()) for x in (held_out, trained_on))
        mean, covariance = moments(real)
        floor = frechet_in_blocks(of_training[None], mean[None], covariance[None])[0]
        return RealClass(mean, covariance, floor, mean_distance_within(real[None])[0])

    return context.once(("real class", name, label), computed)
