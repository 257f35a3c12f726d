"""Perceptual distances to x_true and between samples, by networks: LPIPS, and networks that the workflow trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from bench.core.catalogue import LPIPS, Network, perceptual_network, why_closed
from bench.core.metric import Column, Context, Metric, Truth
from bench.core.weights import placed, unverified
from bench.metrics._embeddings import (
    SMALLEST_DISTANCE,
    Embed,
    classifier_embedding,
    load_lpips,
    lpips_embedding,
    mean_pairwise,
    perceptual_distances,
)
from bench.metrics._spread import ratio

__all__ = ["Perceptual"]

BACKBONES = {"lpips-alex-v0.1": ("alex", "AlexNet"), "lpips-vgg-v0.1": ("vgg", "VGG-16")}
DEFINITIONS = {
    "percept-digits-v1": "perceptual distance percept-digits-v1, which is not LPIPS (squared difference of the "
    "activations of both convolutions of classifier digits-cnn-v1, each scaled to unit length over channels, averaged "
    "over positions and summed over the two; images clipped to [-1, 1])",
}
BY_CONVNET = (
    "perceptual distance {name}, which is not LPIPS (squared difference of the activations of the three convolutions "
    "of {network}, a network trained on the data set to tell its labels, or rotations where it has none; each scaled "
    "to unit length over channels, averaged over positions and summed over the three; images clipped to [-1, 1])"
)


@dataclass(frozen=True)
class Perceptual(Metric):
    """Perceptual distances to x_true and between samples, four columns per network."""

    # lpips-alex-v0.1, lpips-vgg-v0.1, percept-digits-v1, percept-<data set>-v1
    networks: tuple[str, ...] = ()
    # whether absent weights leave cells empty (allow) or stop the run before any work (stop)
    absent_weights: Literal["allow", "stop"] = "allow"

    tiny: ClassVar[Mapping[str, Any]] = {"networks": ("percept-digits-v1",)}

    def __post_init__(self) -> None:
        for name in self.networks:
            _network(name)

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return tuple(
            column
            for name in self.networks
            for column in perceptual_columns(name, self._mark(name, context))
        )

    def prepare(self, context: Context) -> None:
        for name in self._open_names(context):
            _embedding(name, context)

    def why_empty(self, truth: Truth) -> dict[str, str]:
        reasons = {name: self._why_closed(name, truth.context) for name in self.networks}
        return {c.id: why for name, why in reasons.items() if why for c in perceptual_columns(name)}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        values = {}
        for name in self._open_names(truth.context):
            embed = _embedding(name, truth.context)
            id = perceptual_id(name, self._mark(name, truth.context))
            values |= perceptual_distances(samples, truth.x_true, id, embed)
            of_reference = truth.once(
                ("perceptual", id), lambda embed=embed: mean_pairwise(truth.reference, embed)
            )
            values[f"{id}_pairwise_ratio"] = ratio(
                values[f"{id}_pairwise"], of_reference, SMALLEST_DISTANCE
            )
        return values

    def _open_names(self, context: Context) -> list[str]:
        return [name for name in self.networks if not self._why_closed(name, context)]

    def _why_closed(self, name: str, context: Context) -> str:
        return why_closed(_network(name), context.dataset, context.side, self.absent_weights)

    def _mark(self, name: str, context: Context | None) -> str:
        """Return `unverified-...` if the network is open and its weights are not the published ones, else ""."""
        weights = _network(name).weights
        is_open = context and weights and not self._why_closed(name, context)
        return unverified(weights) if is_open else ""


def perceptual_id(name: str, mark: str = "") -> str:
    """Return a network's id; LPIPS has the range of its input, which other code often gets wrong: `lpips-...@[-1,1]`.

    mark: `unverified-...` if the weights are not the published ones, so that it is another distance.
    """
    return f"{name}{mark and f'-{mark}'}@[-1,1]" if name in LPIPS else name


def perceptual_columns(name: str, mark: str = "") -> tuple[Column, ...]:
    """Return the columns of a perceptual distance, named as in `bench.core.catalogue`."""
    id, what = perceptual_id(name, mark), _definition(name, mark)
    sample = f"mean over samples of the {what} between each and x_true"
    over = f"{id}_pairwise (mean {what}) over that of exact draws"
    return (
        Column(
            f"{id}_mean",
            f"{what} between the mean of the samples and x_true",
            "lower",
            needs="operator",
            of_point=True,
        ),
        Column(f"{id}_sample", sample, "lower", needs="operator"),
        Column(f"{id}_pairwise", f"mean {what} between two samples of one measurement", None),
        Column(f"{id}_pairwise_ratio", over, 1.0, "1", "reference"),
    )


def _definition(name: str, mark: str) -> str:
    if classifier := _network(name).classifier:
        return DEFINITIONS.get(name) or BY_CONVNET.format(name=name, network=classifier)
    what = (
        f"LPIPS (package lpips, {BACKBONES[name][1]}, linear heads v0.1; images clipped to [-1, 1], grey ones repeated "
        "in three channels)"
    )
    return (
        f"{what} with unverified weights, which are not the published ones, so no LPIPS,"
        if mark
        else what
    )


def _network(name: str) -> Network:
    network = perceptual_network(name)
    if network is None:
        raise ValueError(f"networks: no such network, {name!r}")
    return network


def _embedding(name: str, context: Context) -> Embed:
    """Return the embedding by a network; raise UserError if its weights are absent."""

    def opened() -> Embed:
        network = _network(name)
        if name in LPIPS:
            return lpips_embedding(load_lpips(BACKBONES[name][0], placed(network.weights)))
        return classifier_embedding(context.load_classifier(network.classifier))

    return context.once(("embedding", name), opened)
