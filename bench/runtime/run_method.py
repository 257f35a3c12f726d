"""Load a method, check that it can run, train it, and draw its samples chunk by chunk."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar, get_args

import torch
from torch import Tensor

from bench.core.artefacts import read_json, read_tensors
from bench.core.errors import Broken, UserError, is_shortage, one_line
from bench.core.kinds import KINDS, OTHER
from bench.core.layout import RunFiles
from bench.core.registry import find, folders, load
from bench.core.rng import Rng
from bench.core.source import read_source
from bench.core.types import (
    Borrowing,
    Cap,
    Diagnosing,
    Joint,
    Method,
    Prior,
    Problem,
    State,
    Trainable,
)
from bench.runtime.global_state import SETTINGS, kept_state
from bench.runtime.metering import BudgetExceeded, PriorView, ProblemView, bare
from bench.runtime.progress import progress
from bench.runtime.surroundings import kept_surroundings

T = TypeVar("T")

STATE_DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)
HEADER = "__metadata__"  # of a file: no tensor can have this name


class Measurements(Protocol):
    """Images (m, *x), packed measurements (m, *y) and image ids (m,)."""

    x_true: Tensor
    y: Tensor
    image_id: Tensor


@dataclass(frozen=True)
class Draws:
    """Which samples are drawn: `num_samples` of each measurement, from the streams of a task and a seed.

    rows_per_chunk: rows in one call of the method, at most, where its samples are independent.
    """

    task: str
    seed: int | str
    num_samples: int
    rows_per_chunk: int


class Unsupported(UserError):
    """The method cannot run on this pair of prior and problem; the message names what is lacking."""


@dataclass(frozen=True)
class RunResult(Generic[T]):
    """The result of running user-supplied code: `result` where the status is ok, else the `reason`.

    is_passing: it failed for want of memory, disk or threads, so that the next run tries again.
    """

    status: Literal["ok", "n/a", "failed"]
    reason: str = ""
    result: T | None = None
    seconds: float | None = None
    is_passing: bool = False

    def __str__(self) -> str:
        return (
            f"ok in {self.seconds:.1f} s"
            if self.status == "ok"
            else f"{self.status}: {self.reason}"
        )


NO_TRAINING = RunResult("ok"), {"train_seconds": 0.0, "train_nfe": 0, "train_nfe_vjp": 0}, None


def attempt(work: Callable[[], T], clock: Callable[[], float] = time.perf_counter) -> RunResult[T]:
    """Call `work`; whatever it raises becomes the result, so that the harness goes on.

    Working folder, standard streams, environment and torch's settings are put back afterwards. clock: for the seconds
    of the result (`bench.runtime.devices.clock_of`). Raises Broken where a data set or prior could not be made, which
    is not the method's failure.
    """
    begin = clock()
    try:
        with kept_surroundings(), kept_state(SETTINGS):
            result = work()
    except (Unsupported, BudgetExceeded) as reason:
        return RunResult("n/a", str(reason))
    except Broken:
        raise
    except (
        BaseException
    ) as error:  # also KeyboardInterrupt: a user's Ctrl-C ends the parent process as well
        reason = one_line(error) + place_of(error)
        return RunResult("failed", reason, is_passing=is_shortage(error))
    return RunResult("ok", "", result, clock() - begin)


def place_of(error: BaseException) -> str:
    """Return ` (methods/mine.py, line 27)`, the last line of a method that an error came through; "" for none."""
    homes = [folder.resolve() for folder in folders("method")]
    lines = [
        f" ({home.name}/{file.relative_to(home)}, line {number})"
        for frame, number in traceback.walk_tb(error.__traceback__)
        for file in [Path(frame.f_code.co_filename).resolve()]
        for home in homes
        if file.is_relative_to(home)
    ]
    return lines[-1] if lines else ""


def load_method(module: str, settings: dict) -> Method:
    """Return the method that `methods/<module>.py` names in `__all__`, with its hyperparameters."""
    return load("method", module)(**settings)


def declared_kind(module: str) -> str:
    """Return the kind of a method as its source says, without importing what has just ended a process."""
    file = find("method", module)
    source = read_source(file) if file else None
    declared = source.constant("kind") if source else OTHER
    return declared if declared in KINDS else OTHER


def joint_of(method: Method | Trainable, num_samples: int) -> tuple[Joint, int | None]:
    """Return how the samples of one measurement are related, and the number of their chains or None."""
    joint: Joint = getattr(method, "joint", "independent")
    if joint not in get_args(Joint):
        raise ValueError(f"joint is {joint!r}; expected one of {', '.join(get_args(Joint))}")
    if joint != "chain":
        return joint, None
    num_chains = getattr(method, "num_chains", None)
    if not isinstance(num_chains, int) or num_chains < 1:
        raise ValueError(f"num_chains is {num_chains!r}; expected a positive integer")
    return joint, min(num_chains, num_samples)


def declared_caps(method: Method | Trainable) -> Cap:
    """Return the capabilities that the method needs or, where they are offered, uses."""
    return method.needs | getattr(method, "uses", Cap.NONE)


def borrowed_caps(method: Method | Trainable, prior: Prior) -> Cap:
    """Return the declared capabilities that the prior borrows from another, at whose posterior the samples then aim."""
    return declared_caps(method) & prior.borrowed if isinstance(prior, Borrowing) else Cap.NONE


def refuse_unmet(method: Method | Trainable, prior: Prior, problem: Problem) -> None:
    """Raise Unsupported, with the names of the capabilities that the method needs, where this pair lacks them."""
    missing = method.needs & ~(prior.caps | problem.caps)
    if missing:
        raise Unsupported("needs " + ", ".join(str(cap.name) for cap in Cap if cap in missing))


def shown(
    method: Method | Trainable, prior: Prior, problem: Problem
) -> tuple[PriorView, ProblemView]:
    """Return prior and problem with the capabilities that the method declares."""
    declared = declared_caps(method)
    return PriorView(prior, bare, declared), ProblemView(problem, bare, declared)


def trainable(method: Method | Trainable) -> bool:
    """Return whether the method has a function `train`."""
    return callable(getattr(method, "train", None))


def train(
    method: Trainable,
    prior: Prior,
    problem: Problem,
    task: str,
    seed: int | str,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
) -> State:
    """Return the method's state for this task, trained with one random stream, in that dtype on that device."""
    rng = Rng(("train", task, seed), (0,), dtype=dtype, device=device, drawn=torch.float64)
    state = method.train(*shown(method, prior, problem), rng=rng)
    refuse_malformed_state(state)
    return {name: tensor.detach() for name, tensor in state.items()}


