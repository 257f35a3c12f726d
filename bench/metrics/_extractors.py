"""Features of images through torch-fidelity's extractors, with the network of the workflow as one of them.

torch-fidelity takes bytes and is silently wrong on floats, so images go from [-1, 1] to 0 ... 255 here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench.core.errors import UserError
from bench.metrics._embeddings import VALUES_PER_PASS

Extract = Callable[[Tensor], Tensor]  # images (n, *x) in [-1, 1] -> features (n, F), float64
# torch-fidelity's names of the network and of its last layer
INCEPTION, POOLED = "inception-v3-compat", "2048"
FEATURES = "features"  # layer of the networks that `register` makes extractors


def to_bytes(x: Tensor) -> Tensor:
    """Return images in [-1, 1] as bytes, clipped and rounded to the nearest grey level."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_bytes(x: Tensor) -> Tensor:
    """Return bytes as images in [-1, 1], float32."""
    return x.float() / 127.5 - 1


def register(name: str, features: Callable[[Tensor], Tensor]) -> None:
    """Register a function (n, *x) in [-1, 1] -> (n, F) as an extractor of torch-fidelity, replacing an earlier one."""
    from torch_fidelity import FeatureExtractorBase, register_feature_extractor
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    class Extractor(FeatureExtractorBase):
        """An extractor with the interface of torch-fidelity."""

        def __init__(self, name: str, features_list: list[str], **_: object) -> None:
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return (FEATURES,)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return FEATURES

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, input: Tensor) -> tuple[Tensor]:
            return (features(from_bytes(input)),)

    FEATURE_EXTRACTORS_REGISTRY.pop(name, None)
    register_feature_extractor(name, Extractor)


def open_extractor(name: str) -> Extract:
    """Return the features by a registered extractor."""
    return _opened(name, FEATURES, {})


def open_inception(path: Path) -> Extract:
    """Return the 2048 features of FID by Inception in torch-fidelity's file; grey images get three channels."""
    try:
        # torch-fidelity itself would unpickle anything
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"{path}: is not a file of weights ({why}); delete it and fetch it again"
        ) from None
    try:
        extract = _opened(INCEPTION, POOLED, {"feature_extractor_weights_path": str(path)})
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"{path}: is not what torch-fidelity's Inception needs ({why}); fetch it again"
        ) from None
    return lambda images: extract(images.expand(-1, 3, -1, -1))


def _opened(name: str, layer: str, options: dict[str, str]) -> Extract:
    from torch_fidelity.utils import create_feature_extractor

    network = create_feature_extractor(name, [layer], cuda=False, verbose=False, **options)

    def extract(images: Tensor) -> Tensor:
        blocks = images.split(max(1, VALUES_PER_PASS // images[0].numel()))
        with torch.no_grad():
            return torch.cat([network(to_bytes(block))[0].double() for block in blocks])

    return extract
