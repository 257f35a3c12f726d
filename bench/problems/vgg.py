"""The published CIFAR-10 classifier that is the reward in the ODS paper: VGG-13 with batch normalisation.

Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, https://arxiv.org/abs/1409.1556, with the weights
of https://github.com/huyvnphan/PyTorch_CIFAR10 (MIT), its file state_dicts/vgg13_bn.pt. They are not fetched: they
belong beside other weights (`bench.core.weights.folder`) under the name FILE.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.core.errors import UserError
from bench.core.foreign_files import foreign_tensors
from bench.core.rng import Rng
from bench.core.weights import folder
from bench.numerics.nets import initialise

if TYPE_CHECKING:
    from bench.problems.classifier import RealFeatures

FILE = "cifar10_vgg13_bn.pt"
SOURCE = "state_dicts/vgg13_bn.pt of https://github.com/huyvnphan/PyTorch_CIFAR10 (MIT)"
# the second has random weights, for rehearsals
PUBLISHED, NARROW = "cifar10-vgg13_bn", "cifar10-vgg13_bn-narrow"
CHANNELS: tuple[int | str, ...] = (
    64,
    64,
    "M",
    128,
    128,
    "M",
    256,
    256,
    "M",
    512,
    512,
    "M",
    512,
    512,
    "M",
)
HIDDEN, NUM_CLASSES = 4096, 10
SIXTEENTH = 16  # channels of the published network over those of the narrow one
# of its training images, on [0, 1]
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)


@dataclass(frozen=True, eq=False)
class VGG:
    """p(class | x) of images x (n, 3, 32, 32) in [-1, 1]; weights by their foreign names, computed in float32."""

    weights: dict[str, Tensor]
    real: RealFeatures | None = field(default=None)

    @property
    def num_classes(self) -> int:
        return len(self.weights["classifier.6.bias"])

    def features(self, x: Tensor) -> Tensor:
        """Return the averages of the last convolutions, (n, *x) -> (n, channels)."""
        return self._maps(x).mean((2, 3)).to(x)

    def log_probs(self, x: Tensor) -> Tensor:
        """Return log p(class | x), (n, *x) -> (n, num_classes)."""
        num_inputs = self.weights["classifier.0.weight"].shape[1]
        side = round((num_inputs / self._width) ** 0.5)  # 7 in older files, each pixel the same
        flat = nn.functional.adaptive_avg_pool2d(self._maps(x), side).flatten(1)
        return self._call("classifier", flat).log_softmax(1).to(x)

    def _maps(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (MEAN, STD))
        return self._call("features", ((x.float() + 1) / 2 - mean) / std)

    def _call(self, part: str, x: Tensor) -> Tensor:
        weights = {
            name.removeprefix(f"{part}."): value
            for name, value in self.weights.items()
            if name.startswith(f"{part}.")
        }
        return torch.func.functional_call(self._modules[part], weights, x)

    @property
    def _width(self) -> int:
        """Return the channels of the last convolution."""
        return int(self.weights["features.31.weight"].shape[0])

    @cached_property
    def _modules(self) -> dict[str, nn.Sequential]:
        inputs = self.weights["classifier.0.weight"].shape[1]
        share = CHANNELS[-2] // self._width  # type: ignore[operator]
        return outline(share, inputs, self.num_classes)


def outline(share: int, inputs: int, num_classes: int = NUM_CLASSES) -> dict[str, nn.Sequential]:
    """Return the two parts without weights, with 1 / share of the channels; inputs: of the first linear map."""
    from torchvision.models.vgg import make_layers

    with torch.device("meta"):
        layers = [c // share if isinstance(c, int) else c for c in CHANNELS]
        features = make_layers(layers, batch_norm=True)  # pyright: ignore[reportArgumentType]
        hidden = HIDDEN // share
        linear = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden)]
        classifier = nn.Sequential(*linear, nn.ReLU(), nn.Dropout(), nn.Linear(hidden, num_classes))
    return {"features": features.eval(), "classifier": classifier.eval()}


def opened(name: str) -> tuple[VGG, dict[str, object]]:
    """Return the classifier, PUBLISHED or NARROW, and the card of its file; UserError, one line, where it is absent."""
    if name == NARROW:
        return _narrow()
    path = folder() / FILE
    if not path.exists() and not path.with_suffix(".safetensors").exists():
        raise UserError(f"{name}: weights absent; copy {SOURCE} to {path}")
    tensors, card = foreign_tensors(path, about={"source": SOURCE, "licence": "MIT"})
    return _strict(tensors, str(path)), card


def _narrow() -> tuple[VGG, dict[str, object]]:
    """Return a narrow network of random weights, by way of a file in the foreign format."""
    width = CHANNELS[-2] // SIXTEENTH  # type: ignore[operator]
    parts = nn.ModuleDict(outline(SIXTEENTH, width)).to_empty(device="cpu")
    initialise(parts, Rng(("random weights", NARROW), (0,), dtype=torch.float32))
    for (
        name,
        value,
    ) in parts.state_dict().items():  # statistics of batches, which `initialise` leaves unset
        if "running" in name or "num_batches" in name:
            value.fill_(float(name.endswith("running_var")))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / FILE
        torch.save(parts.state_dict(), path)
        tensors, card = foreign_tensors(path, about={"source": "random weights"})
    return _strict(tensors, NARROW), card


def _strict(tensors: dict[str, Tensor], source: str) -> VGG:
    """Return the classifier with these weights; UserError, one line, unless names and sizes are those of VGG-13."""
    try:
        vgg = VGG(tensors)
        expected = nn.ModuleDict(vgg._modules).state_dict()
        sizes = {name: tuple(value.shape) for name, value in tensors.items()}
        if sizes == {name: tuple(value.shape) for name, value in expected.items()}:
            return vgg
    except (KeyError, IndexError):
        pass
    raise UserError(f"{source}: holds other weights than those of VGG-13 with batch normalisation")
