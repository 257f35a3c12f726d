"""Draw samples of a task in memory, with the streams, chunks and metering of the workflow."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from torch import Tensor

from bench.core.types import Method
from bench.runtime.metering import counted, counted_problem
from bench.runtime.run_method import Draws, refuse_unmet, sample, train, trainable
from bench.task import Task


@dataclass(frozen=True)
class Cost:
    """What samples cost: rows through the prior's network per sample, forward and backward, and seconds in all.

    train_*: rows and seconds of training in all.
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
    """Return samples (m, num_samples, *x), float32, and their cost; trains a method that trains, as the workflow does.

    Raises Unsupported where prior or problem lack a capability that the method needs.
    """
    refuse_unmet(method, task.prior, task.problem)
    prior, meter = counted(task.prior)
    training, begin = meter, time.perf_counter()
    state = None
    if trainable(method):
        prior_of_training, training = counted(task.prior)
        plain = replace(task.problem, posterior=None)  # as a job of training has it
        state = train(method, prior_of_training, plain, task.name, seed, task.y.dtype, task.y.device)
    trained = time.perf_counter()
    draws = Draws(task.name, seed, num_samples, rows_per_chunk)
    x = sample(method, prior, counted_problem(task.problem)[0], task.measured, draws, state)
    rows, seconds = len(task.y) * num_samples, time.perf_counter() - trained
    spent = (training.forward, training.backward, trained - begin) if state is not None else (0, 0, 0.0)
    return x.float(), Cost(meter.nfe(rows), meter.nfe_vjp(rows), seconds, *spent)