def refuse_malformed_state(state: object) -> None:
    """Raise ValueError, one line, unless the state is a flat dict of finite tensors that can be stored."""
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise ValueError(f"train() returned {_kinds(state)}, expected a flat dict[str, Tensor]")
    if HEADER in state:
        raise ValueError(f"train() returned {HEADER!r}, which no tensor in a file can be named")
    for name, tensor in state.items():
        if tensor.dtype not in STATE_DTYPES:
            raise ValueError(
                f"train() returned {tensor.dtype} for {name!r}, which a state cannot hold"
            )
        if not tensor.isfinite().all():
            raise ValueError(f"train() returned {name!r} with NaN or infinity")


def _kinds(state: object) -> str:
    if not isinstance(state, dict):
        return type(state).__name__
    kinds = sorted(
        {f"{type(key).__name__}, {type(value).__name__}" for key, value in state.items()}
    )
    return f"dict[{' | '.join(kinds)}]"


def read_training(files: RunFiles) -> tuple[RunResult[State], dict, str]:
    """Return the result of a run's training, its whole cost, and the hash of the state."""
    state, header = read_tensors(files.state)
    spent = read_json(files.training)
    run_result = RunResult(header["status"], header["reason"], state)
    return (
        run_result,
        {f"train_{what}": spent[what] for what in ("seconds", "nfe", "nfe_vjp")},
        header["sha256"],
    )


