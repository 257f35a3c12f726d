"""Make functions of x_t = x + sigma eps from networks in their schedulers' conventions: E[x | x_t] or the ODE's end."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.core.errors import UserError
from bench.priors.adapters.diffusers import CONSISTENCY, EDM, Pipeline


@dataclass(frozen=True, eq=False)
class EDMDenoiser:
    """D(x_t) = (sigma_data c_in)^2 x_t + sigma_data sigma c_in F(c_in x_t, log(sigma) / 4).

    c_in^-2 = sigma^2 + sigma_data^2. Karras et al. 2022, https://arxiv.org/abs/2206.00364, table 1
    """

    pipeline: Pipeline

    @property
    def sigma_range(self) -> tuple[float, float]:
        return self.pipeline.scheduler.config.sigma_min, self.pipeline.scheduler.config.sigma_max

    def __call__(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t]: x_t (n, *x), sigma () or (n,), float32; below sigma_min the network gets sigma_min."""
        config = self.pipeline.scheduler.config
        sign = 1 if config.prediction_type == "epsilon" else -1
        sigma_x = spread(sigma, x_t)
        c_in = (sigma_x.square() + config.sigma_data**2).rsqrt()
        output = self.pipeline.predict(c_in * x_t, sigma.clamp_min(config.sigma_min).log() / 4)
        return (
            config.sigma_data * c_in
        ).square() * x_t + sign * config.sigma_data * sigma_x * c_in * output


