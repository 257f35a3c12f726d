"""All samples of a task as one set, against held-out real images: FID, KID, precision, recall, density and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from bench.core.catalogue import Network, extractor_network, is_convnet, why_closed
from bench.core.metric import Column, Context, Metric, Truth
from bench.core.weights import UNVERIFIED, placed, unverified
from bench.metrics._extractors import Extract, open_extractor, open_inception, register
from bench.metrics._set_statistics import (
    FEWEST_IN_SET,
    KID_ENDS,
    KID_LEVEL,
    NEIGHBOURS,
    NEIGHBOURS_OF_REAL,
    compare,
)

__all__ = ["Sets"]

FEATURES = {
    "digits-cnn-v1": "the 16 activations before the last layer of classifier digits-cnn-v1",
    "inception-v3-compat": "the 2048 features of torch-fidelity's Inception (2015-12-05), grey images repeated in "
    "three channels",
}
OF_CONVNET = (
    "the 64 activations before the last layer of {name}, a network trained on the data set to tell its labels, or "
    "rotations where it has none"
)
# the bias of FID grows as features over images; each has its number of images in its name
FEWEST_FOR_FID = {"digits-cnn-v1": 250}
FEWEST_FOR_OTHER_FID = 1000
MOST_REAL = 10_000  # held-out images that samples are compared with, the first ones
NOT_HELD_OUT = "n/a (no image was held out: the prior has them all)"
ONE_MEASUREMENT = "n/a (one measurement: no interval)"
Better = Literal["higher", "lower"] | float
STATISTICS: dict[str, tuple[str, Better, str]] = {  # definition, better, unit
    "fid": ("Frechet distance of Gaussians fitted to the features of both", "lower", "features^2"),
    "kid": (
        "KID, the unbiased squared MMD with kernel (x.y / F + 1)^3, of all images at once",
        "lower",
        "1",
    ),
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
        (
            f"how many real images a sample is nearer to than their {NEIGHBOURS_OF_REAL}th nearest neighbours, over "
            f"{NEIGHBOURS_OF_REAL}; 1 for equal distributions"
        ),
        1.0,
        "1",
    ),
    "coverage": (
        f"share of real images with a sample nearer than their {NEIGHBOURS_OF_REAL}th nearest neighbour",
        "higher",
        "1",
    ),
}


@dataclass(frozen=True)
class Sets(Metric):
    """Eight columns per extractor of features, and for six of them the values of real images."""

    # digits-cnn-v1, inception-v3-compat, <data set>-convnet-v1
    extractors: tuple[str, ...] = ()
    # whether absent weights leave cells empty (allow) or stop the run before any work (stop)
    absent_weights: Literal["allow", "stop"] = "allow"

    tiny: ClassVar[Mapping[str, Any]] = {"extractors": ("digits-cnn-v1",)}

    def __post_init__(self) -> None:
        for name in self.extractors:
            _network(name)

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        counts = Counts.of(context) if self.extractors and context else Counts(1024, 1000, 500)
        labels = [self._label(name, context) for name in self.extractors]
        makers = (sample_columns, floor_columns)
        return tuple(
            column for make in makers for label in labels for column in make(label, counts)
        )

    def prepare(self, context: Context) -> None:
        for name in self._open_names(context):
            self._real_images(name, context)

    def why_empty(self, truth: Truth) -> dict[str, str]:
        reasons = {}
        for name in self.extractors:
            counts, why = Counts.of(truth.context), self._why_closed(name, truth.context)
            label = self._label(name, truth.context)
            columns = (*sample_columns(label, counts), *floor_columns(label, counts))
            reasons |= (
                dict.fromkeys((c.id for c in columns), why) if why else why_too_few(label, counts)
            )
        return reasons

    def summarise(
        self, samples: Tensor, values: dict[str, Tensor], context: Context
    ) -> dict[str, float]:
        opened = [self._real_images(name, context) for name in self._open_names(context)]
        return {
            id: value for real in opened for id, value in compare_samples(samples, real).items()
        }

    def real_images(self, context: Context) -> dict[str, float]:
        opened = [self._real_images(name, context) for name in self._open_names(context)]
        return {id: value for real in opened for id, value in real.floors.items()}

    def _open_names(self, context: Context) -> list[str]:
        return [name for name in self.extractors if not self._why_closed(name, context)]

    def _why_closed(self, name: str, context: Context) -> str:
        closed = why_closed(_network(name), context.dataset, context.side, self.absent_weights)
        return closed or (NOT_HELD_OUT if "atoms" in _images(context) else "")

    def _label(self, name: str, context: Context | None) -> str:
        """Return the extractor's name in columns, marked if its weights are not the published ones."""
        weights = _network(name).weights
        is_open = context and weights and not self._why_closed(name, context)
        mark = unverified(weights) if is_open else ""
        return f"{name}-{mark}" if mark else name

    def _real_images(self, name: str, context: Context) -> RealImages:
        """Return the real images of a task by an extractor; raise UserError if its weights are absent."""

        def opened() -> RealImages:
            images, network = _images(context), _network(name)
            if network.weights:
                extract = open_inception(placed(network.weights))
            else:
                register(name, context.load_classifier(network.classifier).features)
                extract = open_extractor(name)
            num = context.num_measurements * context.num_samples
            label, held_out = self._label(name, context), held_out_of(images)
            return compare_with_floors(label, extract, held_out, images["train"], num)

        return context.once(("real images", name), opened)


