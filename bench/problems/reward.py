"""A reward in place of a measurement: y is a class, and r(x, y) = p(class y | x)^beta by a classifier.

Class-conditional generation, the constraint of Venkatraman et al. 2025, https://arxiv.org/abs/2502.06999 (Table 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.rng import Rng
from bench.core.types import Cap, Problem, Shape
from bench.core.values import is_positive
from bench.problems.classifier import Classifier, RealFeatures, definition_of
from bench.problems.inverse_problem import PosteriorSampler

NAME = "class"  # in a suite, in place of an operator's name


@dataclass(frozen=True)
class Reward:
    """Posterior p(x | y) proportional to p(x) p(class y | x)^beta. Rows x (n, *x), and y (n, 1, 1, K) one-hot.

    beta: inverse temperature. With differentiable = False the reward is a black box: no gradient passes and the
    capability GRAD is not there. There is no operator, no residual and no sigma_y.
    """

    classifier: Classifier
    beta: float
    x_shape: Shape
    differentiable: bool = True
    posterior: PosteriorSampler | None = None

    def __post_init__(self) -> None:
        if not is_positive(self.beta):
            raise ValueError(f"beta must be a positive number, got {self.beta!r}")

    @property
    def y_shape(self) -> Shape:
        return (1, 1, self.classifier.num_classes)

    @property
    def caps(self) -> Cap:
        caps = Cap.SIMULATE | (Cap.GRAD if self.differentiable else Cap.NONE)
        return caps | (Cap.NONE if self.posterior is None else Cap.EXACT)

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log r(x, y) = beta log p(class y | x), (n,)."""
        with nullcontext() if self.differentiable else torch.no_grad():
            return self.beta * self.log_reward(x, y)

    def log_reward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(class y | x), (n,), at beta = 1: the number that the paper's tables report."""
        return (self.classifier.log_probs(x) * y.flatten(1)).sum(1)

    def simulate(self, x: Tensor, rng: Rng) -> Tensor:
        """Draw a class for each row, with probability p(class | x)^beta over its sum; row i k + j of m k has stream i.

        At beta = 1 pairs (x, y) with x from the prior follow the joint law of p(x | y). At any other beta they do not,
        since the sum varies with x. That is right for training that only needs every class to occur in y, as in ODS and
        reverse KL, and wrong for training that takes x for a draw from p(x | y).
        """
        if len(x) % len(rng):
            raise ValueError(
                f"simulate: {len(x)} rows cannot be shared evenly by {len(rng)} random streams"
            )
        with torch.no_grad():
            shares = (self.beta * self.classifier.log_probs(x)).softmax(1).cumsum(1)
        uniform = rng.rand((len(x) // len(rng),)).flatten().to(x)
        classes = torch.searchsorted(shares, uniform[:, None])[:, 0].clamp_max(shares.shape[1] - 1)
        return one_hot(classes, self.classifier.num_classes).to(x)

    def sample_posterior(self, y: Tensor, num_samples: int, rng: Rng) -> Tensor:
        """Draw from p(x | y), (m, *y) -> (m, num_samples, *x). Needs Cap.EXACT."""
        if self.posterior is None:
            raise ValueError(
                "sample_posterior: this problem knows no exact posterior (its caps lack EXACT)"
            )
        return self.posterior.sample(y, num_samples, rng)

    def features(self, x: Tensor) -> Tensor:
        """Return the classifier's features of images, (n, *x) -> (n, F)."""
        return self.classifier.features(x)

    def real_features(self, y: Tensor) -> RealFeatures:
        """Return moments and floor of the features of real images of the classes y (m, *y): (m, F), (m, F, F), (m,)."""
        classes, real = y.flatten(1).argmax(1), self.classifier.real
        if real is None:
            raise ValueError(
                "real_features: this classifier was stored without features of real images"
            )
        return RealFeatures(
            *(part[classes].to(y) for part in (real.mean, real.covariance, real.floor))
        )


def one_hot(classes: Tensor, num_classes: int) -> Tensor:
    """Return y (n, 1, 1, K) float32 of classes (n,): a strip of K pixels, one of them 1, the others 0."""
    return functional.one_hot(classes, num_classes).float()[:, None, None]


def with_gradients(problem: Problem) -> Problem:
    """Return the problem with gradients: a reward that is a black box to methods need not be one to the reference."""
    return replace(problem, differentiable=True) if isinstance(problem, Reward) else problem


def check_reward(parameters: Mapping[str, object], x_shape: Shape) -> None:
    """Raise ValueError, one line, when no classifier has that name or it is not for images (c, h, w) of that shape."""
    unknown = set(parameters) - {"classifier", "beta", "differentiable"}
    if unknown or not {"classifier", "beta"} <= set(parameters):
        names = ", ".join(parameters)
        raise ValueError(
            f"parameters of {NAME}: expected classifier, beta and perhaps differentiable, got {names}"
        )
    name = str(parameters["classifier"])
    definition = definition_of(name)
    if definition.x_shape and tuple(x_shape) != definition.x_shape:
        raise ValueError(
            f"classifier {name} is for images {definition.x_shape}, got {tuple(x_shape)}"
        )
    if not is_positive(parameters["beta"]):
        raise ValueError(f"beta must be a positive number, got {parameters['beta']!r}")
