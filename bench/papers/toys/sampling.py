"""Sample a density in the plane by outsourced diffusion sampling, trained for one target."""

from __future__ import annotations

import time
from typing import Any

import torch

from bench.core.registry import load
from bench.core.types import Random
from bench.papers.toys.posterior import Sampler, Samples
from bench.papers.toys.targets import Plane, Tilted


def ods_sampler(settings: dict[str, Any]) -> Sampler:
    """Return ODS with `settings`, trained for one target without its gradients."""
    method = load("method", "ods")(**{"amortised": False, "drift": "plain", **settings})

    def sample(plane: Plane, target: Tilted, num_samples: int, rng: Random) -> Samples:
        y = torch.zeros(1, 1, dtype=torch.float64)
        begin = time.process_time()
        ((_, trained),) = method.samplers(plane, target, y, rng, {})
        seconds = time.process_time() - begin
        noise = rng.randn((num_samples, method.num_steps + 1, 2)).float()
        rows = y.expand(num_samples, 1)
        paths, _ = trained.sampler.rollout(rows, trained.reading(rows), noise[0])
        paths = plane.decode(paths.to(y) @ trained.affine.axes.T)
        schedule = trained.sampler.schedule
        signal = torch.cat([schedule.before[:1], schedule.after])
        log_z, elbo, ess = (value.item() for value in trained.quality(y, noise))
        return Samples(paths[:, -1], paths, signal, log_z, elbo, ess, seconds)

    return sample
