"""Quality of samples for a reward: the reward itself, likeness to real images of the class, and diversity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.distances import mean_distance_within
from bench.numerics.frechet import BLOCK, frechet_in_blocks

__all__ = ["RewardQuality"]

FEATURES = "digits-cnn-v1"  # the classifier of bench/problems/classifier.py
FRECHET, FLOOR = (f"{name}-{FEATURES}-n{BLOCK}" for name in ("frechet", "frechet_floor"))
PAIRWISE = f"pairwise-{FEATURES}"
TOO_FEW = f"n/a (fewer than {BLOCK} samples)"
DEFINITIONS = {
    "log_reward": "mean over samples of log p(class y | x) by the task's classifier, at inverse temperature 1",
    FRECHET: f"Frechet distance of samples, in blocks of {BLOCK}, to held-out images of the class: of Gaussians "
    f"fitted to features of the classifier {FEATURES}. It falls with the size of a block: compare it with the floor",
    FLOOR: f"what the training images of the class have for {FRECHET}",
    PAIRWISE: f"mean Euclidean distance between the features (of classifier {FEATURES}) of two samples of one "
    "measurement",
}


class RealFeatures(Protocol):
    """Moments of the features of real images of a class, and the distance of other real images to them."""

    mean: Tensor  # (m, F)
    covariance: Tensor  # (m, F, F)
    floor: Tensor  # (m,)


class Reward(Protocol):
    """The part of a reward that is used here, row by row."""

    def log_reward(self, x: Tensor, y: Tensor) -> Tensor: ...  # (n,)
    def features(self, x: Tensor) -> Tensor: ...  # (n, F)
    def real_features(self, y: Tensor) -> RealFeatures: ...


@dataclass(frozen=True)
class RewardQuality(Metric):
    """Log reward, Frechet distance to real images of the class, and distance between samples, by a classifier."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "log_reward",
                DEFINITIONS["log_reward"],
                "higher",
                "nats",
                "reward",
                of_point=True,
            ),
            Column(
                FRECHET, DEFINITIONS[FRECHET], "lower", "features^2", "reward", not_finite=TOO_FEW
            ),
            Column(FLOOR, DEFINITIONS[FLOOR], "lower", "features^2", "reward", not_finite=TOO_FEW),
            Column(PAIRWISE, DEFINITIONS[PAIRWISE], "higher", "features", "reward"),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        reward, s, rows = cast(Reward, truth.problem), samples.shape[1], samples.flatten(0, 1)
        features, real = reward.features(rows).unflatten(0, (-1, s)), reward.real_features(truth.y)
        log_reward = reward.log_reward(rows, truth.y.repeat_interleave(s, 0))
        return {
            "log_reward": log_reward.unflatten(0, (-1, s)).mean(1),
            FRECHET: frechet_in_blocks(features, real.mean, real.covariance),
            FLOOR: real.floor,
            PAIRWISE: mean_distance_within(features),
        }
