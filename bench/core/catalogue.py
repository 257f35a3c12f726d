"""Networks that metrics use: which weights each needs, and for which images it is meant.

No import of torch: the plan checks weights before any work, and the metrics `perceptual` and `sets` open the networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.weights import missing, why_absent


@dataclass(frozen=True)
class Network:
    """One network: published `weights` (a name in bench/core/weights.py) or a `classifier` that the workflow trains.

    min_side: pixels along the smallest image that it is for.
    """

    weights: str = ""
    classifier: str = ""
    min_side: int = 1


LPIPS = {
    "lpips-alex-v0.1": Network(weights="alexnet", min_side=32),
    "lpips-vgg-v0.1": Network(weights="vgg16", min_side=32),
}
PERCEPTUAL = {**LPIPS, "percept-digits-v1": Network(classifier="digits-cnn-v1")}
EXTRACTORS = {
    "digits-cnn-v1": Network(classifier="digits-cnn-v1"),
    "inception-v3-compat": Network(weights="inception", min_side=32),
}


def dataset_of(classifier: str) -> str:
    """Return the data set that a classifier is trained on: `digits` of `digits-cnn-v1`."""
    return classifier.partition("-")[0]


def why_unfit(network: Network, dataset: str, side: int) -> str:
    """Return the reason of an empty cell where a network is not for images of a data set; "" when it is."""
    if side < network.min_side:
        return f"n/a (image smaller than {network.min_side})"
    if network.classifier and dataset_of(network.classifier) != dataset:
        return f"n/a ({network.classifier} is a network of {dataset_of(network.classifier)})"
    return ""


def why_closed(network: Network, dataset: str, side: int, offline: bool) -> str:
    """Return `why_unfit`, or in an offline suite that the weights are absent; "" when the network can be opened."""
    return why_unfit(network, dataset, side) or (
        why_absent(network.weights) if offline and network.weights else ""
    )


def weights_wanted(network: Network, dataset: str, side: int) -> str:
    """Return what `bench.core.weights.missing` says of a network that images of a data set need."""
    return (
        missing(network.weights)
        if network.weights and not why_unfit(network, dataset, side)
        else ""
    )
