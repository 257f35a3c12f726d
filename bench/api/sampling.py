"""Draw samples of a task in memory, with the streams, chunks and metering of the workflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.core.errors import UserError
from bench.core.registry import build, filled, load_file
from bench.core.types import Method
from bench.runtime.global_state import kept_state
from bench.runtime.metering import counted, counted_problem
from bench.runtime.run_method import Draws, Unsupported, refuse_unmet, sample, train, trainable
from bench.task import Task


@dataclass(frozen=True)
class Cost:
    """The cost of samples: network rows per sample, forward and backward, and seconds in total.

    train_*: network rows and seconds of the whole training.
    """

    nfe: float
    nfe_vjp: float
    seconds: float
    train_nfe: int = 0
    train_nfe_vjp: int = 0
    train_seconds: float = 0.0


def draw_samples(
    method: Method, task: Task, num_samples: int, seed: int = 0, rows_per_chunk: int = 1024
) -> tuple[Tensor, Cost]:
    """Return samples (m, num_samples, *x), float32, and their cost, after training a method that is trained.

    Random generators, torch's settings and the environment are restored, whatever the method does to them. Raises
    Unsupported where prior or problem lack a capability that the method needs.
    """
    refuse_impossible(method, task, num_samples=num_samples, rows_per_chunk=rows_per_chunk)
    prior, meter = counted(task.prior)
    training, begin = meter, time.perf_counter()
    state = None
    if trainable(method):
        prior_of_training, training = counted(task.prior)
        # as in the workflow, where training does not see the exact posterior
        plain = replace(task.problem, posterior=None)
        arguments = (task.name, seed, task.y.dtype, task.y.device)
        with kept_state():
            state = train(method, prior_of_training, plain, *arguments)
    trained = time.perf_counter()
    draws = Draws(task.name, seed, num_samples, rows_per_chunk)
    with kept_state():
        x = sample(method, prior, counted_problem(task.problem)[0], task.measured, draws, state)
    rows, seconds = len(task.y) * num_samples, time.perf_counter() - trained
    spent = (
        (training.forward, training.backward, trained - begin) if state is not None else (0, 0, 0.0)
    )
    return x.float(), Cost(meter.nfe(rows), meter.nfe_vjp(rows), seconds, *spent)


def refuse_impossible(method: Method, task: object, **counts: object) -> None:
    """Raise UserError for a wrong task or count, and Unsupported where the task lacks a capability; each one line."""
    if not isinstance(task, Task):
        raise UserError(
            f"task is a {type(task).__name__}; expected a Task, as bench.load_task returns it"
        )
    for name, value in counts.items():
        if type(value) is not int or value < 1:
            raise UserError(f"{name} is {value!r}; expected a whole number, 1 or more")
    try:
        refuse_unmet(method, task.prior, task.problem)
    except Unsupported as lack:
        raise Unsupported(
            f"{type(method).__name__} {lack}, which {task.name} does not have"
        ) from None


def method_of(method: Method | str | Path, settings: Mapping[str, Any]) -> Method:
    """Return the method given by name, by file or as an object; raise UserError, one line, where there is none."""
    if isinstance(method, (str, Path)):
        return _named_method(str(method), settings)
    if isinstance(method, type):
        raise UserError(
            f"method is the class {method.__name__}; expected an object: {method.__name__}(...)"
        )
    if settings:
        raise UserError(
            "settings are for a method's name or path; an object gets its settings when it is made"
        )
    if not (callable(getattr(method, "sample", None)) and hasattr(method, "needs")):
        raise UserError(
            f"method is a {type(method).__name__}; expected an object with `needs` and `sample`, or a name"
        )
    return method


def _named_method(name: str, settings: Mapping[str, Any]) -> Method:
    try:
        if not name.endswith(".py"):
            return build("method", name, settings)
        if not Path(name).is_file():
            raise UserError(
                f"{name}: no such file; expected the path of a method, or a name without .py"
            )
        file = Path(name).resolve()
        return filled(load_file(file, f"methods.{file.stem}"), name, settings)
    except SyntaxError as error:  # its message names file and line
        raise UserError(f"{name}: is no Python that can be read: {error}") from None
    except ValueError as error:
        raise UserError(str(error)) from None
    except TypeError as error:
        if not settings:
            raise
        raise UserError(f"settings of {name}, {dict(settings)}: {error}") from error
