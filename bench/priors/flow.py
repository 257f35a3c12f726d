"""`flow`: rectified flow, the velocity of straight paths x_t = (1 - t) z + t x, which the decoder follows from t = 0.

Liu et al., Flow Straight and Fast, ICLR 2023, https://arxiv.org/abs/2209.03003, and Lipman et al., Flow Matching for
Generative Modeling, ICLR 2023, https://arxiv.org/abs/2210.02747
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Cap, Prior, Random
from bench.numerics.nets import MLP, flatten_state
from bench.priors import _networks as networks

__all__ = ["FlowFamily"]

Tensors = dict[str, Tensor]


class Velocity(nn.Module):
    """The velocity v(x_t, t) = E[x - z | x_t] for centred x: the best linear estimate plus a network's correction.

    For white x of variance s^2 the linear estimate is (t s^2 - (1 - t)) x_t / V with V = (1 - t)^2 + t^2 s^2, and has
    an error of s / sqrt(V) per pixel. The network's input and output are scaled to order one at each t.
    """

    def __init__(self, num_pixels: int, settings: FlowFamily) -> None:
        super().__init__()
        self.network = MLP(
            num_pixels, num_pixels, settings.width, settings.num_layers, settings.num_features
        )
        self.scale: Tensor  # s
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the velocity: x_t (n, D), t (n,) -> (n, D)."""
        s, t_x = self.scale, t[:, None]
        root = ((1 - t_x) ** 2 + (t_x * s) ** 2).sqrt()
        return ((t_x * s**2 - (1 - t_x)) * x_t / root + s * self.network(x_t / root, t)) / root


@dataclass(frozen=True, eq=False)
class Flow:
    """A flow; `velocity` acts on centred, flat images, float32, and `mean` (*x) is that of the training images."""

    velocity: Velocity
    mean: Tensor
    num_ode_steps: int

    caps: ClassVar[Cap] = Cap.DENOISER | Cap.DECODER
    sigma_range: ClassVar[tuple[float, float]] = (0.002, 200.0)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def decode_nfe(self) -> int:
        return 2 * self.num_ode_steps

    @property
    def sample_nfe(self) -> int:
        return self.decode_nfe

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x + sigma eps], (n, *x), sigma () or (n,), from the path at t = 1 / (1 + sigma).

        u = t (x + sigma eps) = t x + (1 - t) eps is on a straight path, whose end is x = u + (1 - t) (x - eps).
        """
        t = 1 / (
            1 + torch.as_tensor(sigma, dtype=torch.float32, device=x_t.device).expand(len(x_t))
        )
        on_path = t[:, None] * (x_t.float() - self.mean).flatten(1)
        x = on_path + (1 - t[:, None]) * self.velocity(on_path, t)
        return (x.view(x_t.shape) + self.mean).to(x_t.dtype)

    def decode(self, z: Tensor) -> Tensor:
        """Return x = f(z), (n, *z) -> (n, *x)."""
        x, h = z.float().flatten(1), 1 / self.num_ode_steps
        for i in range(self.num_ode_steps):
            t = torch.full((len(x),), i * h, device=x.device)
            middle = x + h / 2 * self.velocity(x, t)
            x = x + h * self.velocity(middle, t + h / 2)
        return (x.view(z.shape) + self.mean).to(z.dtype)


@dataclass(frozen=True)
class FlowFamily:
    """A velocity network trained on pairs of an image and noise, at uniform times."""

    num_ode_steps: int = 6  # steps of the decoder's ODE, by the midpoint rule
    width: int = 192  # units of a hidden layer
    num_layers: int = 3  # hidden layers
    num_features: int = 8  # of the time
    num_iterations: int = 8000  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 4e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # decay of the running average of the weights, which is the result

    # for tests
    tiny: ClassVar[Mapping[str, object]] = {"width": 8, "num_iterations": 3, "num_ode_steps": 2}

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return mean and network; the card has the error of the decoder's ODE."""
        rng = Rng(("fit", "flow"), (0,), dtype=torch.float32)
        mean = data["train"].mean(0)
        images = (data["train"] - mean).flatten(1)
        velocity = networks.new(lambda: Velocity(images.shape[1], self), rng, zero=("network.out",))
        velocity.scale.copy_(images.square().mean().sqrt())

        def loss() -> Tensor:
            x = networks.batch(images, self.batch_size, rng)
            z, t = rng.randn(tuple(x.shape))[0], rng.rand((len(x),))[0]
            error = velocity((1 - t[:, None]) * z + t[:, None] * x, t) - (x - z)
            return error.square().mean()

        velocity = networks.minimise(
            velocity, loss, self.num_iterations, self.learning_rate, self.ema_decay
        )
        prior, fine = (
            Flow(velocity, mean, n) for n in (self.num_ode_steps, 4 * self.num_ode_steps)
        )
        error = networks.decoders_apart(prior, fine)
        card = {
            "num_parameters": networks.num_parameters(velocity),
            "rms_error_against_fine_integrator": error,
        }
        return {"mean": mean} | flatten_state(velocity, "velocity"), card

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Flow:
        """Return the prior with the stored tensors."""
        mean = tensors["mean"].float()
        velocity = networks.restored(lambda: Velocity(mean.numel(), self), tensors, "velocity")
        return Flow(velocity, mean, self.num_ode_steps)
