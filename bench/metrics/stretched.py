"""Metrics of images that are each stretched to the whole range, truth and samples alike, as DPS's code saves them.

Chung et al. 2023, https://arxiv.org/abs/2209.14687; the released script measures such files.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.catalogue import LPIPS, why_closed
from bench.core.metric import Column, Context, Metric, Truth
from bench.core.weights import placed, unverified
from bench.metrics._embeddings import load_lpips, lpips_embedding, perceptual_distances
from bench.metrics.psnr import psnr

__all__ = ["Stretched"]

NETWORK = "lpips-vgg-v0.1"
PSNR = "psnr@stretched_sample"
ABOUT = (
    "each image stretched to the range [-1, 1] by its smallest and largest value, x_true as well"
)


@dataclass(frozen=True)
class Stretched(Metric):
    """PSNR and LPIPS (VGG) of each sample; unlike in the files, values are not rounded to 8 bits."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        is_own = context is not None and not self._why_closed(context)
        mark = unverified(LPIPS[NETWORK].weights) if is_own else ""
        words = f"mean over samples of {{}} between each and x_true, {ABOUT}"
        return (
            Column(PSNR, words.format("the PSNR, data range 2,"), "higher", "dB", "operator"),
            Column(lpips_id(mark), words.format("LPIPS by VGG-16"), "lower", needs="operator"),
        )

    def prepare(self, context: Context) -> None:
        if not self._why_closed(context):
            self._embedding(context)

    def why_empty(self, truth: Truth) -> dict[str, str]:
        why = self._why_closed(truth.context)
        return {lpips_id(): why} if why else {}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x, x_true = stretched(samples), stretched(truth.x_true)
        values = {PSNR: psnr(x, x_true)}
        if not self._why_closed(truth.context):
            embed, mark = self._embedding(truth.context), unverified(LPIPS[NETWORK].weights)
            distances = perceptual_distances(x, x_true, NETWORK, embed)
            values[lpips_id(mark)] = distances[f"{NETWORK}_sample"]
        return values

    def _why_closed(self, context: Context) -> str:
        return why_closed(LPIPS[NETWORK], context.dataset, context.side, "allow")

    def _embedding(self, context: Context):
        weights = LPIPS[NETWORK].weights
        return context.once(
            ("embedding", NETWORK), lambda: lpips_embedding(load_lpips("vgg", placed(weights)))
        )


def lpips_id(mark: str = "") -> str:
    """Return the id of the column; mark: `unverified-...` where the weights are not the published ones."""
    return f"{NETWORK}{mark and f'-{mark}'}@stretched_sample"


def stretched(x: Tensor) -> Tensor:
    """Return images (..., c, h, w), each mapped linearly so that its values span [-1, 1]; a flat one becomes 0."""
    low, high = x.amin((-3, -2, -1), keepdim=True), x.amax((-3, -2, -1), keepdim=True)
    middle, half = (low + high) / 2, (high - low) / 2
    return (x - middle) / half.where(half > 0, half.new_ones(()))
