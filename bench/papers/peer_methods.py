"""`python -m bench.papers.peer_methods`: compare samplers of this project with those of azula and deepinv.

All run in one process on the same mixture of digits, task and measurements, with the same numbers of samples and steps.
Printed are the energy distance to the exact posterior and CPU seconds; docs/errors-of-public-code.md shows the table
and explains the differences. Libraries that are not installed are left out: pip install "posterior-bench[peers]".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from bench.core.registry import load
from bench.papers.public_errors import BOX, SIGMA_Y, Bed, M, digits
from bench.runtime.job import run

S = 16  # samples of each measurement
NUM_STEPS = 100
PRIOR_STD = 0.5  # of a pixel, in the twist of TDS


@dataclass(frozen=True)
class Given:
    """The arguments for a library's sampler: the test bed, a row of y for each sample, the values in it, and A."""

    bed: Bed
    rows: Tensor
    values: Tensor

    def measure(self, x: Tensor) -> Tensor:
        return self.bed.problem.operator(x, self.rows)

    def pseudo_inverse(self, v: Tensor) -> Tensor:
        """Return A^+ v, which is A^T v for a mask."""
        return self.bed.problem.operator.adjoint(v, self.rows)


def given(bed: Bed) -> Given:
    """Return the arguments for M measurements with S samples each."""
    rows = bed.y.repeat_interleave(S, 0)
    zeros = torch.zeros(len(rows), *bed.prior.shape).to(rows)
    return Given(bed, rows, bed.problem.residual(zeros, rows))


def azula_denoiser(bed: Bed, schedule: Any) -> Any:
    """Return the mixture's denoiser for a schedule of azula, x_t = alpha x + sigma eps."""
    from azula.denoise import Denoiser, DiracPosterior

    class Wrapped(Denoiser):
        def forward(self, x_t: Tensor, t: Tensor) -> DiracPosterior:
            alpha, sigma = schedule(t)
            return DiracPosterior(bed.prior.denoise(x_t / alpha, sigma / alpha))

    wrapped = Wrapped()
    wrapped.schedule = schedule
    return wrapped


def azula_sampler(name: str, about: Given) -> Callable[[], Tensor]:
    """Return a sampler of azula on all rows, called as in its documentation."""
    from azula.guidance.diffpir import DiffPIRDenoiser
    from azula.guidance.dps import DPSSampler
    from azula.guidance.mmps import MMPSDenoiser
    from azula.guidance.pgdm import PGDMSampler
    from azula.linalg.covariance import IsotropicCovariance
    from azula.noise import VESchedule, VPSchedule
    from azula.sample import DDPMSampler

    y, measure = about.values, about.measure
    schedule = VPSchedule() if name == "dps" else VESchedule(0.01, 100.0)
    denoiser = azula_denoiser(about.bed, schedule)
    settings: dict[str, Any] = {"steps": NUM_STEPS, "silent": True, "dtype": y.dtype}
    match name:
        case "dps":
            sampler = DPSSampler(denoiser, y, measure, **settings)
        case "pigdm":
            sampler = PGDMSampler(denoiser, y, measure, about.pseudo_inverse, eta=1.0, **settings)
        case "mmps":
            covariance = IsotropicCovariance(SIGMA_Y**2)
            sampler = DDPMSampler(
                MMPSDenoiser(denoiser, y, measure, covariance, iterations=5), **settings
            )
        case _:
            sampler = DDPMSampler(DiffPIRDenoiser(denoiser, y, measure, SIGMA_Y**2), **settings)
    shape = (len(about.rows), *about.bed.prior.shape)
    return lambda: sampler(sampler.init(shape)).unflatten(0, (M, S))


def azula_tds(about: Given) -> Callable[[], Tensor]:
    """Return TDS of azula, with a cloud of S particles for each measurement, which are its samples."""
    from azula.guidance.tds import TDSSampler
    from azula.noise import VESchedule

    denoiser = azula_denoiser(about.bed, VESchedule(0.01, 100.0))

    def cloud(i: int) -> Tensor:
        rows = about.rows[i * S : (i + 1) * S]

        def twist(x: Tensor, sigma: Tensor) -> Tensor:
            spread = sigma.square() * PRIOR_STD**2 / (sigma.square() + PRIOR_STD**2)
            return -about.bed.problem.residual(x, rows).square() / (2 * (SIGMA_Y**2 + spread))

        sampler = TDSSampler(denoiser, twist, steps=NUM_STEPS, silent=True, dtype=rows.dtype)
        return sampler(sampler.init((S, *about.bed.prior.shape)))

    return lambda: torch.stack([cloud(i) for i in range(M)])


