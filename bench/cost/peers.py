"""Time DPS of this project, of azula (https://azula.readthedocs.io) and of deepinv (https://deepinv.github.io).

All have the same UNet, batch and number of steps, one thread, and are timed in turns. Each time is divided by that of
as many forward and backward passes of the network alone. Each library's DPS is called as its documentation says, with
its own defaults for schedule and precision, in an ordinary process. Ours runs in a process that keeps freed memory, as
every command of the harness does. Further rows show the effects of keeping memory and of the suite's `channels_last`.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from statistics import median

import torch
from torch import Tensor, nn

from bench.core.artefacts import Json
from bench.core.compute import Compute
from bench.core.registry import load
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.cost.common import Options, Say, at_most, cpu_seconds, format_range
from bench.cost.comparisons import draw
from bench.cost.subjects import DIGITS, format_shape, inpainting, measurements, new_unet, untrained
from bench.runtime.devices import prepared
from bench.runtime.job import keep_memory

PLAIN = Compute()
CHANNELS_LAST = Compute(channels_last=True)
COMPILED = Compute(channels_last=True, compile=True)
STEPS = 21  # the fewest that the linear schedule of DPS allows
PEERS = ("azula", "deepinv")
INSTALL = 'pip install "posterior-bench[peers]"'


@dataclass(frozen=True)
class Size:
    """A network, measurements m with s samples each, and the largest ratio of our seconds to the network's alone."""

    network: dict
    m: int
    s: int
    limit: float


SIZES = (
    Size(DIGITS, 16, 16, 1.05),
    Size({"shape": (3, 32, 32), "channels": (16, 32), "layers_per_block": 1}, 4, 4, 0.9),
)


@dataclass(frozen=True)
class Case:
    """The network, float32 images with a mask (1 where seen), and a prior that calls the network."""

    unet: nn.Module
    prior: Prior
    x: Tensor  # (n, *x)
    mask: Tensor  # (1, *x)


Sampler = Callable[[], object]  # one run of STEPS steps


@dataclass(frozen=True)
class Cost:
    """CPU seconds of each run, their median over that of the network alone, and forward passes per step."""

    seconds: list[float]
    ratio: float
    calls_per_step: float


def measure(options: Options, say: Say) -> Json:
    """Return the costs of all contenders, by size of the images."""
    content: Json = {
        "steps": STEPS,
        "versions": {name: version(name) for name in PEERS if find_spec(name)},
    }
    for size in SIZES:
        content[format_shape(size.network["shape"])] = compare(size, options.repeats, say)
    return content


def compare(size: Size, repeats: int, say: Say) -> Json:
    """Return seconds and ratios by contender; for a package that is not installed, how to install it."""
    missing = {
        name: f"package {name} is not installed: {INSTALL}" for name in PEERS if not find_spec(name)
    }
    names = [name for name in CONTENDERS if name not in missing]
    shape = format_shape(size.network["shape"])
    say(
        f"{shape}, {size.m * size.s} rows, {STEPS} steps: CPU-s of a run, and over the bare passes:"
    )
    costs = in_turns(size, names, repeats)
    for name, cost in costs.items():
        verdict = f" ({at_most(cost.ratio, size.limit)})" if name.startswith("ours") else ""
        more = "" if cost.calls_per_step == 1 else f", {cost.calls_per_step:.2f} passes a step"
        say(f"  {name:29} {format_range(cost.seconds)}  {cost.ratio:.2f}{verdict}{more}")
    for name, words in missing.items():
        say(f"  {name:29} n/a ({words})")
    return {
        "m": size.m,
        "s": size.s,
        **{name: asdict(cost) for name, cost in costs.items()},
        **missing,
    }


