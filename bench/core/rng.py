"""Random streams named by what they are for, so that no draw depends on batch, chunk, shard or order."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

Fill = Callable[[np.random.Generator, np.ndarray], object]
AT_ONCE = 2**20  # numbers


def stream(*axes: object) -> np.random.Generator:
    """The generator of one named stream, e.g. `stream("noise", "gmm-denoise", 17)`."""
    name = "/".join(str(axis) for axis in axes)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest(), "little"))


class Rng:
    """Randomness of m measurements: `randn(shape)` is `(m, *shape)`, row i from the stream of measurement i.

    axes: what the randomness is for (task, method, seed); ids: the measurements; samples: which posterior samples are
    being drawn. A draw whose leading axis is the samples' takes each of them from a stream of its own, so that samples
    3 to 5 come out the same whether or not 0 to 2 are drawn beside them; any other draw belongs to the measurement.

    drawn: what is drawn and then rounded to `dtype`; with float64 a run in float32 has the numbers of one in float64.
    """

    def __init__(
        self,
        axes: Sequence[object],
        ids: Sequence[object],
        samples: range = range(0),
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
        drawn: torch.dtype | None = None,
    ) -> None:
        self.axes, self.ids, self.samples = tuple(axes), tuple(ids), samples
        self.dtype, self.device, self.drawn = dtype, torch.device(device), drawn or dtype
        self._shared = [stream(*axes, i) for i in self.ids]
        self._single: list[list[np.random.Generator]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, i: int) -> Rng:
        """The randomness of measurement i alone; draws advance the same stream."""
        alone = copy.copy(self)
        alone.ids, alone._shared = self.ids[i : i + 1], self._shared[i : i + 1]
        alone._single = self._samples_generators()[i * len(self.samples) : (i + 1) * len(self.samples)]
        return alone

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal draws, `(m, *shape)`."""
        return self._draw(shape, _normal)

    def steps(self, num_steps: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """The numbers of `randn(shape)`, `num_steps` times, when nothing else is drawn in between; in half the time."""
        lead, at_once = int(self._is_per_sample(shape)), max(1, AT_ONCE // (len(self) * max(1, math.prod(shape))))
        for done in range(0, num_steps, at_once):
            block = (*shape[:lead], min(at_once, num_steps - done), *shape[lead:])
            yield from self._draw(block, _normal, per_sample=bool(lead)).unbind(1 + lead)

    def rand(self, shape: tuple[int, ...]) -> Tensor:
        """Uniform draws in [0, 1), `(m, *shape)`."""
        return self._draw(shape, lambda g, out: g.random(out=out, dtype=out.dtype.type))

    def randint(self, high: int, shape: tuple[int, ...]) -> Tensor:
        """Uniform integers in [0, high), `(m, *shape)`, int64."""

        def fill(g: np.random.Generator, out: np.ndarray) -> None:
            out[...] = g.integers(high, size=out.shape)

        return self._draw(shape, fill, np.int64)

    def _is_per_sample(self, shape: tuple[int, ...]) -> bool:
        return bool(self.samples and shape and shape[0] == len(self.samples))

    def _draw(
        self, shape: tuple[int, ...], fill: Fill, dtype: type | None = None, per_sample: bool | None = None
    ) -> Tensor:
        out = np.empty((len(self), *shape), dtype or (np.float64 if self.drawn == torch.float64 else np.float32))
        if self._is_per_sample(shape) if per_sample is None else per_sample:
            generators = self._samples_generators()
            rows = out.reshape(len(self) * shape[0], *shape[1:], *([1] if len(shape) == 1 else []))
        else:
            generators, rows = self._shared, out.reshape(len(self), *shape, *([] if shape else [1]))
        for generator, row in zip(generators, rows, strict=True):
            fill(generator, row)
        tensor = torch.from_numpy(out)
        return on(tensor if dtype else tensor.to(self.dtype), self.device)

    def _samples_generators(self) -> list[np.random.Generator]:
        if not self._single:
            self._single = [stream(*self.axes, i, "sample", j) for i in self.ids for j in self.samples]
        return self._single


def on(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor of the CPU there; on its way to a GPU nothing waits for what the GPU is at."""
    if device.type == "cuda" and torch.cuda.is_available():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _normal(generator: np.random.Generator, out: np.ndarray) -> None:
    generator.standard_normal(None, out.dtype.type, out)
