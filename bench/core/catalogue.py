"""The networks through which metrics look at images: what each needs, and which images it is fit for."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.weights import missing, why_absent


@dataclass(frozen=True)
class Network:
    """weights: published ones, a name in bench/core/weights.py. classifier: one that the workflow trains. Either or none.

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
    """`digits` of `digits-cnn-v1`: the data set that it is trained on."""
    return classifier.partition("-")[0]


def why_unfit(network: Network, dataset: str, side: int) -> str:
    """Why a network is not for images of a data set, as the reason of an empty cell; "" when it is."""
    if side < network.min_side:
        return f"n/a (image smaller than {network.min_side})"
    if network.classifier and dataset_of(network.classifier) != dataset:
        return f"n/a ({network.classifier} is a network of {dataset_of(network.classifier)})"
    return ""


def why_closed(network: Network, dataset: str, side: int, offline: bool) -> str:
    """`why_unfit`, or that its weights are absent, where an offline suite takes that for a reason."""
    return why_unfit(network, dataset, side) or (why_absent(network.weights) if offline and network.weights else "")


def weights_wanted(network: Network, dataset: str, side: int) -> str:
    """What `bench.core.weights` says is missing of a network that images of a data set need; "" when nothing is."""
    return missing(network.weights) if network.weights and not why_unfit(network, dataset, side) else ""