def in_turns(size: Size, names: Sequence[str], repeats: int) -> dict[str, Cost]:
    """Time contenders in turns, each in a process of its own.

    Two untimed runs come first: one counts network passes, the other compiles the network and warms caches.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "diffusers.models.unets.unet_2d"])
    lines, calls = {}, {}
    for name in names:
        lines[name], end = context.Pipe()
        context.Process(target=serve, args=(end, name, size), daemon=True).start()
        end.close()
        calls[name] = lines[name].recv()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, line in lines.items():
            line.send(True)
            seconds[name].append(line.recv())
    for line in lines.values():
        line.send(False)
    return costs_of(seconds, calls)


def serve(line: Connection, name: str, size: Size) -> None:
    """Serve a contender in its own process: send its network passes per run, then seconds of a run for each True."""
    torch.set_num_threads(1)
    if name in KEEPING:
        keep_memory()
    case = case_of(size)
    work = CONTENDERS[name](case, size)
    # the counting hook would be compiled into the network
    with torch.compiler.set_stance("force_eager"):
        calls = counted(work, case.unet)
    work()
    line.send(calls)
    while line.recv():
        line.send(cpu_seconds(work))


def costs_of(seconds: Mapping[str, list[float]], calls: Mapping[str, int]) -> dict[str, Cost]:
    """Return costs relative to `bare`."""
    bare = median(seconds["bare"])
    return {
        name: Cost(took, median(took) / bare, calls[name] / STEPS) for name, took in seconds.items()
    }


def case_of(size: Size) -> Case:
    """Return the network, images and mask of a size."""
    unet = new_unet(**size.network)
    prior = untrained(unet)
    x = prior.sample(size.m * size.s, Rng(("cost", "peers"), (0,)))[0].float()
    mask = torch.ones(1, *prior.shape)
    mask[..., : prior.shape[-1] // 2] = 0
    return Case(unet, prior, x, mask)


def counted(work: Sampler, unet: nn.Module) -> int:
    """Count how often `work` calls the network."""
    calls: list[None] = []
    handle = unet.register_forward_hook(lambda *_: calls.append(None))
    try:
        work()
    finally:
        handle.remove()
    return len(calls)


def passes(unet: nn.Module, x: Tensor) -> None:
    """Pass images (n, *x) STEPS times through the network, forward and back to the images."""
    t, cotangent = torch.tensor(0.3), torch.ones_like(x)
    for _ in range(STEPS):
        x = x.detach().requires_grad_()
        torch.autograd.grad(unet(x, t, return_dict=False)[0], x, cotangent)


def bare(case: Case, size: Size) -> Sampler:
    """Return the passes of the network alone."""
    return lambda: passes(case.unet, case.x)


def channels_last(case: Case, size: Size) -> Sampler:
    """Return the passes of the network alone, with the channels of a pixel adjacent in memory."""
    case.unet.to(memory_format=torch.channels_last)
    x = case.x.contiguous(memory_format=torch.channels_last)
    return lambda: passes(case.unet, x)


def ours(case: Case, size: Size, compute: Compute = PLAIN) -> Sampler:
    """Return DPS of this project."""
    prior = prepared(case.prior, compute)
    problem = inpainting(case.prior.shape)
    y = measurements(prior, problem, size.m)
    method = load("method", "dps")(num_steps=STEPS)
    return lambda: draw(method, prior, problem, y, size.s)


class Called(nn.Module):
    """A function of images and a noise level as a module, as both libraries expect; `unet` gives it a dtype."""

    def __init__(self, unet: nn.Module, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.unet, self.function = unet, function

    def forward(self, x: Tensor, level: Tensor, *_: object) -> Tensor:
        return self.function(x, level)


def azula(case: Case, size: Size) -> Sampler:
    """Return `azula.guidance.dps.DPSSampler` on the network with azula's preconditioning."""
    from azula.denoise import KarrasDenoiser
    from azula.guidance.dps import DPSSampler
    from azula.noise import VPSchedule

    network = Called(case.unet, lambda x, t: case.unet(x, t, return_dict=False)[0])
    denoiser = KarrasDenoiser(network, VPSchedule())
    sampler = DPSSampler(
        denoiser, y=case.mask * case.x, A=lambda x: case.mask * x, steps=STEPS, silent=True
    )
    return lambda: sampler(sampler.init(case.x.shape))


def deepinv(case: Case, size: Size) -> Sampler:
    """Return `deepinv.sampling.DPS` on the prior's denoiser, which calls the network once; images in [-1, 1]."""
    from deepinv.physics import Inpainting
    from deepinv.sampling import DPS as Theirs

    denoiser = Called(case.unet, lambda x, sigma: case.prior.denoise(x, sigma))
    sampler = Theirs(denoiser, num_steps=STEPS + 1, minus_one_one=False)
    physics = Inpainting(img_size=tuple(case.x.shape[1:]), mask=case.mask[0])
    return lambda: sampler(case.mask * case.x, physics, x_init=tuple(case.x.shape))


CONTENDERS: Mapping[str, Callable[[Case, Size], Sampler]] = {
    "bare": bare,
    "bare, memory kept": bare,
    "bare, channels last": channels_last,
    "ours": ours,
    "ours, channels last": partial(ours, compute=CHANNELS_LAST),
    "ours, channels last, compiled": partial(ours, compute=COMPILED),
    "azula": azula,
    "deepinv": deepinv,
}
KEEPING = (
    "bare, memory kept",
    "bare, channels last",
    "ours",
    "ours, channels last",
    "ours, channels last, compiled",
)