def sample(
    method: Method | Trainable,
    prior: Prior,
    problem: Problem,
    measurements: Measurements,
    draws: Draws,
    state: State | None = None,
) -> Tensor:
    """Return samples (m, s, *x), drawn in chunks of at most `rows_per_chunk` rows where they are independent.

    They have the dtype and the device of the measurements. state: what `train` returned; None without training.
    """
    m, s = len(measurements.y), draws.num_samples
    prior, problem = shown(method, prior, problem)
    trained = {} if state is None else {"state": state}
    splits = joint_of(method, s)[0] == "independent"
    # the method is not among the axes: methods and settings are compared on common random numbers
    ids, axes = measurements.image_id.tolist(), ("sample", draws.task, draws.seed)
    x = measurements.x_true.new_empty(m, s, *prior.shape)
    for rows, samples in progress(
        list(chunks(m, s, draws.rows_per_chunk, splits)), what=f"sample {draws.task}"
    ):
        rng = Rng(axes, ids[rows], samples, x.dtype, x.device, drawn=torch.float64)
        y = measurements.y[rows].clone()
        drawn = method.sample(prior, problem, y, len(samples), rng=rng, **trained)
        refuse_malformed(drawn, (len(y), len(samples), *prior.shape))
        x[rows, samples.start : samples.stop] = drawn.detach()
    if (
        not x.float().isfinite().flatten(2).all(2).any()
    ):  # as it is stored: float64 has larger numbers
        raise ValueError("no sample is finite")
    return x


def diagnose(
    method: Method | Trainable,
    prior: Prior,
    problem: Problem,
    measurements: Measurements,
    draws: Draws,
    state: State | None,
) -> dict[str, Tensor]:
    """Return a method's diagnoses of its sampler, (m,) by name, from as many paths as samples; {} where it has none.

    state: what `train` returned; None without training.
    """
    if state == {} or not isinstance(method, Diagnosing):
        return {}
    trained = {} if state is None else {"state": state}
    prior, problem = shown(method, prior, problem)
    axes, y = ("diagnose", draws.task, draws.seed), measurements.y
    ids = measurements.image_id.tolist()
    parts = []
    for rows, _ in chunks(len(y), draws.num_samples, draws.rows_per_chunk, splits_samples=False):
        rng = Rng(axes, ids[rows], range(0), y.dtype, y.device, drawn=torch.float64)
        said = method.diagnose(
            prior, problem, y[rows].clone(), draws.num_samples, rng=rng, **trained
        )
        _refuse_other_shapes(said, (len(y[rows]),))
        parts.append(said)
    return {name: torch.cat([part[name].detach().double() for part in parts]) for name in parts[0]}


def _refuse_other_shapes(said: Mapping[str, Tensor], expected: tuple[int]) -> None:
    for name, values in said.items():
        if tuple(values.shape) != expected:
            raise ValueError(
                f"diagnose() returned {name} of shape {tuple(values.shape)}, expected {expected}: "
                "a number for each measurement"
            )


def refuse_malformed(drawn: object, expected: tuple[int, ...]) -> None:
    """Raise ValueError, one line, unless the samples are floating-point numbers of the expected shape."""
    if not isinstance(drawn, Tensor) or tuple(drawn.shape) != expected:
        came = tuple(drawn.shape) if isinstance(drawn, Tensor) else type(drawn).__name__
        raise ValueError(f"sample() returned {came}, expected a tensor of shape {expected}")
    if not drawn.is_floating_point():
        raise ValueError(f"sample() returned {drawn.dtype}, expected floating-point numbers")


def chunks(
    m: int, s: int, rows_per_chunk: int, splits_samples: bool
) -> Iterator[tuple[slice, range]]:
    """Yield the measurements and the samples of each that go into one call, at most rows_per_chunk rows if possible."""
    width = min(s, rows_per_chunk) if splits_samples else s
    height = max(1, rows_per_chunk // s)
    for i in range(0, m, height):
        for j in range(0, s, width):
            yield slice(i, min(i + height, m)), range(j, min(j + width, s))