@dataclass(frozen=True)
class Counts:
    """Numbers of images: samples of a task, training images and held-out ones."""

    samples: int
    train: int
    real: int

    @classmethod
    def of(cls, context: Context) -> Counts:
        """Return the counts of a task."""
        images = _images(context)
        num_samples, num_real = (
            context.num_measurements * context.num_samples,
            sum(map(len, held_out_of(images))),
        )
        return cls(num_samples, len(images["train"]), num_real)

    @property
    def compared(self) -> dict[str, tuple[int, int]]:
        """Return the sizes of the two sets that are compared, by the suffix of a column's name."""
        half = self.real // 2
        return {
            "": (self.samples, self.real),
            "_floor_train": (min(self.samples, self.train), self.real),
            "_floor_halves": (half, self.real - half),
        }


@dataclass(frozen=True, eq=False)
class RealImages:
    """Features (R, F) of held-out images by an extractor; `floors`: statistics of other real images against them."""

    name: str
    extract: Extract
    features: Tensor
    floors: dict[str, float]


def column_id(statistic: str, name: str, num: int) -> str:
    """Return `fid-digits-cnn-v1-n1024`; ends of an interval come last, `kid-digits-cnn-v1-n1024_low`."""
    statistic, end = (statistic[:3], statistic[3:]) if statistic in KID_ENDS else (statistic, "")
    return f"{statistic}-{name}-n{num}{end}"


def sample_columns(name: str, counts: Counts) -> tuple[Column, ...]:
    """Return the columns of one number per task and run: all its samples by an extractor."""
    where = (
        f"the {counts.samples} samples of all measurements against {counts.real} held-out images that no prior was "
        f"trained on, as bytes; features: {_features(name)}"
    )
    interval = f"its {KID_LEVEL:.0%} interval: Student's t on a jackknife over measurements and real images"
    ends = f"of the interval of {column_id('kid', name, counts.samples)}; {interval}"
    columns = []
    for statistic, (what, better, unit) in STATISTICS.items():
        definition = f"{what}; {where}" + (f"; {interval}" if statistic == "kid" else "")
        columns.append(
            _task_column(column_id(statistic, name, counts.samples), definition, better, unit)
        )
    for statistic, end in zip(KID_ENDS, ("lower", "upper"), strict=True):
        columns.append(
            _task_column(
                column_id(statistic, name, counts.samples), f"{end} end {ends}", "lower", "1"
            )
        )
    return tuple(columns)


def _task_column(id: str, definition: str, better: Better, unit: str) -> Column:
    return Column(id, definition, better, unit, extent="task", not_finite=ONE_MEASUREMENT)


