"""Runs of a user's method on the toy: metered, with its calls checked, and with its errors returned as values."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.errors import one_line
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.runtime.global_state import kept_state
from bench.runtime.metering import Meter, PriorView, ProblemView, Tap, counted, on_backward
from bench.runtime.run_method import trainable
from bench.runtime.surroundings import kept_surroundings

M = 3  # measurements
NEEDED = {
    "sample": ("prior.sample", Cap.NONE),
    "denoise": ("prior.denoise", Cap.DENOISER),
    "decode": ("prior.decode", Cap.DECODER),
    "log_prob": ("prior.log_prob", Cap.DENSITY),
    "log_likelihood": ("problem.log_likelihood", Cap.NONE),
    "residual": ("problem.residual", Cap.RESIDUAL),
    "operator": ("problem.operator", Cap.RESIDUAL | Cap.LINEAR),  # either will do
    "adjoint": ("problem.operator.adjoint", Cap.LINEAR),
    "spectrum": ("problem.operator.spectrum", Cap.SPECTRUM),
    "simulate": ("problem.simulate", Cap.SIMULATE),
    "sample_posterior": ("problem.sample_posterior", Cap.EXACT),
}
DIFFERENTIATED = ("log_likelihood", "residual", "operator")


@dataclass
class Findings:
    """Side effects of user-supplied code: its error, the global state that it touched, its undeclared capabilities."""

    error: str = ""
    touched: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Drawn:
    """Result of one call of `sample`; x is None when it raised."""

    x: Tensor | None
    findings: Findings
    meter: Meter
    changed: tuple[str, ...]  # which of its inputs it changed in place


@dataclass(frozen=True)
class Trained:
    """Result of one call of `train`; state is None when it raised."""

    state: Any
    findings: Findings
    meter: Meter


@dataclass(frozen=True)
class Trial:
    """A method on the toy problem, with M measurements, `num_samples` samples of each, and the capabilities `shown`."""

    method: Any  # Method or Trainable
    path: Path
    num_samples: int
    shown: Cap
    num_channels: int = 1
    sigma_y: float = 0.1

    @cached_property
    def prior(self) -> Any:
        return ToyPrior(self.num_channels)

    @cached_property
    def problem(self) -> Any:
        return ToyProblem(self.prior, self.sigma_y, alternating=True)

    @cached_property
    def y(self) -> Tensor:
        """Return measurements (M, *y); the second lacks other values than the first and the third."""
        rng = self.rng("y", ids=range(M))
        return self.problem.simulate(self.prior.sample(1, rng)[:, 0], rng)

    def rng(self, *axes: object, ids: Sequence[int], samples: range = range(0)) -> Rng:
        """Return the random streams named by the axes."""
        return Rng(("conformance", *axes), ids, samples)

    @cached_property
    def trained(self) -> Trained:
        """Train once, for all samples."""
        return self.train()

    def train(self, seed: int = 0) -> Trained:
        """Train the method, and return the result with its state."""
        findings, state = Findings(), None
        prior, problem, meter = self._views(findings)
        with contained(findings, self.path):
            state = self.method.train(prior, problem, rng=self.rng("train", seed, ids=[0]))
        return Trained(state, findings, meter)

    def draw(
        self,
        y: Tensor | None = None,
        ids: Sequence[int] = range(M),
        samples: range | None = None,
        seed: int = 0,
    ) -> Drawn:
        """Draw samples of the measurements `ids`, by default of all; y (M, *y) replaces their own values."""
        y = (self.y if y is None else y)[list(ids)]
        samples = samples or range(self.num_samples)
        given = {"state": copy.deepcopy(self.trained.state)} if trainable(self.method) else {}
        before, findings, x = y.clone(), Findings(), None
        prior, problem, meter = self._views(findings)
        with contained(findings, self.path):
            rng = self.rng(seed, ids=ids, samples=samples)
            x = self.method.sample(prior, problem, y, len(samples), rng=rng, **given)
        changed = [] if torch.allclose(y, before, 0, 0, equal_nan=True) else ["y"]
        changed += ["state"] if given and not same_state(given["state"], self.trained.state) else []
        return Drawn(x, findings, meter, tuple(changed))

    def _views(self, findings: Findings) -> tuple[PriorView, ProblemView, Meter]:
        tap = guard(self.shown, findings)
        prior, meter = counted(PriorView(self.prior, tap, self.shown))
        return prior, ProblemView(self.problem, tap, self.shown), meter


def same_state(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Return whether two states agree bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def guard(declared: Cap, findings: Findings) -> Tap:
    """Return a tap that refuses calls that `declared` does not cover, and notes them in `findings`."""

    def refuse(what: str, cap: Cap) -> None:
        findings.undeclared.append(
            f"{what}, which needs {' or '.join(f'Cap.{c.name}' for c in cap)}"
        )
        raise PermissionError(f"{findings.undeclared[-1]}, is not declared in `needs`")

    def tap(kind: str, call: Callable[..., Tensor], *inputs: object) -> Tensor:
        name, cap = NEEDED[kind]
        if cap and not cap & declared:
            refuse(name, cap)
        output = call(*inputs)
        if kind in DIFFERENTIATED and Cap.GRAD not in declared:
            on_backward(output, lambda *_: refuse(f"the gradient of {name}", Cap.GRAD))
        return output

    return tap


@contextmanager
def contained(findings: Findings, path: Path) -> Iterator[None]:
    """Run user-supplied code; note its error as a message, and note and undo its changes of the global state."""
    caught = None
    with kept_state() as altered, kept_surroundings() as changed:
        try:
            yield
        except BaseException as error:  # even an interrupt: see checks.py
            caught = error
    if caught is not None:
        findings.error = describe(caught, path)
    findings.touched += [*changed, *altered]


def describe(error: BaseException, path: Path) -> str:
    """Return kind, first line and place of an error raised in the file `path`, or in another file of its package."""
    files = set(path.parent.rglob("*.py")) if path.name == "__init__.py" else {path}
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) in files
    ]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{one_line(error)}{where}"
