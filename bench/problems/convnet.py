"""A network whose activations and features metrics use for images of a data set that no published network is for.

It is trained to predict the labels of the data set (classes, photographs); where there are none, the number of quarter
turns by which an image was rotated (Gidaris et al. 2018, https://arxiv.org/abs/1803.07728).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.artefacts import read_tensors
from bench.core.types import Random, Shape
from bench.numerics.training import Descent, falling_cosine, minimise


@dataclass(frozen=True)
class Definition:
    """The definition of the network: one with another value gets another name."""

    channels: tuple[int, ...] = (16, 32, 64)  # of convolutions of 3 x 3, the first one of 5 x 5
    halved_from: int = 24  # pixels along an image from which the first convolution halves it, too
    grid: int = 4  # places along each axis at which the last convolution is averaged
    num_features: int = 64
    num_steps: int = 300
    batch_size: int = 128
    rate: float = 4e-3  # of AdamW, falls to zero along half a cosine
    weight_decay: float = 0.025
    label_smoothing: float = 0.05
    noise: float = 0.1  # standard deviation added to the training images, data units


DEFINITION = Definition()
IMAGES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class ConvNet:
    """Convolutions that halve the image, two linear maps, SiLU between; weights by name, float32."""

    weights: dict[str, Tensor]

    def activations(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the convolutions, (n, *x) -> maps (n, channels, h, w), float32."""
        maps, x = [], x.float()
        for i in range(len(DEFINITION.channels)):
            stride = 1 if i == 0 and min(x.shape[-2:]) < DEFINITION.halved_from else 2
            weight, bias = self._layer(f"conv{i}")
            size = weight.shape[-1] // 2
            x = functional.silu(functional.conv2d(x, weight, bias, padding=size, stride=stride))
            maps.append(x)
        return maps

    def features(self, x: Tensor) -> Tensor:
        """Return the activations before the last layer, (n, *x) -> (n, num_features)."""
        return self._features(x).to(x)

    def log_probs(self, x: Tensor) -> Tensor:
        """Return log p(label | x), (n, *x) -> (n, labels)."""
        return functional.linear(self._features(x), *self._layer("head")).log_softmax(1).to(x)

    def _features(self, x: Tensor) -> Tensor:
        places = functional.adaptive_avg_pool2d(self.activations(x)[-1], DEFINITION.grid)
        return functional.silu(functional.linear(places.flatten(1), *self._layer("body")))

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]


def load_convnet(path: str | Path) -> ConvNet:
    """Return the network stored at `.../<name>.safetensors`."""
    return ConvNet(read_tensors(path)[0])


def labels_of(data: Mapping[str, Tensor], part: str) -> Tensor | None:
    """Return the labels (n,) of a part of a data set; None where training images have none, or all the same one."""
    labels = data.get("train_label")
    return None if labels is None or labels.unique().numel() < 2 else data[f"{part}_label"]


def num_told(x_shape: Shape, labels: Tensor | None) -> int:
    """Return the number of labels to predict; without labels, four rotations of square images, two of others."""
    if labels is not None:
        return int(labels.max()) + 1
    return 4 if x_shape[-1] == x_shape[-2] else 2


def turned(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return images (n, *x), image i rotated by i mod 4 quarter turns (i mod 2 half turns), and these numbers (n,)."""
    num = num_told(tuple(x.shape[1:]), None)
    labels = torch.arange(len(x)) % num
    rotated = torch.empty_like(x)
    for k in range(num):
        rotated[labels == k] = torch.rot90(x[labels == k], k * 4 // num, (-2, -1))
    return rotated, labels


def untrained(x_shape: Shape, num_labels: int, rng: Random) -> ConvNet:
    """Return weights of variance 2 / fan-in (He et al. 2015, https://arxiv.org/abs/1502.01852) and zero biases."""
    inputs = (x_shape[0], *DEFINITION.channels)
    shapes: dict[str, Shape] = {
        f"conv{i}": (channels, inputs[i], *((5, 5) if i == 0 else (3, 3)))
        for i, channels in enumerate(DEFINITION.channels)
    }
    shapes["body"] = (DEFINITION.num_features, inputs[-1] * DEFINITION.grid**2)
    shapes["head"] = (num_labels, DEFINITION.num_features)
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = (2 / math.prod(shape[1:])) ** 0.5 * rng.randn(shape)[0].float()
        weights[f"{name}.bias"] = torch.zeros(shape[0])
    return ConvNet(weights)


def trained(
    x: Tensor,
    labels: Tensor | None,
    rng: Random,
    num_steps: int,
    watch: Callable[[range], Iterable[int]] = iter,
) -> ConvNet:
    """Train on images x (n, *x) by cross-entropy with smoothed labels (n,), or with rotations; same rng, same bits."""
    network = untrained(tuple(x.shape[1:]), num_told(tuple(x.shape[1:]), labels), rng)
    weights = [weight.requires_grad_() for weight in network.weights.values()]
    shape = (DEFINITION.batch_size, *x.shape[1:])

    def loss_at(_: int) -> Tensor:
        rows, noise = rng.randint(len(x), shape[:1])[0], DEFINITION.noise * rng.randn(shape)[0]
        images, told = turned(x[rows]) if labels is None else (x[rows], labels[rows])
        log_probs = network.log_probs(images.float() + noise.float())
        smoothing = DEFINITION.label_smoothing
        return functional.cross_entropy(log_probs, told.long(), label_smoothing=smoothing)

    optimiser = torch.optim.AdamW(weights, weight_decay=DEFINITION.weight_decay)
    schedule = falling_cosine(DEFINITION.rate, num_steps)
    minimise(loss_at, Descent(optimiser, num_steps, schedule), watch)
    return ConvNet({name: weight.detach() for name, weight in network.weights.items()})


def accuracy(network: ConvNet, x: Tensor, labels: Tensor | None) -> float:
    """Return the share of images (n, *x) whose label (n,), or whose rotation, is predicted."""
    is_right = []
    for rows in torch.arange(len(x)).split(IMAGES_AT_ONCE):
        images, expected = turned(x[rows]) if labels is None else (x[rows], labels[rows])
        is_right.append(network.log_probs(images.float()).argmax(1) == expected)
    return torch.cat(is_right).double().mean().item()
