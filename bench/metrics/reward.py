"""Quality of samples for a reward: the reward itself, likeness to real images of the class, and diversity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.distances import mean_distance_within
from bench.numerics.frechet import BLOCK, frechet_in_blocks

__all__ = ["RewardQuality"]

# the classifiers of bench/problems/classifier.py by data set; other data sets have the columns of the first, empty
CLASSIFIERS = {"digits": "digits-cnn-v1", "fashion": "fashion-cnn-v1"}
CLASSIFIERS |= {"cifar10": "cifar10-vgg13_bn", "ffhq": "ffhq-wrapped"}
NO_REAL = "n/a (a reward that knows no images of a class)"
TOO_FEW = f"n/a (fewer than {BLOCK} samples)"
LOG_REWARD = (
    "mean over samples of log p(class y | x) by the task's classifier, at inverse temperature 1"
)


class RealFeatures(Protocol):
    """Moments of the features of real images of a class, and the distance of other real images to them."""

    mean: Tensor  # (m, F)
    covariance: Tensor  # (m, F, F)
    floor: Tensor  # (m,)


class Reward(Protocol):
    """The functions of a reward that are used here; rows are independent."""

    def log_reward(self, x: Tensor, y: Tensor) -> Tensor: ...  # (n,)
    def features(self, x: Tensor) -> Tensor: ...  # (n, F)
    def real_features(self, y: Tensor) -> RealFeatures: ...


@dataclass(frozen=True)
class RewardQuality(Metric):
    """Log reward, Frechet distance to real images of the class, and distance between samples, by a classifier."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        classifier = classifier_of(context)
        frechet, floor, pairwise = ids_of(context)
        distance = (
            f"Frechet distance of samples, in blocks of {BLOCK}, to held-out images of the class: of Gaussians "
            f"fitted to features of the classifier {classifier}. It falls with the size of a block: compare it with "
            "the floor"
        )
        between = (
            f"mean Euclidean distance between the features (of classifier {classifier}) of two samples of one "
            "measurement"
        )
        of_real = f"what the training images of the class have for {frechet}"
        unit, refused = "features^2", TOO_FEW
        return (
            Column("log_reward", LOG_REWARD, "higher", "nats", "reward", of_point=True),
            Column(frechet, distance, "lower", unit, "reward", not_finite=refused),
            Column(floor, of_real, "lower", unit, "reward", not_finite=refused),
            Column(pairwise, between, "higher", "features", "reward"),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        reward, s, rows = cast(Reward, truth.problem), samples.shape[1], samples.flatten(0, 1)
        features = reward.features(rows).unflatten(0, (-1, s))
        log_reward = reward.log_reward(rows, truth.y.repeat_interleave(s, 0))
        frechet, floor, pairwise = ids_of(truth.context)
        values = {
            "log_reward": log_reward.unflatten(0, (-1, s)).mean(1),
            pairwise: mean_distance_within(features),
        }
        if not _knows_images(truth):
            return values
        real = reward.real_features(truth.y)
        distance = frechet_in_blocks(features, real.mean, real.covariance)
        return values | {frechet: distance, floor: real.floor}

    def why_empty(self, truth: Truth) -> dict[str, str]:
        frechet, floor, _ = ids_of(truth.context)
        is_reward = hasattr(truth.problem, "classifier")
        return {frechet: NO_REAL, floor: NO_REAL} if is_reward and not _knows_images(truth) else {}


def _knows_images(truth: Truth) -> bool:
    """Return whether a task's reward has features of real images."""
    classifier = getattr(truth.problem, "classifier", None)
    return classifier is None or getattr(classifier, "real", None) is not None


def classifier_of(context: Context | None) -> str:
    """Return the name of the classifier of a task's data set."""
    return CLASSIFIERS.get(context.dataset if context else "", CLASSIFIERS["digits"])


def ids_of(context: Context | None) -> tuple[str, str, str]:
    """Return the names of the columns by features: distance, floor, distance between samples."""
    name = classifier_of(context)
    return f"frechet-{name}-n{BLOCK}", f"frechet_floor-{name}-n{BLOCK}", f"pairwise-{name}"
