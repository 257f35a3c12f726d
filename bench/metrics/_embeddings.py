"""Perceptual distances from one pass of the network per image.

LPIPS and similar distances are squared Euclidean distances between vectors that depend on one image each: the
activations of some layers, scaled to unit length over channels at each position, times the root of the channel's weight
over the number of positions. So n samples need n passes, not n (n - 1), and all their distances are a few matrix
products.

Zhang et al. 2018, https://arxiv.org/abs/1801.03924; backbones, heads and input scaling are those of package `lpips`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.errors import UserError

if TYPE_CHECKING:
    from lpips import LPIPS

# images (n, c, h, w) in [-1, 1], float32 -> (n, F); |difference|^2 is the distance
Embed = Callable[[Tensor], Tensor]
# pixels times channels that go through a network at once; bounds its activations
VALUES_PER_PASS = 2**16
NUM_DRAWS = 128  # reference draws of a measurement that go through a network
SMALLEST_DISTANCE = 1e-9  # below it two images are the same, but for rounding
SMALLEST_NORM = 1e-10  # as in package lpips: a position where all channels are zero stays zero


class Classifier(Protocol):
    """The part of a classifier that a perceptual distance uses."""

    def activations(self, x: Tensor) -> Sequence[Tensor]: ...  # (n, *x) -> maps (n, c, h, w)


def perceptual_distances(
    samples: Tensor, x_true: Tensor, id: str, embed: Embed
) -> dict[str, Tensor]:
    """Return distances of the mean of the samples and of each sample to x_true, and between the samples.

    samples: (m, s, *x). x_true: (m, *x). Values (m,) by `<id>_mean`, `_sample` and `_pairwise`. Memory: the vectors of
    one measurement.
    """
    rows = []
    for x, true in zip(samples, x_true, strict=True):
        vectors = embedded(torch.cat([true[None], x.mean(0, keepdim=True), x]), embed)
        to_true = (vectors[1:] - vectors[0]).square().sum(1)
        between = pairwise(vectors[2:])
        rows.append(
            torch.stack([to_true[0], to_true[1:].mean(), between.sum() / (len(x) * (len(x) - 1))])
        )
    mean, sample, within = torch.stack(rows).to(samples).unbind(1)
    return {f"{id}_mean": mean, f"{id}_sample": sample, f"{id}_pairwise": within}


def mean_pairwise(reference: Tensor, embed: Embed) -> Tensor:
    """Return the mean distance between two of the first NUM_DRAWS reference draws, (m, e, *x) -> (m,)."""
    between = [pairwise(embedded(x[:NUM_DRAWS], embed)) for x in reference]
    return torch.stack([each.sum() / (len(each) * (len(each) - 1)) for each in between]).to(
        reference
    )


def embedded(images: Tensor, embed: Embed) -> Tensor:
    """Return vectors of images `(n, *x)`, clipped to [-1, 1] -> `(n, F)` float32, some images at a time."""
    blocks = images.split(max(1, VALUES_PER_PASS // images[0].numel()))
    first = embed(blocks[0].clamp(-1, 1).float())
    vectors = first.new_empty(len(images), first.shape[1])
    vectors[: len(first)] = first
    for i, block in enumerate(blocks[1:], start=1):
        vectors[i * len(first) :][: len(block)] = embed(block.clamp(-1, 1).float())
    return vectors


def pairwise(vectors: Tensor) -> Tensor:
    """Return squared Euclidean distances `(n, n)` of vectors `(n, F)`, by one matrix product.

    The vectors are centred first, so that their lengths are of the order of the distances and rounding loses little.
    """
    centred = vectors - vectors.mean(0)
    products = centred @ centred.mT
    lengths = products.diagonal()
    return (lengths[:, None] + lengths - 2 * products).clamp_min(0).fill_diagonal_(0)


def weighted(maps: Sequence[Tensor], weights: Sequence[Tensor | float]) -> Tensor:
    """Return vectors (n, F) from the activations (n, c, h, w) of each layer and the weights of its channels."""
    parts = []
    for activations, weight in zip(maps, weights, strict=True):
        root = torch.as_tensor(weight / activations[0, 0].numel()).sqrt()
        parts.append((root * functional.normalize(activations, eps=SMALLEST_NORM)).flatten(1))
    return torch.cat(parts, 1)


def classifier_embedding(classifier: Classifier) -> Embed:
    """Return the embedding by a classifier; each layer counts alike, whatever its number of channels."""

    def embed(x: Tensor) -> Tensor:
        maps = classifier.activations(x)
        return weighted(maps, [1.0] * len(maps))

    return embed


def lpips_embedding(network: LPIPS) -> Embed:
    """Return the embedding behind LPIPS; grey images are repeated in three channels."""
    heads = cast("list[Any]", network.lins)
    weights = [head.model[-1].weight for head in heads]  # (1, c, 1, 1)
    backbone = cast("Callable[..., Any]", network.net)
    scale = cast("Callable[..., Any]", network.scaling_layer)
    if min(weight.min().item() for weight in weights) < 0:
        raise ValueError("lpips: its linear heads have a negative weight, expected none")

    def embed(x: Tensor) -> Tensor:
        return weighted(backbone(scale(x.expand(-1, 3, -1, -1))), weights)

    return embed


def load_lpips(net: str, path: Path) -> LPIPS:
    """Return LPIPS v0.1 with the backbone "alex" or "vgg" in torchvision's file; raise UserError for another file.

    The package itself would download a file that is missing.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError) as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"{path}: is not a file of weights ({why}); delete it and fetch it again"
        ) from None
    network = untrained_lpips(net)
    for part in network.net.children():
        part.load_state_dict(
            {key: _entry(state, f"features.{key}", path) for key in part.state_dict()}
        )
    return network


def untrained_lpips(net: str) -> LPIPS:
    """Return LPIPS v0.1 on a backbone "alex" or "vgg" with random weights: it costs the same, but is not LPIPS."""
    import lpips

    with warnings.catch_warnings():  # torchvision renamed an argument that the package uses
        warnings.simplefilter("ignore", UserWarning)
        return lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False).requires_grad_(
            False
        )


def _entry(state: dict[str, Tensor], key: str, path: Path) -> Tensor:
    if key not in state:
        raise UserError(
            f"{path}: has no {key}, expected torchvision's weights; delete it and fetch it again"
        )
    return state[key]