def floor_columns(name: str, counts: Counts) -> tuple[Column, ...]:
    """Return the columns of one number per task, in the rows of the reference: the values of real images."""
    columns = []
    for suffix in ("_floor_train", "_floor_halves"):
        num, others = counts.compared[suffix]
        whose = (
            f"{num} training images"
            if suffix == "_floor_train"
            else f"{num} of the held-out images"
        )
        for statistic, (_, better, unit) in STATISTICS.items():
            what = f"what {whose} have for {statistic}-{name} against {others} held-out ones"
            id = column_id(f"{statistic}{suffix}", name, num)
            columns.append(
                Column(id, what, better, unit, extent="real images", not_finite=ONE_MEASUREMENT)
            )
    return tuple(columns)


def why_too_few(name: str, counts: Counts) -> dict[str, str]:
    """Return reasons by id for the columns that have no number because there are too few images."""
    reasons = {}
    for suffix, sizes in counts.compared.items():
        if min(sizes) < FEWEST_IN_SET:
            why = f"n/a (fewer than {FEWEST_IN_SET} images)"
            statistics = (*STATISTICS, *(() if suffix else KID_ENDS))
            reasons |= {
                column_id(f"{statistic}{suffix}", name, sizes[0]): why for statistic in statistics
            }
        elif min(sizes) < fewest_for_fid(name):
            why = f"n/a (FID by {name} needs {fewest_for_fid(name)} images or more, has {min(sizes)}; see KID)"
            reasons[column_id(f"fid{suffix}", name, sizes[0])] = why
    return reasons


def compare_with_floors(
    name: str,
    extract: Extract,
    held_out: Tensor | Sequence[Tensor],
    train: Tensor,
    num: int,
) -> RealImages:
    """Return the features of real images, and the floors of sets of `num` images.

    held_out: (R, *x), or parts of it: images on which no prior was trained. train: (T, *x): images on which priors were
    trained. The floors compare `num` training images (or all) with the held-out ones, and one half of the held-out ones
    with the other half. Images are read in chunks.
    """
    parts = [held_out] if isinstance(held_out, Tensor) else held_out
    real, trained_on = torch.cat([extract(x) for x in parts if len(x)]), extract(train[:num])
    half = len(real) // 2
    sets = {"train": (trained_on, real), "halves": (real[:half], real[half:])}
    floors = {
        column_id(f"{statistic}_floor_{floor}", name, len(one)): value
        for floor, (one, other) in sets.items()
        for statistic, value in compare(one[:, None], other, fewest_for_fid(name)).items()
        if statistic not in KID_ENDS
    }
    return RealImages(name, extract, real, floors)


def compare_samples(samples: Tensor, real: RealImages) -> dict[str, float]:
    """Return statistics of all samples of a task (m, s, *x) against real images, by the ids of `sample_columns`.

    FID is left out below its smallest number of images, and all statistics below FEWEST_IN_SET.
    """
    features = torch.stack([real.extract(x) for x in samples])
    num = features.shape[0] * features.shape[1]
    values = compare(features, real.features, fewest_for_fid(real.name))
    return {column_id(statistic, real.name, num): value for statistic, value in values.items()}


def fewest_for_fid(name: str) -> int:
    """Return the number of images that FID needs in each set, with an extractor."""
    return FEWEST_FOR_FID.get(name, FEWEST_FOR_OTHER_FID)


def held_out_of(images: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the test and validation images with which samples are compared, at most MOST_REAL."""
    test = images["test"][:MOST_REAL]
    return test, images["validation"][: MOST_REAL - len(test)]


def _features(name: str) -> str:
    return (
        OF_CONVNET.format(name=name)
        if is_convnet(name)
        else FEATURES[name.partition(f"-{UNVERIFIED}")[0]]
    )


def _network(name: str) -> Network:
    network = extractor_network(name)
    if network is None:
        raise ValueError(f"extractors: no such network, {name!r}")
    return network


def _images(context: Context) -> Mapping[str, Tensor]:
    return context.once("images", context.load_images)
