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
AT_ONCE = 2**20  # numbers drawn by one call of `steps`


def stream(*axes: object) -> np.random.Generator:
    """Return the generator of one named stream, e.g. `stream("noise", "gmm-denoise", 17)`."""
    name = "/".join(str(axis) for axis in axes)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest(), "little"))


class Rng:
    """Randomness of m measurements: `randn(shape)` is `(m, *shape)`, row i from the stream of measurement i.

    `per_sample.randn(shape)` is `(m, s, *shape)`, each posterior sample from a stream of its own, so that samples 3 to
    5 come out the same whether or not 0 to 2 are drawn beside them. What the samples of a measurement share (chains,
    particles, weights of a network) is drawn from the measurement's stream. No shape ever chooses the stream.

    axes: what the randomness is for (task, seed). ids: the measurements. samples: the posterior samples to be drawn.
    drawn: dtype in which numbers are drawn before they are rounded to `dtype`; with float64, a run in float32 gets the
    numbers of a run in float64, rounded.
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
        self._streams = [stream(*axes, i) for i in self.ids]
        self._per_sample: PerSample | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def per_sample(self) -> PerSample:
        """Return the same four functions with a stream for each posterior sample; draws advance those streams only."""
        if self._per_sample is None:
            ids = [f"{i}/sample/{j}" for i in self.ids for j in self.samples]
            flat = Rng(self.axes, ids, range(0), self.dtype, self.device, self.drawn)
            self._per_sample = PerSample(flat, len(self.samples))
        return self._per_sample

    def only(self, i: int) -> Rng:
        """Return the randomness of measurement i alone; its draws advance the same streams."""
        alone = self._part(slice(i, i + 1))
        alone._per_sample = self.per_sample.only(i) if self.samples else None
        return alone

    def shared(self, name: str) -> Rng:
        """Return randomness of one stream, named by the axes alone: it is the same whatever the measurements are."""
        axes = (*self.axes, "shared by measurements")
        return Rng(axes, (name,), range(0), self.dtype, self.device, self.drawn)

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """Draw standard normal numbers, `(m, *shape)`."""
        return self._draw(
            shape, lambda generator, out: generator.standard_normal(None, out.dtype.type, out)
        )

    def rand(self, shape: tuple[int, ...]) -> Tensor:
        """Draw uniform numbers in [0, 1), `(m, *shape)`."""
        return self._draw(
            shape, lambda generator, out: generator.random(out=out, dtype=out.dtype.type)
        )

    def randint(self, high: int, shape: tuple[int, ...]) -> Tensor:
        """Draw uniform integers in [0, high), `(m, *shape)`, int64."""

        def fill(generator: np.random.Generator, out: np.ndarray) -> None:
            out[...] = generator.integers(high, size=out.shape)

        return self._draw(shape, fill, np.int64)

    def steps(self, num_steps: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """Yield `randn(shape)` `num_steps` times, in half the time; nothing else may be drawn in between."""
        at_once = max(1, AT_ONCE // (len(self) * max(1, math.prod(shape))))
        for done in range(0, num_steps, at_once):
            yield from self.randn((min(at_once, num_steps - done), *shape)).unbind(1)

    def _part(self, rows: slice) -> Rng:
        part = copy.copy(self)
        part.ids, part._streams = self.ids[rows], self._streams[rows]
        return part

    def _draw(self, shape: tuple[int, ...], fill: Fill, dtype: type | None = None) -> Tensor:
        out = np.empty(
            (len(self), *shape),
            dtype or (np.float64 if self.drawn == torch.float64 else np.float32),
        )
        rows = out if shape else out[:, None]  # indexing a row of one number would copy it
        for generator, row in zip(self._streams, rows, strict=True):
            fill(generator, row)
        tensor = torch.from_numpy(out)
        return on(tensor if dtype else tensor.to(self.dtype), self.device)


class PerSample:
    """Randomness of the s posterior samples of each of m measurements: `randn(shape)` is `(m, s, *shape)`.

    flat: the same m s streams as an `Rng` of m s rows: `prior.sample(1, rng.per_sample.flat)` is (m s, 1, *x).
    """

    def __init__(self, flat: Rng, num_samples: int) -> None:
        self.flat, self._num_samples = flat, num_samples

    def __len__(self) -> int:
        return self._num_samples

    def only(self, i: int) -> PerSample:
        """Return the streams of measurement i alone."""
        return PerSample(self.flat._part(slice(i * len(self), (i + 1) * len(self))), len(self))

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """Draw standard normal numbers, `(m, s, *shape)`."""
        return self._split(self.flat.randn(shape))

    def rand(self, shape: tuple[int, ...]) -> Tensor:
        """Draw uniform numbers in [0, 1), `(m, s, *shape)`."""
        return self._split(self.flat.rand(shape))

    def randint(self, high: int, shape: tuple[int, ...]) -> Tensor:
        """Draw uniform integers in [0, high), `(m, s, *shape)`, int64."""
        return self._split(self.flat.randint(high, shape))

    def steps(self, num_steps: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """Yield `randn(shape)` `num_steps` times; nothing else may be drawn in between."""
        return map(self._split, self.flat.steps(num_steps, shape))

    def _split(self, rows: Tensor) -> Tensor:
        if not len(self):
            raise ValueError(
                "rng.per_sample: this rng was made for no posterior samples; make it as Rng(..., samples=range(s))"
            )
        return rows.unflatten(0, (-1, len(self)))


def on(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the CPU's tensor on a device; a copy to a GPU is queued without waiting for the GPU."""
    if device.type == "cuda" and torch.cuda.is_available():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