@dataclass(frozen=True, eq=False)
class DDPMDenoiser:
    """A network of x_i = sqrt(abar_i) x + sqrt(1 - abar_i) eps, called at the (fractional) step i of the given sigma.

    sigma_i^2 = (1 - abar_i) / abar_i. Ho et al. 2020, https://arxiv.org/abs/2006.11239
    """

    pipeline: Pipeline

    @cached_property
    def log_sigmas(self) -> Tensor:
        """Return log sigma of every step, increasing, (num_train_timesteps,) float64."""
        abar = self.pipeline.scheduler.alphas_cumprod.double()
        return ((1 - abar) / abar.clamp_min(1e-8)).log() / 2

    @property
    def sigma_range(self) -> tuple[float, float]:
        return self.log_sigmas[0].exp().item(), self.log_sigmas[-1].exp().item()

    def __call__(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        scale = spread((sigma.square() + 1).rsqrt(), x_t)  # sqrt(abar)
        sigma_x, x_i = spread(sigma, x_t), scale * x_t
        output = self.pipeline.predict(x_i, self.step(sigma))
        match self.pipeline.scheduler.config.prediction_type:
            case "epsilon":
                return x_t - sigma_x * output
            case "v_prediction":
                return scale * (x_i - sigma_x * output)
            case _:  # "sample", the only other one that `denoiser_of` opens
                return output

    def step(self, sigma: Tensor) -> Tensor:
        """Return the step, with a fraction, whose noise level is sigma, by linear interpolation in log sigma."""
        levels, wanted = self._levels_on(sigma.device), sigma.double().log()
        above = torch.searchsorted(levels, wanted).clamp(1, len(levels) - 1)
        share = (wanted - levels[above - 1]) / (levels[above] - levels[above - 1])
        return (above - 1 + share.clamp(0, 1)).to(sigma.dtype)

    def _levels_on(self, device: torch.device) -> Tensor:
        """Return the levels on a device, kept there: a copy at each call would make the CPU wait for the GPU."""
        if device not in self._kept:
            self._kept[device] = self.log_sigmas.to(device)
        return self._kept[device]

    @cached_property
    def _kept(self) -> dict[torch.device, Tensor]:
        return {}


@dataclass(frozen=True, eq=False)
class ConsistencyMap:
    """f(x_t, sigma) = c_skip x_t + c_out F(c_in x_t, 250 log sigma), with f(x, sigma_min) = x, all in float32."""

    pipeline: Pipeline

    def __call__(self, x_t: Tensor, sigma: Tensor, t: Tensor | None = None) -> Tensor:
        """Return f(x_t, sigma): x_t (n, *x), sigma () or (n,). The order of operations is the scheduler's."""
        config = self.pipeline.scheduler.config
        sigma_x, sigma_data = spread(sigma, x_t), config.sigma_data
        total = (sigma_x**2 + sigma_data**2) ** 0.5
        output = self.pipeline.predict(x_t / total, 250 * sigma.log() if t is None else t)
        c_skip = sigma_data**2 / ((sigma_x - config.sigma_min) ** 2 + sigma_data**2)
        c_out = (sigma_x - config.sigma_min) * sigma_data / total
        x = c_out * output + c_skip * x_t
        return x.clamp(-1, 1) if config.clip_denoised else x

    def levels(self, num_steps: int) -> tuple[Tensor, Tensor]:
        """Return the noise levels of the steps and then sigma_min, (num_steps + 1,), and their times (num_steps,)."""
        scheduler = copy.copy(self.pipeline.scheduler)
        scheduler.set_timesteps(num_steps)
        return scheduler.sigmas, scheduler.timesteps

    def _levels_on(self, num_steps: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the levels on a device, kept there: a copy at each call would make the CPU wait for the GPU."""
        if (num_steps, device) not in self._kept:
            sigmas, times = self.levels(num_steps)
            self._kept[num_steps, device] = sigmas.to(device), times.to(device)
        return self._kept[num_steps, device]

    @cached_property
    def _kept(self) -> dict[tuple[int, torch.device], tuple[Tensor, Tensor]]:
        return {}

    def multistep(self, z: Tensor, noise: Tensor | None) -> Tensor:
        """Follow algorithm 1 from z (n, *x) to x, float32; noise (num_steps, 1 or n, *x), None for one step."""
        config, num_steps = self.pipeline.scheduler.config, 1 if noise is None else len(noise)
        sigmas, times = self._levels_on(num_steps, z.device)
        x = z * config.sigma_max
        for i in range(num_steps):
            x = self(x, sigmas[i], times[i])
            # also after the last step, as the scheduler does, where its standard deviation is 0 up to rounding
            if noise is not None:
                scale = (
                    sigmas[i + 1].clamp(config.sigma_min, config.sigma_max) ** 2
                    - config.sigma_min**2
                )
                x = x + noise[i] * config.s_noise * scale.clamp_min(0) ** 0.5
        return x


def denoiser_of(pipeline: Pipeline) -> EDMDenoiser | DDPMDenoiser:
    """Return the denoiser for the pipeline's scheduler; raise UserError if there is none."""
    predicts = pipeline.scheduler.config.get("prediction_type", "epsilon")
    if pipeline.kind.startswith("EDM") and predicts in ("epsilon", "v_prediction"):
        limits = pipeline.scheduler.config
        _refuse_levels(pipeline, torch.tensor([limits.sigma_min, limits.sigma_max]).log())
        return EDMDenoiser(pipeline)
    of_ddpm = pipeline.kind.startswith("DD") and hasattr(pipeline.scheduler, "alphas_cumprod")
    if of_ddpm and predicts in ("epsilon", "v_prediction", "sample"):
        _refuse_levels(pipeline, DDPMDenoiser(pipeline).log_sigmas)
        return DDPMDenoiser(pipeline)
    hint = "; family consistency opens it" if pipeline.kind == CONSISTENCY else ""
    raise UserError(
        f"{pipeline.kind} predicting {predicts}: expected {EDM}, DDPMScheduler or DDIMScheduler{hint}"
    )


def _refuse_levels(pipeline: Pipeline, levels: Tensor) -> None:
    """Raise UserError, one line, unless noise levels are finite and increase; neighbours may be equal by rounding."""
    rise = len(levels) > 1 and levels.isfinite().all() and levels[-1] > levels[0]
    if not rise or (levels.diff() < 0).any():
        raise UserError(
            f"{pipeline.kind}: its settings give noise levels that do not increase, or are not finite; "
            "expected those of the training"
        )


def spread(values: Tensor, x: Tensor) -> Tensor:
    """Return values, () or (n,), in a shape that broadcasts along the rows of x (n, *x)."""
    return values.view(-1, *[1] * (x.dim() - 1)) if values.dim() else values
