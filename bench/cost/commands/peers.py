"""DPS here, of azula (https://azula.readthedocs.io) and of deepinv (https://deepinv.github.io): the same UNet, batch,
number of steps and thread, in turns, over as many bare forward and backward passes of the network as it was loaded.

Each library's DPS is called as its documentation says, with its own defaults for schedule and precision. Beside them
the bare passes with weights and images channels last.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median

import torch
from torch import Tensor, nn

from bench.artefacts import Json
from bench.cost.commands.common import Options, Say, at_most, cpu_seconds, in_range
from bench.cost.commands.subjects import DIGITS, inpainting, measurements, new_unet, size_of, untrained
from bench.cost.overhead import run
from bench.rng import Rng
from bench.types import Prior
from methods.dps import DPS

STEPS = 21  # as few as the linear schedule of DPS has
SMALL = DIGITS, 16, 16, 1.05  # network, m, s and what ours may cost at most
LARGE = {"shape": (3, 32, 32), "channels": (16, 32), "layers_per_block": 1}, 4, 4, 0.9
PEERS = ("azula", "deepinv")
INSTALL = 'pip install "posterior-bench[peers]"'


@dataclass(frozen=True)
class Case:
    """The network, images and the mask of what is seen of them, float32, and a prior that calls the network."""

    unet: nn.Module
    prior: Prior
    x: Tensor  # (n, *x)
    mask: Tensor  # (1, *x)


Sampler = Callable[[], object]  # one run of STEPS steps


@dataclass(frozen=True)
class Cost:
    """CPU seconds of each run, over the median of the bare passes; network passes forward in a step."""

    seconds: list[float]
    ratio: float
    calls_per_step: float


def measure(options: Options, say: Say) -> Json:
    found: Json = {"steps": STEPS, "versions": {name: version(name) for name in PEERS if find_spec(name)}}
    for network, m, s, limit in (SMALL, LARGE):
        prior = untrained(new_unet(**network))
        found[size_of(prior)] = compare(prior, m, s, limit, options.repeats, say)
    return found


def compare(prior: Prior, m: int, s: int, limit: float, repeats: int, say: Say) -> Json:
    unet = prior.map.pipeline.unet
    mask = torch.ones(1, *prior.shape)
    mask[..., : prior.shape[-1] // 2] = 0
    case = Case(unet, prior, prior.sample(m * s, Rng(("cost", "peers"), (0,)))[0].float(), mask)
    runs, missing = contenders(case, m, s)
    say(f"{size_of(prior)}, {m * s} rows, {STEPS} steps, CPU-s of a run and its ratio to the bare passes:")
    costs = in_turns(runs, unet, repeats)
    for name, cost in costs.items():
        judged = f" ({at_most(cost.ratio, limit)})" if name == "ours" else ""
        more = "" if cost.calls_per_step == 1 else f", {cost.calls_per_step:.2f} passes a step"
        say(f"  {name:20} {in_range(cost.seconds)}  {cost.ratio:.2f}{judged}{more}")
    for name, words in missing.items():
        say(f"  {name:20} n/a ({words})")
    return {"m": m, "s": s, **{name: asdict(cost) for name, cost in costs.items()}, **missing}


def contenders(case: Case, m: int, s: int) -> tuple[dict[str, Sampler], dict[str, str]]:
    """Who runs, by name, and why others do not."""
    last = copy.deepcopy(case.unet).to(memory_format=torch.channels_last)
    problem = inpainting(case.prior.shape)
    y = measurements(case.prior, problem, m)
    runs: dict[str, Sampler] = {
        "bare": lambda: passes(case.unet, case.x),
        "bare, channels last": lambda: passes(last, case.x.contiguous(memory_format=torch.channels_last)),
        "ours": lambda: run(DPS(num_steps=STEPS), case.prior, problem, y, s),
    }
    missing = {}
    for name, make in zip(PEERS, (azula, deepinv), strict=True):
        try:
            runs[name] = make(case)
        except ImportError as error:
            package = (error.name or name).partition(".")[0]
            missing[name] = f"package {package} is not installed: {INSTALL}"
    return runs, missing


def in_turns(runs: Mapping[str, Sampler], unet: nn.Module, repeats: int) -> dict[str, Cost]:
    """One untimed run of each, which counts its network passes, then timed ones in turns."""
    calls = {name: counted(work, unet) for name, work in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, work in runs.items():
            seconds[name].append(cpu_seconds(work))
    return costs_of(seconds, calls)


def costs_of(seconds: Mapping[str, list[float]], calls: Mapping[str, int]) -> dict[str, Cost]:
    """Relative to `bare`. The copy in another layout is not the network whose calls were counted."""
    bare = median(seconds["bare"])
    return {name: Cost(took, median(took) / bare, (calls[name] or STEPS) / STEPS) for name, took in seconds.items()}


def counted(work: Sampler, unet: nn.Module) -> int:
    """How often `work` calls the network."""
    calls: list[None] = []
    handle = unet.register_forward_hook(lambda *_: calls.append(None))
    try:
        work()
    finally:
        handle.remove()
    return len(calls)


def passes(unet: nn.Module, x: Tensor) -> None:
    """STEPS times forward and back to the images."""
    t, cotangent = torch.tensor(0.3), torch.ones_like(x)
    for _ in range(STEPS):
        x = x.detach().requires_grad_()
        torch.autograd.grad(unet(x, t, return_dict=False)[0], x, cotangent)


class Called(nn.Module):
    """A function of images and a level as the module that both libraries want; `unet` tells its precision."""

    def __init__(self, unet: nn.Module, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.unet, self.function = unet, function

    def forward(self, x: Tensor, level: Tensor, *_: object) -> Tensor:
        return self.function(x, level)


def azula(case: Case) -> Sampler:
    """`azula.guidance.dps.DPSSampler` on the network with azula's preconditioning."""
    from azula.denoise import KarrasDenoiser
    from azula.guidance.dps import DPSSampler
    from azula.noise import VPSchedule

    network = Called(case.unet, lambda x, t: case.unet(x, t, return_dict=False)[0])
    denoiser = KarrasDenoiser(network, VPSchedule())
    sampler = DPSSampler(denoiser, y=case.mask * case.x, A=lambda x: case.mask * x, steps=STEPS, silent=True)
    return lambda: sampler(sampler.init(case.x.shape))


def deepinv(case: Case) -> Sampler:
    """`deepinv.sampling.DPS` on the prior's denoiser, which calls the network once; images in [-1, 1]."""
    from deepinv.physics import Inpainting
    from deepinv.sampling import DPS as Theirs

    denoiser = Called(case.unet, lambda x, sigma: case.prior.denoise(x, sigma))
    sampler = Theirs(denoiser, num_steps=STEPS + 1, minus_one_one=False)
    physics = Inpainting(img_size=tuple(case.x.shape[1:]), mask=case.mask[0])
    return lambda: sampler(case.mask * case.x, physics, x_init=tuple(case.x.shape))
