"""What the columns mean that a network is needed for. No import of torch, as in `definitions`."""

from __future__ import annotations

from bench.metrics.definitions import Metric
from bench.plan.networks import LPIPS, PERCEPTUAL

IN_WORDS = {
    "percept-digits-v1": "perceptual distance percept-digits-v1, which is not LPIPS (squared difference of the "
    "activations of both convolutions of classifier digits-cnn-v1, each scaled to unit length over channels, averaged "
    "over positions and summed over the two; images clipped to [-1, 1])",
}
BACKBONES = {"lpips-alex-v0.1": "AlexNet", "lpips-vgg-v0.1": "VGG-16"}


def perceptual_id(name: str) -> str:
    """`lpips-alex-v0.1@[-1,1]`: LPIPS with the range of its input, which other codes get wrong in silence."""
    return f"{name}@[-1,1]" if name in LPIPS else name


def perceptual_metrics(name: str) -> tuple[Metric, ...]:
    """The three columns of a perceptual distance, named as in `bench.plan.networks.PERCEPTUAL`."""
    id, what = perceptual_id(name), _in_words(name)
    return (
        Metric(f"{id}_mean", f"{what} between the mean of the samples and x_true", "lower", needs="operator"),
        Metric(f"{id}_sample", f"mean over samples of the {what} between each and x_true", "lower", needs="operator"),
        Metric(f"{id}_pairwise", f"mean {what} between two samples of one measurement", "higher"),
    )


def _in_words(name: str) -> str:
    if PERCEPTUAL[name].classifier:
        return IN_WORDS[name]
    return (
        f"LPIPS (package lpips, {BACKBONES[name]}, linear heads v0.1; images clipped to [-1, 1], grey ones repeated in "
        "three channels)"
    )
