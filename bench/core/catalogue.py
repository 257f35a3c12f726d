"""Networks that metrics use: which weights each needs, and for which images it is meant.

No import of torch: the plan checks weights before any work, and the metrics `perceptual` and `sets` open the networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.weights import missing, why_absent

ALLOW = "allow"  # absent weights leave cells empty instead of stopping the run
# names of the networks that the workflow trains on any data set: the classifier `<data set>-convnet-v1`, and the
# perceptual distance by its features, `percept-<data set>-v1`
CONVNET = "-convnet-v1"
PERCEPT, VERSION = "percept-", "-v1"


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
# without those named above; the digits have a network of their own
PERCEPTUAL = {**LPIPS, "percept-digits-v1": Network(classifier="digits-cnn-v1")}
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
    """Return `why_unfit`, or that weights are absent where a suite allows that; "" when the network can be opened."""
    return why_unfit(network, dataset, side) or (
        why_absent(network.weights) if absent_weights == ALLOW and network.weights else ""
    )


def weights_wanted(network: Network, dataset: str, side: int) -> str:
    """Return the line of `bench.core.weights.missing` for a network that images of a data set need; "" for none."""
    is_needed = network.weights and not why_unfit(network, dataset, side)
    return missing(network.weights) if is_needed else ""
