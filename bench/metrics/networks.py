"""What the columns mean that a network is needed for. No import of torch, as in `definitions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.core.catalogue import LPIPS, PERCEPTUAL
from bench.metrics.metric import Metric

IN_WORDS = {
    "percept-digits-v1": "perceptual distance percept-digits-v1, which is not LPIPS (squared difference of the "
    "activations of both convolutions of classifier digits-cnn-v1, each scaled to unit length over channels, averaged "
    "over positions and summed over the two; images clipped to [-1, 1])",
}
FEATURES_IN_WORDS = {
    "digits-cnn-v1": "the 16 activations before the last layer of classifier digits-cnn-v1",
    "inception-v3-compat": "the 2048 features of torch-fidelity's Inception (2015-12-05), grey images repeated in "
    "three channels",
}
FEWEST_FOR_FID = {"digits-cnn-v1": 250, "inception-v3-compat": 10_000}  # the bias of FID grows as features over images
FEWEST_IN_SET = 8
NEIGHBOURS, NEIGHBOURS_OF_REAL = 3, 5  # of precision and recall, of density and coverage: those of their papers
KID_LEVEL = 0.99  # as in the tables
KID_ENDS = ("kid_low", "kid_high")
STATISTICS: dict[str, tuple[str, Literal["higher", "lower"] | float, str]] = {  # in words, better, unit
    "fid": ("Frechet distance of Gaussians fitted to the features of both", "lower", "features^2"),
    "kid": ("KID, the unbiased squared MMD with kernel (x.y / F + 1)^3, of all images at once", "lower", "1"),
    "precision": (
        f"share of samples that are nearer to some real image than its {NEIGHBOURS}rd nearest neighbour",
        "higher",
        "1",
    ),
    "recall": (
        f"share of real images that are nearer to some sample than its {NEIGHBOURS}rd nearest neighbour",
        "higher",
        "1",
    ),
    "density": (
        f"how many real images a sample is nearer to than their {NEIGHBOURS_OF_REAL}th nearest neighbours, over "
        f"{NEIGHBOURS_OF_REAL}; 1 for equal distributions",
        1.0,
        "1",
    ),
    "coverage": (
        f"share of real images with a sample nearer than their {NEIGHBOURS_OF_REAL}th nearest neighbour",
        "higher",
        "1",
    ),
}
BACKBONES = {"lpips-alex-v0.1": "AlexNet", "lpips-vgg-v0.1": "VGG-16"}


def perceptual_id(name: str) -> str:
    """`lpips-alex-v0.1@[-1,1]`: LPIPS with the range of its input, which other codes get wrong in silence."""
    return f"{name}@[-1,1]" if name in LPIPS else name


def perceptual_metrics(name: str) -> tuple[Metric, ...]:
    """The columns of a perceptual distance, named as in `bench.core.catalogue.PERCEPTUAL`."""
    id, what = perceptual_id(name), _in_words(name)
    return (
        Metric(f"{id}_mean", f"{what} between the mean of the samples and x_true", "lower", needs="operator"),
        Metric(f"{id}_sample", f"mean over samples of the {what} between each and x_true", "lower", needs="operator"),
        Metric(f"{id}_pairwise", f"mean {what} between two samples of one measurement", "higher"),
        Metric(f"{id}_pairwise_ratio", f"{id}_pairwise (mean {what}) over that of exact draws", 1.0, "1", "exact"),
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
    statistic, end = (statistic[:3], statistic[3:]) if statistic in KID_ENDS else (statistic, "")
    return f"{statistic}-{name}-n{num}{end}"


@dataclass(frozen=True)
class Numbers:
    """How many images there are: samples of a task, training images and held-out ones."""

    samples: int
    train: int
    real: int

    @property
    def compared(self) -> dict[str, tuple[int, int]]:
        """Sizes of the two sets that are compared, by what follows the statistic in a column's name."""
        half = self.real // 2
        return {
            "": (self.samples, self.real),
            "_floor_train": (min(self.samples, self.train), self.real),
            "_floor_halves": (half, self.real - half),
        }


def set_metrics(name: str, numbers: Numbers) -> tuple[Metric, ...]:
    """One number per task and run: all its samples against the held-out images, seen by an extractor."""
    where = (
        f"the {numbers.samples} samples of all measurements against {numbers.real} held-out images that no prior was "
        f"trained on, as bytes; features: {FEATURES_IN_WORDS[name]}"
    )
    interval = f"its {KID_LEVEL:.0%} interval: Student's t on a jackknife over measurements and real images"
    ends = f"of the interval of {set_id('kid', name, numbers.samples)}; {interval}"
    words = {
        **{statistic: (f"{what}; {where}", *rest) for statistic, (what, *rest) in STATISTICS.items()},
        "kid": (f"{STATISTICS['kid'][0]}; {where}; {interval}", *STATISTICS["kid"][1:]),
        "kid_low": (f"lower end {ends}", "lower", "1"),
        "kid_high": (f"upper end {ends}", "lower", "1"),
    }
    return tuple(Metric(set_id(statistic, name, numbers.samples), *rest) for statistic, rest in words.items())


def floor_metrics(name: str, numbers: Numbers) -> tuple[Metric, ...]:
    """One number per task, in the rows of the reference: what real images have."""
    metrics = []
    for suffix in ("_floor_train", "_floor_halves"):
        num, others = numbers.compared[suffix]
        whose = f"{num} training images" if suffix == "_floor_train" else f"{num} of the held-out images"
        for statistic, (_, better, unit) in STATISTICS.items():
            what = f"what {whose} have for {statistic}-{name} against {others} held-out ones"
            metrics.append(Metric(set_id(f"{statistic}{suffix}", name, num), what, better, unit))
    return tuple(metrics)


def why_no_set(name: str, numbers: Numbers) -> dict[str, str]:
    """Which of `set_metrics` and `floor_metrics` are refused because there are too few images, and the reason."""
    reasons = {}
    for suffix, sizes in numbers.compared.items():
        if min(sizes) < FEWEST_IN_SET:
            why = f"n/a (fewer than {FEWEST_IN_SET} images)"
            statistics = (*STATISTICS, *(() if suffix else KID_ENDS))
            reasons |= {set_id(f"{statistic}{suffix}", name, sizes[0]): why for statistic in statistics}
        elif min(sizes) < FEWEST_FOR_FID[name]:
            why = f"n/a (FID by {name} needs {FEWEST_FOR_FID[name]} images or more, has {min(sizes)}; see KID)"
            reasons[set_id(f"fid{suffix}", name, sizes[0])] = why
    return reasons
