"""Small convolutional classifiers: p(class | x) for rewards, and features for two metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.artefacts import Json, read_tensors
from bench.core.types import Random
from bench.numerics.training import Descent, falling_cosine, minimise
from bench.problems.wrapped_reward import KEPT, opened


@dataclass(frozen=True)
class Definition:
    """The definition of a classifier: one with another value gets another name."""

    dataset: str
    x_shape: tuple[int, ...]  # (): of any size
    num_classes: int
    channels: tuple[int, int] = (16, 32)
    num_features: int = 16
    num_steps: int = 1000
    batch_size: int = 128
    rate: float = 4e-3  # of AdamW, falls to zero along half a cosine
    weight_decay: float = 0.025
    # keeps log p(class | x) of a wrong class finite and its slope alive
    label_smoothing: float = 0.05
    # standard deviation added to the training images, data units: p(class | x) changes gently
    noise: float = 0.2


REAL = "real."  # begins the names of stored tensors that are moments of features, not weights
DEFINITIONS = {
    "digits-cnn-v1": Definition("digits", (1, 8, 8), 10),
    # opened by bench/problems/vgg.py
    "cifar10-vgg13_bn": Definition("cifar10", (3, 32, 32), 10),
    "cifar10-vgg13_bn-narrow": Definition("cifar10", (3, 32, 32), 10),
    # opened by bench/problems/wrapped_reward.py
    "ffhq-wrapped": Definition("ffhq", (), 0),
    "ffhq-wrapped-stub": Definition("ffhq", (), 0),
    "fashion-cnn-v1": Definition("fashion", (1, 28, 28), 10),
}


@dataclass(frozen=True, eq=False)
class RealFeatures:
    """Moments of the features of real images of each of K classes, on which the classifier was not trained.

    mean: (K, F). covariance: (K, F, F). floor: (K,), the Frechet distance of training images to these images.
    """

    mean: Tensor
    covariance: Tensor
    floor: Tensor


@dataclass(frozen=True, eq=False)
class Classifier:
    """p(class | x) by two convolutions and two linear maps with SiLU between; weights by name, float32.

    Inputs of any dtype are computed in float32, and results come back in the dtype of the input.
    """

    weights: dict[str, Tensor]
    real: RealFeatures | None = None

    @property
    def num_classes(self) -> int:
        return len(self.weights["head.bias"])

    def features(self, x: Tensor) -> Tensor:
        """Return the activations before the last layer, (n, *x) -> (n, num_features)."""
        return self._features(x).to(x)

    def log_probs(self, x: Tensor) -> Tensor:
        """Return log p(class | x), (n, *x) -> (n, num_classes)."""
        return functional.linear(self._features(x), *self._layer("head")).log_softmax(1).to(x)

    def activations(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs of the two convolutions, (n, *x) -> two of (n, channels, h, w), float32."""
        near = functional.silu(functional.conv2d(x.float(), *self._layer("near"), padding=1))
        return near, functional.silu(
            functional.conv2d(near, *self._layer("far"), padding=1, stride=2)
        )

    def _features(self, x: Tensor) -> Tensor:
        _, far = self.activations(x)
        return functional.silu(functional.linear(far.flatten(1), *self._layer("body")))

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]


def definition_of(name: str) -> Definition:
    if name not in DEFINITIONS:
        raise ValueError(f"classifier: expected one of {', '.join(DEFINITIONS)}, got {name!r}")
    return DEFINITIONS[name]


def classifier_path(root: str | Path, name: str) -> Path:
    return Path(root) / "classifiers" / name / f"{name}.safetensors"


def tensors_of(classifier: Classifier) -> dict[str, Tensor]:
    """Return the tensors of a classifier that are stored: weights, and moments of real features if there are any."""
    real = vars(classifier.real) if classifier.real else {}
    return {**classifier.weights, **{f"{REAL}{name}": part for name, part in real.items()}}


def load_classifier(path: str | Path, device: str | torch.device = "cpu") -> tuple[Any, Json]:
    """Return the classifier stored at `.../<name>.safetensors`, and the file's header."""
    tensors, header = read_tensors(path)
    if (file := Path(path).with_name(KEPT)).is_file():
        reward = opened(file)
        reward.network.to(device)
        return reward, header
    real = {
        name.removeprefix(REAL): part.to(device)
        for name, part in tensors.items()
        if name.startswith(REAL)
    }
    weights = {name: part.to(device) for name, part in tensors.items() if not name.startswith(REAL)}
    moments = RealFeatures(**real) if real else None
    if "classifier.0.weight" in weights:
        from bench.problems.vgg import VGG

        return VGG(weights, moments), header
    return Classifier(weights, moments), header


def untrained(definition: Definition, rng: Random) -> Classifier:
    """Return weights of variance 2 / fan-in (He et al. 2015, https://arxiv.org/abs/1502.01852) and zero biases."""
    (channels, height, width), (near, far) = definition.x_shape, definition.channels
    flat = far * math.ceil(height / 2) * math.ceil(width / 2)
    shapes = {
        "near": (near, channels, 3, 3),
        "far": (far, near, 3, 3),
        "body": (definition.num_features, flat),
        "head": (definition.num_classes, definition.num_features),
    }
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = (2 / math.prod(shape[1:])) ** 0.5 * rng.randn(shape)[0].float()
        weights[f"{name}.bias"] = torch.zeros(shape[0])
    return Classifier(weights)


def trained(definition: Definition, x: Tensor, labels: Tensor, rng: Random) -> Classifier:
    """Train on noisy images x (n, *x), labels (n,), by cross-entropy with smoothed labels; same rng, same bits."""
    classifier = untrained(definition, rng)
    weights = {name: weight.requires_grad_() for name, weight in classifier.weights.items()}
    x, shape = x.float(), (definition.batch_size, *x.shape[1:])

    def loss_at(_: int) -> Tensor:
        rows, noise = rng.randint(len(x), shape[:1])[0], definition.noise * rng.randn(shape)[0]
        log_probs = classifier.log_probs(x[rows] + noise.to(x))
        return functional.cross_entropy(
            log_probs, labels[rows], label_smoothing=definition.label_smoothing
        )

    optimiser = torch.optim.AdamW(weights.values(), weight_decay=definition.weight_decay)
    schedule = falling_cosine(definition.rate, definition.num_steps)
    minimise(loss_at, Descent(optimiser, definition.num_steps, schedule))
    return Classifier({name: weight.detach() for name, weight in weights.items()})
