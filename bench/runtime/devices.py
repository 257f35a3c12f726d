"""Take the device that a `Compute` names, and prepare a prior's networks for it.

`bf16` is autocast around networks alone: closed forms, such as a mixture's denoiser, and all computations of a method
stay float32. `tf32` is a switch for a whole process, and stays off where the prior has no network: with it the denoiser
of a mixture of Gaussians lost two of its digits on a GPU (results/reference/cost/precision_gpu.md).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from bench.core.compute import Compute
from bench.core.errors import UserError
from bench.core.networks import networks_of
from bench.core.types import Prior
from bench.runtime.compiled_layers import ease_compiling
from bench.runtime.lease import VISIBLE, lease_gpu


@contextlib.contextmanager
def computing(compute: Compute) -> Iterator[torch.device]:
    """Yield the device, leased for this process alone where it is a GPU, with TF32 on or off as `compute` says."""
    with contextlib.ExitStack() as stack:
        if compute.device == "cuda":
            # this asks the driver; `is_available` would start CUDA too early, see below
            num_gpus = torch.cuda.device_count()
            if not num_gpus:
                raise UserError(
                    "device: cuda: torch sees no GPU here; run on a machine with one, or set device: cpu"
                )
            # set before CUDA starts in this process, so that the leased GPU is the only one that it sees
            os.environ[VISIBLE] = stack.enter_context(lease_gpu(num_gpus))
        stack.enter_context(_tf32(compute.precision == "tf32"))
        yield torch.device(compute.device)


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    matmul, cudnn = _switches()
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed  # cuDNN's is on by default
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def _switches() -> tuple[Any, Any]:
    # the stub of cudnn lacks allow_tf32
    return torch.backends.cuda.matmul, cast(Any, torch.backends.cudnn)


def prepared(prior: Prior, compute: Compute) -> Prior:
    """Change the prior's networks in place as `compute` says, and return it. They are compiled at their first call.

    A prior without networks switches TF32 off until `computing` ends.
    """
    networks = networks_of(prior)
    if not networks:
        for switch in _switches():
            switch.allow_tf32 = False
    for network in networks:
        if compute.precision == "bf16":
            network.forward = torch.autocast(compute.device, torch.bfloat16)(network.forward)
            network.register_forward_hook(
                lambda _module, _inputs, output: tree_map_only(Tensor, Tensor.float, output)
            )
        if compute.channels_last:
            network.to(memory_format=torch.channels_last)
        if compute.compile:
            if compute.channels_last and compute.device == "cpu" and compute.precision != "bf16":
                ease_compiling(network)
            network.compile(mode="reduce-overhead" if compute.cuda_graphs else "default")
    return prior


def moved(state: Mapping[str, Tensor] | None, device: torch.device) -> dict[str, Tensor] | None:
    """Return a trained method's tensors on the device of the run, in the dtypes in which they were stored."""
    return None if state is None else {name: tensor.to(device) for name, tensor in state.items()}


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return the clock for work on a device: processor time on a CPU, which other jobs do not lengthen, else the wall.

    Processor time is that of all threads of this process.
    """
    return time.process_time if device.type == "cpu" else time.perf_counter
