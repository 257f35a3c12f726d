"""The source of a method that conforms, of one that trains, and what the checks refuse."""

from __future__ import annotations

from pathlib import Path

GOOD = '''"""Denoise noise once, then descend on the residual. https://example.org/paper

Deviations: none.
"""
from dataclasses import dataclass
from typing import ClassVar
import torch
from bench.core.types import NFE, Cap, Joint, LogUniform
__all__ = ["Good"]

@dataclass(frozen=True)
class Good:
    """A sample costs one call of the denoiser."""
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
    search: ClassVar[dict] = {"rate": LogUniform(0.1, 1.0)}
    rate: float = 0.8

    def nfe(self, prior, num_samples):
        return NFE(1, 0)

    def sample(self, prior, problem, y, num_samples, *, rng):
        rows = y.repeat_interleave(num_samples, 0)
        x = prior.denoise(rng.per_sample.randn(prior.shape).flatten(0, 1), torch.tensor(1.0))
        for _ in range(9):
            x = x + self.rate * problem.operator.adjoint(problem.residual(x, rows), rows)
        return x.unflatten(0, (len(y), num_samples))
'''
RETURN = "return x.unflatten(0, (len(y), num_samples))"
FIRST = "rows = y.repeat_interleave(num_samples, 0)"
TRAIN = """    def train(self, prior, problem, *, rng):
        x = prior.sample(9, rng)[0]
        return {"mean": x.mean(0), "noise": rng.randn((2,))[0]}

    def sample"""
TRAINABLE = (
    GOOD.replace("num_samples, *, rng)", "num_samples, *, rng, state)")
    .replace("    def sample", TRAIN)
    .replace(RETURN, "x = x + 1e-3 * state['mean']; " + RETURN)
)


def refusals_of(results) -> list[str]:
    return [str(result) for result in results if result.status == "FAIL"]


def written(folder: Path, name: str, source: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(source)
    return path
