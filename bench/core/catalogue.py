"""Networks that metrics use: which weights each needs, and for which images it is meant.

No import of torch: the plan checks weights before any work, and the metrics `perceptual` and `sets` open the networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.weights import missing, why_absent

ALLOW = "allow"  # absent weights leave cells empty instead of stopping the run
CONVNET = "-convnet-v1"  # ends the name of a network that is trained on the data set before it, whatever it is
PERCEPT, VERSION = (
    "percept-",
    "-v1",
)  # around the data set in the name of the perceptual distance by such a network


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
# beside these there is `percept-<data set>-v1` for every data set
PERCEPTUAL = {**LPIPS, "percept-digits-v1": Network(classifier="digits-cnn-v1")}
# beside these there is `<data set>-convnet-v1` for every data set
EXTRACTORS = {
    "digits-cnn-v1": Network(classifier="digits-cnn-v1"),
    "inception-v3-compat": Network(weights="inception", min_side=32),
}


def perceptual_network(name: str) -> Network | None:
    """Return the network of a perceptual distance, None where there is no such distance."""
    dataset = name.removeprefix(PERCEPT).removesuffix(VERSION)
    if name not in PERCEPTUAL and dataset and name == f"{PERCEPT}{dataset}{VERSION}":
        return Network(classifier=f"{dataset}{CONVNET}")
    return PERCEPTUAL.get(name)


def extractor_network(name: str) -> Network | None:
    """Return the network of an extractor of features, None where there is no such extractor."""
    return Network(classifier=name) if is_convnet(name) else EXTRACTORS.get(name)


def is_convnet(classifier: str) -> bool:
    """Return whether a network is one that the workflow trains on any data set (bench/problems/convnet.py)."""
    return classifier.endswith(CONVNET) and classifier != CONVNET


def dataset_of(classifier: str) -> str:
    """Return the data set that a classifier is trained on: `digits` of `digits-cnn-v1`."""
    if is_convnet(classifier):
        return classifier.removesuffix(CONVNET)
    return classifier.partition("-")[0]


def why_unfit(network: Network, dataset: str, side: int) -> str:
    """Return the reason of an empty cell where a network is not for images of a data set; "" when it is."""
    if side < network.min_side:
        return f"n/a (image smaller than {network.min_side})"
    if network.classifier and dataset_of(network.classifier) != dataset:
        return f"n/a ({network.classifier} is a network of {dataset_of(network.classifier)})"
    return ""


def why_closed(network: Network, dataset: str, side: int, absent_weights: str) -> str:
    """Return `why_unfit`, or where that is allowed that the weights are absent; "" when the network can be opened."""
    return why_unfit(network, dataset, side) or (
        why_absent(network.weights) if absent_weights == ALLOW and network.weights else ""
    )


def weights_wanted(network: Network, dataset: str, side: int) -> str:
    """Return what `bench.core.weights.missing` says of a network that images of a data set need."""
    return (
        missing(network.weights)
        if network.weights and not why_unfit(network, dataset, side)
        else ""
    )