def deepinv_sampler(name: str, about: Given) -> Callable[[], Tensor]:
    """Return DPS or DiffPIR of deepinv on all rows; images there are in [0, 1], so that noise is half as large."""
    from deepinv.optim.data_fidelity import L2
    from deepinv.physics import GaussianNoise, Inpainting
    from deepinv.sampling import DPS, DiffPIR

    class Denoiser(torch.nn.Module):
        def forward(self, x: Tensor, sigma: Any, *_: Any, **__: Any) -> Tensor:
            sigma = 2 * torch.as_tensor(sigma).to(x).flatten()
            levels = sigma.expand(len(x)) if len(sigma) == 1 else sigma
            return (about.bed.prior.denoise(2 * x.double() - 1, levels.double()).to(x) + 1) / 2

    shape = tuple(about.bed.prior.shape)
    mask = about.bed.problem.operator.spectrum(about.rows, shape).values.expand(-1, *shape)
    physics = Inpainting(shape, mask, noise_model=GaussianNoise(SIGMA_Y / 2))
    y = (about.values + 1) / 2 * mask
    if name == "dps":
        sampler = DPS(Denoiser(), num_steps=NUM_STEPS)
    else:
        sampler = DiffPIR(Denoiser(), L2(), SIGMA_Y / 2, NUM_STEPS)
        y = y.float()
    return lambda: 2 * sampler(y, physics).double().unflatten(0, (M, S)) - 1


def deepinv_ddrm(about: Given) -> Callable[[], Tensor]:
    """Return DDRM of deepinv, called once per measurement, since it takes one operator for all rows."""
    from deepinv.physics import DecomposablePhysics, GaussianNoise
    from deepinv.sampling import DDRM

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return about.bed.prior.denoise(x, torch.as_tensor(sigma).to(x))

    levels = torch.logspace(2, -2, NUM_STEPS, dtype=torch.float64).tolist()
    sampler = DDRM(denoise, sigmas=levels)

    def drawn(i: int) -> Tensor:
        rows = about.rows[i * S : (i + 1) * S]
        # a mask is diagonal in pixels: U = V = 1
        mask = about.bed.problem.operator.spectrum(rows[:1], about.bed.prior.shape).values
        shape, noise = tuple(about.bed.prior.shape), GaussianNoise(SIGMA_Y)
        physics = DecomposablePhysics(mask=mask, img_size=shape, noise_model=noise)
        return sampler(about.values[i * S : (i + 1) * S].clone(), physics)

    return lambda: torch.stack([drawn(i) for i in range(M)])


def ours(name: str, bed: Bed, **settings: object) -> Callable[[], Tensor]:
    """Return a method of this project."""
    method = load("method", name)(num_steps=NUM_STEPS, **settings)
    return lambda: method.sample(bed.prior, bed.problem, bed.y, S, rng=bed.rng(name, S))


def contenders(bed: Bed) -> Iterator[tuple[str, str, Callable[[], Tensor]]]:
    """Yield a method's name, its library ("ours" for this project), and a function that draws (M, S, *x)."""
    settings: dict[str, dict[str, object]] = {
        "dps": {"zeta": 0.4},
        "pigdm": {},
        "mmps": {},
        "diffpir": {},
        "tds": {"num_particles": S, "joint": "coupled"},
        "ddrm": {},
    }
    about = given(bed)
    for name, own in settings.items():
        yield name, "ours", ours(name, bed, **own)
        if name != "ddrm" and find_spec("azula"):
            theirs = azula_tds(about) if name == "tds" else azula_sampler(name, about)
            yield name, "azula", theirs
        if name in ("ddrm", "dps", "diffpir") and find_spec("deepinv"):
            theirs = deepinv_ddrm(about) if name == "ddrm" else deepinv_sampler(name, about)
            yield name, "deepinv", theirs


def main() -> None:
    """Print a line of the table for each sampler."""
    prior, images = digits()
    bed = Bed(prior, images, BOX)
    for name, whose, draw in contenders(bed):
        torch.manual_seed(0)
        begin = time.process_time()
        x = draw()
        seconds = time.process_time() - begin
        numbers = f"{bed.energy(x):.3f} | {bed.std_ratio(x):.2f} | {seconds:.1f}"
        print(f"| {name} | {whose} | {numbers} |", flush=True)


if __name__ == "__main__":
    run(main)
