"""What the columns mean that a network is needed for. No import of torch, as in `definitions`."""

from __future__ import annotations

from collections.abc import Iterator

from bench.metrics.definitions import Metric
from bench.plan.networks import LPIPS, PERCEPTUAL

IN_WORDS = {
    "percept-digits-v1": "perceptual distance percept-digits-v1, which is not LPIPS (squared difference of the "
    "activations of both convolutions of classifier digits-cnn-v1, each scaled to unit length over channels, averaged "
    "over positions and summed over the two; images clipped to [-1, 1])",
}
FEATURES_IN_WORDS = {
    "digits-cnn-v1": "the 16 activations before the last layer of classifier digits-cnn-v1",
    "inception-v3-compat": "the 2048 features of torch-fidelity's Inception (2015-12-05), grey images repeated in three "
    "channels",
}
FEWEST_FOR_FID = {"digits-cnn-v1": 250, "inception-v3-compat": 10_000}  # the bias of FID grows as features over images
FEWEST_IN_SET = 8
NEIGHBOURS, NEIGHBOURS_OF_REAL = 3, 5  # of precision and recall, of density and coverage: those of their papers
KID_LEVEL = 0.99  # as in the tables
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


def set_id(statistic: str, name: str, num: int) -> str:
    """`fid-digits-cnn-v1-n1024`; the ends of an interval have their name last, `kid-digits-cnn-v1-n1024_low`."""
    for end in ("_low", "_high"):
        if statistic.endswith(end):
            return f"{statistic.removesuffix(end)}-{name}-n{num}{end}"
    return f"{statistic}-{name}-n{num}"


def set_metrics(name: str, num: int, num_train: int, num_real: int) -> tuple[Metric, ...]:
    """One number per task and run: of `num` samples against `num_real` held-out images, and floors of both kinds."""
    floors = (("train", min(num, num_train), num_real), ("halves", num_real // 2, num_real - num_real // 2))
    return (
        *_set_metrics(name, num, num_real),
        *(metric for floor in floors for metric in _floor_metrics(name, *floor)),
    )


def why_no_set(name: str, num: int, num_train: int, num_real: int) -> dict[str, str]:
    """Which of `set_metrics` are refused because there are too few images, and the reason."""
    reasons = {}
    for suffix, images, others in (
        ("", num, num_real),
        ("_floor_train", min(num, num_train), num_real),
        ("_floor_halves", num_real // 2, num_real - num_real // 2),
    ):
        smallest = min(images, others)
        if smallest < FEWEST_IN_SET:
            statistics = (*_STATISTICS, *(() if suffix else ("kid_low", "kid_high")))
            why = f"n/a (fewer than {FEWEST_IN_SET} images)"
            reasons |= {set_id(f"{statistic}{suffix}", name, images): why for statistic in statistics}
        elif smallest < FEWEST_FOR_FID[name]:
            why = f"n/a (FID by {name} needs {FEWEST_FOR_FID[name]} images or more, has {smallest}; see KID)"
            reasons[set_id(f"fid{suffix}", name, images)] = why
    return reasons


_STATISTICS = {
    "fid": ("Frechet distance of Gaussians fitted to the features of both", "lower", "features^2"),
    "kid": ("KID, the unbiased squared MMD with kernel (x.y / F + 1)^3, of all images at once", "lower", "1"),
    "precision": (f"share of the samples within the {NEIGHBOURS} nearest neighbours' reach of a real image", "higher", "1"),
    "recall": (f"share of the real images within the {NEIGHBOURS} nearest neighbours' reach of a sample", "higher", "1"),
    "density": (f"how many real neighbourhoods ({NEIGHBOURS_OF_REAL} neighbours) a sample is in, over "
                f"{NEIGHBOURS_OF_REAL}; 1 for equal distributions", 1.0, "1"),
    "coverage": (f"share of the real neighbourhoods ({NEIGHBOURS_OF_REAL} neighbours) with a sample inside", "higher", "1"),
}


def _set_metrics(name: str, num: int, num_real: int) -> Iterator[Metric]:
    where = (
        f"the {num} samples of all measurements against {num_real} held-out images that no prior was trained on, "
        f"as bytes; features: {FEATURES_IN_WORDS[name]}"
    )
    for statistic, (what, better, unit) in _STATISTICS.items():
        yield Metric(set_id(statistic, name, num), f"{what}; {where}", better, unit)
        if statistic == "kid":
            ends = f"of the {KID_LEVEL:.0%} interval of {set_id(statistic, name, num)}: Student's t, jackknife over "
            ends += "measurements and over real images"
            yield Metric(set_id("kid_low", name, num), f"lower end {ends}", better, unit)
            yield Metric(set_id("kid_high", name, num), f"upper end {ends}", better, unit)


def _floor_metrics(name: str, floor: str, num: int, num_real: int) -> Iterator[Metric]:
    whose = {"train": f"{num} training images", "halves": f"half of the held-out images, {num},"}[floor]
    others = {"train": f"all {num_real} held-out images", "halves": f"the other half, {num_real}"}[floor]
    for statistic, (_, better, unit) in _STATISTICS.items():
        what = f"what {whose} have for {statistic}-{name} against {others}"
        yield Metric(set_id(f"{statistic}_floor_{floor}", name, num), what, better, unit)
