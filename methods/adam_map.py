"""Maximum a posteriori estimate by Adam, on images or in the noise space of a decoder.

Latents: Bora et al., Compressed Sensing using Generative Models, ICML 2017, https://arxiv.org/abs/1703.03208
Adam: Kingma & Ba, ICLR 2015, https://arxiv.org/abs/1412.6980

Maximises log p(x) + log_likelihood(x, y) with `space = "data"`, and log N(z; 0, I) + log_likelihood(f(z), y), x = f(z),
with `space = "latent"`. The two differ where the decoder is not linear: a mode depends on the coordinates.

Deviations:
- The weight of the prior is Bayes', not tuned; of several starts the one with the highest posterior density is kept.
- Adam's rate falls to zero like half a cosine, so that the last iterate is at rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Joint, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics import latent
from bench.numerics.chunks import rows_of, value_and_gradient
from bench.numerics.training import falling_cosine

__all__ = ["AdamMAP"]


@dataclass(frozen=True)
class AdamMAP:
    """A point estimate: the best of `num_starts` local maxima of the posterior density, found from draws of the prior.

    A measurement costs `num_starts` (`num_steps` + 1) evaluations forward and `num_starts` `num_steps` backward, shared
    by its samples. An evaluation is one of the prior's density in data space, and one decoded image in latent space.

    Not exact: a point estimate has no spread. If the posterior is Gaussian, the estimate is its mean.
    """

    search: ClassVar[Search] = {"learning_rate": LogUniform(0.003, 0.3)}
    joint: ClassVar[Joint] = "point"
    kind: ClassVar[Kind] = "baseline"

    space: Literal["data", "latent"] = "latent"  # whether images or noise of the decoder are varied
    num_starts: int = 4  # draws of the prior from which the search starts
    num_steps: int = 300  # of Adam
    learning_rate: float = 0.05  # at the start, in data units or in those of z

    def __post_init__(self) -> None:
        for name in ("num_starts", "num_steps", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        if self.space not in ("data", "latent"):
            raise ValueError(f"space = {self.space!r}: expected 'data' or 'latent'")

    @property
    def needs(self) -> Cap:
        return Cap.GRAD | (Cap.DECODER if self.space == "latent" else Cap.DENSITY)

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        in_z, share = self.space == "latent", self.num_starts / num_samples
        cost, start = (prior.decode_nfe, 0) if in_z else (1, prior.sample_nfe)
        forward = (self.num_steps + 1) * cost + start
        return NFE(forward * share, self.num_steps * cost * share)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        rows, starts = y.repeat_interleave(self.num_starts, 0), (len(y), self.num_starts)
        if self.space == "latent":
            position = rng.randn((self.num_starts, math.prod(prior.latent_shape))).flatten(0, 1)
            log_density = partial(latent.log_posterior, prior, problem)
        else:
            position = prior.sample(self.num_starts, rng).flatten(2).flatten(0, 1)
            log_density = partial(log_posterior, prior, problem)
        at_once = rows_of(prior.shape)
        optimiser = torch.optim.Adam([position], lr=self.learning_rate)
        rate = falling_cosine(self.learning_rate, self.num_steps)
        for i in range(self.num_steps):
            optimiser.param_groups[0]["lr"] = rate(i / self.num_steps)
            position.grad = -value_and_gradient(log_density, at_once, rows, position)[1]
            optimiser.step()
        x, value = self._ends(prior, problem, rows, position)
        best = value.view(starts).argmax(1)
        chosen = x.unflatten(0, starts)[torch.arange(len(y), device=y.device), best]
        return chosen[:, None].expand(-1, num_samples, *prior.shape)

    @torch.no_grad()
    def _ends(
        self, prior: Prior, problem: Problem, y: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the images (n, *x) and the log posterior (n,) at flat positions (n, d)."""
        if self.space == "latent":
            x = prior.decode(position.unflatten(1, prior.latent_shape))
            log_prior = -position.square().sum(1) / 2
        else:
            x = position.unflatten(1, prior.shape)
            log_prior = prior.log_prob(x)
        return x, log_prior + problem.log_likelihood(x, y)


def log_posterior(prior: Prior, problem: Problem, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x | y) up to a constant, (n,), and its gradient in flat x (n, d); y (n, *y)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        image = x.unflatten(1, prior.shape)
        value = prior.log_prob(image) + problem.log_likelihood(image, y)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient
