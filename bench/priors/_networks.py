"""Build, initialise and fit the small networks of the learned priors, with all randomness from `rng`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from bench.core.rng import Rng
from bench.core.types import Decoder, Random
from bench.numerics import training
from bench.numerics.nets import initialise, load_state

M = TypeVar("M", bound=nn.Module)


def new(build: Callable[[], M], rng: Random, zero: Sequence[str] = ()) -> M:
    """Return `build()` with weights from `rng`, `zero` as in `initialise`.

    The global generator, which torch's constructors draw from, is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        module = build()
    initialise(module, rng, zero, gain=3**-0.5)
    return module


def restored(build: Callable[[], M], tensors: Mapping[str, Tensor], prefix: str) -> M:
    """Return `build()` with the weights that `flatten_state` stored under `prefix`, frozen, on their device."""
    with torch.random.fork_rng(devices=[]):
        module = build()
    device = next(iter(tensors.values())).device
    load_state(module, tensors, prefix)
    return frozen(module.to(device))


def mlp(
    num_inputs: int, num_outputs: int, width: int, depth: int, activation: type[nn.Module] = nn.SiLU
) -> nn.Sequential:
    """Return `depth` hidden layers of `width` units, (n, num_inputs) -> (n, num_outputs)."""
    sizes = [num_inputs, *[width] * depth]
    hidden = [
        layer
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        for layer in (nn.Linear(a, b), activation())
    ]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], num_outputs))


def new_unet(
    shape: tuple[int, ...], channels: Sequence[int], layers_per_block: int, rng: Random
) -> nn.Module:
    """Return a diffusers `UNet2DModel` without attention, with a level per entry of `channels` and an output of zero.

    With layers_per_block = 0 the way down has strided convolutions only, which is twice as fast but needs equal
    channels.
    """
    from diffusers.models.unets.unet_2d import UNet2DModel

    build = partial(
        UNet2DModel,
        sample_size=shape[1] if shape[1] == shape[2] else (shape[1], shape[2]),
        in_channels=shape[0],
        out_channels=shape[0],
        block_out_channels=tuple(channels),
        layers_per_block=layers_per_block,
        down_block_types=("DownBlock2D",) * len(channels),
        up_block_types=("UpBlock2D",) * len(channels),
        norm_num_groups=math.gcd(*channels, 8),
        add_attention=False,
    )
    return new(build, rng, zero=("conv_out",))


class Descent(training.Descent, Generic[M]):
    """Adam on a module, with a rate that rises over the first 5 % of the steps and falls to zero along a cosine.

    average: the module with the exponential moving average of its weights.
    """

    def __init__(
        self,
        module: M,
        num_steps: int,
        learning_rate: float,
        ema_decay: float,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        def rate(progress: float) -> float:
            warm_up = min(1.0, 20 * (progress + 1 / num_steps))
            return learning_rate * warm_up * (1 + math.cos(math.pi * progress)) / 2

        super().__init__(
            torch.optim.Adam(module.parameters(), betas=betas, fused=True), num_steps, rate
        )
        self.module, self.ema_decay, self.average = module, ema_decay, frozen(copy.deepcopy(module))

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss` (), and move the average along."""
        decay = min(self.ema_decay, (1 + self.num_done) / (10 + self.num_done))
        super().step(loss)
        move_towards(self.average, self.module, 1 - decay)


@torch.no_grad()
def move_towards(average: nn.Module, module: nn.Module, share: float) -> None:
    """Move the weights of `average` by `share` of the way to those of `module`, in place."""
    lerp = torch._foreach_lerp_  # pyright: ignore[reportPrivateImportUsage] (no public function does this)
    lerp(list(average.parameters()), list(module.parameters()), share)


def minimise(
    module: M, loss: Callable[[], Tensor], num_steps: int, learning_rate: float, ema_decay: float
) -> M:
    """Take `num_steps` of descent on `loss()`; return the average of the module over them, frozen."""
    descent = Descent(module, num_steps, learning_rate, ema_decay)
    training.minimise(lambda _: loss(), descent)
    return descent.average


def frozen(module: M) -> M:
    """Return the module, ready for use: gradients pass to its inputs but not to its weights."""
    return module.eval().requires_grad_(False)


def batch(images: Tensor, size: int, rng: Random) -> Tensor:
    """Draw `size` images with replacement."""
    return images[rng.randint(len(images), (size,))[0]]


def num_parameters(module: nn.Module) -> int:
    """Return the number of weights."""
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def decoders_apart(prior: Decoder, other: Decoder, num_rows: int = 512) -> float:
    """Return the difference of two decoders on the same noise, root mean square over pixels, in data units."""
    z = Rng(("card", "decoders"), (0,)).randn((num_rows, *prior.latent_shape))[0]
    return (prior.decode(z) - other.decode(z)).square().mean().sqrt().item()


@torch.no_grad()
def draw(prior: Decoder, num_samples: int, rng: Random, rows_per_chunk: int = 1024) -> Tensor:
    """Draw noise and decode it, `(m, num_samples, *x)`."""
    z = rng.randn((num_samples, *prior.latent_shape))
    x = torch.cat([prior.decode(part) for part in z.flatten(0, 1).split(rows_per_chunk)])
    return x.unflatten(0, z.shape[:2])
