"""Relative trajectory balance: a diffusion corrected so that its paths end in the posterior, amortised over y.

Venkatraman et al., Amortizing intractable inference in diffusion models for vision, language, and control, 2024.
https://arxiv.org/abs/2405.20971

The target is the law of the prior's own chain (ancestral steps over `num_steps` noise levels, the last without noise),
reweighted by the likelihood of its end. The corrected chain has it where the log ratio of the two chains' densities
less the log likelihood is the same number, -log Z(y), for all paths.

Deviations:
- The network moves the steps of the prior's denoiser, and is zero at first; the paper adapts the prior's own weights.
- One network for all measurements of a problem, trained on simulated ones; the paper trains one for each.
- With `drift = "guided"` the network corrects steps that follow the likelihood's gradient at E[x | x_t], which is among
  its inputs. `drift = "plain"`, and any problem without gradients, corrects the prior's steps, as the paper does.
- log Z is the mean over the paths of one measurement (VarGrad); the paper learns it.
- Huber's loss; the paper's is the square less 0.1, cut at zero.
- `warm_start` is the share of iterations that first fit single steps to paths noised from the x that made y (forward
  KL); later one path of each group is noised from that x, where the paper has a buffer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics.nets import flatten_state, initialise, load_state
from bench.numerics.training import Descent, minimise

from .chain import Chain, build
from .training import Training

__all__ = ["RTB"]


@dataclass(frozen=True)
class RTB:
    """A reverse diffusion whose steps are corrected by a trained network that sees the measurement.

    A sample costs `num_steps` rows through the denoiser, and so does each path in training.

    Exact when the loss is zero, whatever the likelihood is, if the prior is taken to be the end of its own chain.
    """

    needs: ClassVar[Cap] = Cap.DENOISER | Cap.SIMULATE
    uses: ClassVar[Cap] = Cap.GRAD | Cap.RESIDUAL | Cap.LINEAR
    search: ClassVar[Search] = {
        "learning_rate": LogUniform(3e-4, 1e-2),
        "sigma_min": LogUniform(0.01, 0.5),
    }
    kind: ClassVar[Kind] = "amortised"
    tiny: ClassVar[dict[str, object]] = {
        "num_steps": 6, "num_iterations": 12, "num_groups": 2, "group_size": 4, "num_pairs": 32, "num_simulated": 64,
        "width": 16, "num_layers": 1,
    }  # fmt: skip

    num_steps: int = 24  # noise levels
    sigma_min: float = 0.03  # the last noise level, where the denoiser makes the image
    sigma_max: float = 10.0  # the first noise level, data units
    drift: Literal["guided", "plain"] = "guided"  # which steps are corrected
    num_simulated: int = 4096  # draws of the prior, measured anew in each iteration
    num_iterations: int = 800  # of training
    warm_start: float = 0.85  # share of the iterations that first fit single steps to pairs
    num_pairs: int = 256  # in a batch of the warm start
    num_groups: int = 8  # measurements in a batch of paths
    group_size: int = 6  # paths for each
    learning_rate: float = 2e-3  # of the network's training
    max_gradient: float = 1.0  # a gradient with a larger norm is scaled down to it
    huber: float = 10.0  # nats beyond which the loss is linear
    width: int = 256  # units of a hidden layer
    num_layers: int = 3  # hidden layers

    def __post_init__(self) -> None:
        counts = "num_simulated num_iterations num_pairs num_groups width num_layers"
        for name in counts.split():
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        for name in ("num_steps", "group_size"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 2 or more")
        if not 0 < self.sigma_min < self.sigma_max:
            levels = f"sigma_min = {self.sigma_min}, sigma_max = {self.sigma_max}"
            raise ValueError(f"{levels}: expected 0 < sigma_min < sigma_max")
        if not 0 <= self.warm_start <= 1:
            raise ValueError(f"warm_start = {self.warm_start}: expected a share in [0, 1]")
        if self.drift not in ("guided", "plain"):
            raise ValueError(f"drift = {self.drift!r}: expected 'guided' or 'plain'")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, 0)

    def train(self, prior: Prior, problem: Problem, *, rng: Random) -> dict[str, Tensor]:
        """Return the network's tensors, and the moments that standardise its inputs."""
        with torch.no_grad():
            x = prior.sample(self.num_simulated, rng)[0]
            y = problem.simulate(x, rng).flatten(1)
        chain = build(self, prior, problem, (x.mean(), x.std()), (y.mean(0), y.std(0)))
        initialise(chain.net, rng, zero=("mlp.out", "gain"))
        training = Training(self, chain, x, rng)

        # rises over a twentieth of the steps, then falls to zero
        def rate(progress: float) -> float:
            return self.learning_rate * min(1.0, 0.05 + 20 * progress) * (1 - progress**2)

        adam = torch.optim.Adam(chain.net.parameters())
        minimise(training.loss_at, Descent(adam, self.num_iterations, rate, self.max_gradient))
        moments = dict(zip(("x.mean", "x.std", "y.mean", "y.std"), chain.moments, strict=True))
        return flatten_state(chain.net, "net") | moments

    def sample(
        self,
        prior: Prior,
        problem: Problem,
        y: Tensor,
        num_samples: int,
        *,
        rng: Random,
        state: Mapping[str, Tensor],
    ) -> Tensor:
        chain, rows = self._loaded(prior, problem, y, state), y.repeat_interleave(num_samples, 0)
        noises = rng.per_sample.steps(self.num_steps, prior.shape)
        x = chain.end(rows, (noise.flatten(0, 1).flatten(1) for noise in noises))
        return x.unflatten(0, (len(y), num_samples))

    def diagnose(
        self,
        prior: Prior,
        problem: Problem,
        y: Tensor,
        num_paths: int,
        *,
        rng: Random,
        state: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Return `log_z`, `elbo` and `path_ess` of each measurement, (m,), from the weights of `num_paths` paths.

        Z is the mean of exp(`problem.log_likelihood`) over ends of the prior's chain.
        """
        chain, rows = self._loaded(prior, problem, y, state), y.repeat_interleave(num_paths, 0)
        noises = rng.steps(self.num_steps, (num_paths, *prior.shape))
        path = chain.rollout(rows, (noise.flatten(0, 1).flatten(1) for noise in noises))
        with torch.no_grad():
            weight = -chain.imbalance(path, rows).view(len(y), num_paths)
        total, count = weight.logsumexp(1), torch.tensor(float(num_paths))
        path_ess = (2 * total - (2 * weight).logsumexp(1)).exp() / num_paths
        return {"log_z": total - count.log(), "elbo": weight.mean(1), "path_ess": path_ess}

    def _loaded(
        self, prior: Prior, problem: Problem, y: Tensor, state: Mapping[str, Tensor]
    ) -> Chain:
        mean, std, *of_y = (state[name].to(y) for name in ("x.mean", "x.std", "y.mean", "y.std"))
        chain = build(self, prior, problem, (mean, std), (of_y[0], of_y[1]))
        load_state(chain.net, state, "net")
        return chain
