"""Device and precision: every method in float32, no waiting for a GPU between steps, no tensor left on the CPU."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.cli import UserError
from bench.compute import Compute, compute_of
from bench.devices import computing, networks_of, prepared
from bench.priors import vae
from bench.priors.atoms import Atoms
from bench.priors.generator import Generator
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.exact import exact_posterior
from bench.rng import Rng
from bench.runs import load_method, sample, train, trainable
from bench.types import Prior

M, S, SHAPE = 2, 4, (1, 4, 4)
CHAINS = {"num_chains": 2, "num_warmup": 3, "num_adapt": 2, "thin": 1}
SETTINGS = {  # of methods that do not say what is tiny
    "dps": {"num_steps": 25},
    "latent_langevin": {**CHAINS, "num_adam": 2},
    "latent_hmc": CHAINS,
    "latent_rwm": CHAINS,
    "data_hmc": CHAINS,
}
METHODS = sorted(path.stem for path in Path("methods").glob("[a-z]*.py"))


@cache
def mixture(dtype: torch.dtype = torch.float64) -> GMM:
    rng = Rng(("devices", "mixture"), (0,))
    root = 0.3 * rng.randn((3, 16, 16))[0]
    covariances = root @ root.mT + 0.1 * torch.eye(16, dtype=torch.float64)
    weights, means = torch.full((3,), 1 / 3, dtype=torch.float64), rng.randn((3, *SHAPE))[0]
    return GMM(weights.to(dtype), means.to(dtype), covariances.to(dtype))


def generator() -> Generator:
    settings = vae.Settings(num_latents=6, width=8, depth=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Generator(vae._decoder(16, settings), torch.zeros(SHAPE), 6)


def drawn(module: str, prior: Prior, dtype: torch.dtype, device: str = "cpu", **changes: object) -> Tensor:
    method = load_method(module, {})
    small = dict(getattr(method, "tiny", {})) | SETTINGS.get(module, {}) | changes
    method = load_method(module, small)
    problem = make_problem("inpaint-box", {"box": 2}, 0.5, prior.shape)
    posterior = exact_posterior(prior, problem) if isinstance(prior, (GMM, Atoms)) else None
    problem = make_problem("inpaint-box", {"box": 2}, 0.5, prior.shape, posterior)
    rng = Rng(("devices",), range(M), dtype=dtype, device=device, drawn=torch.float64)
    x_true = rng.randn(SHAPE)
    observations = SimpleNamespace(x_true=x_true, y=problem.simulate(x_true, rng), image_id=torch.arange(M))
    spec = {"task": "toy", "seed": 0, "num_samples": S, "rows_per_chunk": 64}
    state = train(method, prior, problem, spec, dtype, device) if trainable(method) else None
    return sample(method, prior, problem, observations, spec, state)


@pytest.mark.parametrize("module", METHODS)
def test_every_method_works_in_float32(module):
    x = drawn(module, mixture(torch.float32), torch.float32)
    assert x.dtype == torch.float32 and x.isfinite().all() and x.shape == (M, S, *SHAPE)


@pytest.mark.parametrize("module", ["dps", "oracle", "unconditional"])
def test_float32_draws_the_numbers_of_float64(module):
    exact, rounded = drawn(module, mixture(), torch.float64), drawn(module, mixture(torch.float32), torch.float32)
    # other noise would differ by 1; rounding grows from 1e-7 through the steps, most where a row lies between two modes
    assert (exact - rounded).abs().median() < 1e-3


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a GPU: a tensor's value asked for in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default or func is torch.ops.aten.nonzero.default
        return func(*args, **(kwargs or {}))


LONGER = {"dps": {"num_steps": 50}, "latent_rwm": {**CHAINS, "thin": 9, "num_warmup": 9}}
LONGER |= {name: {**SETTINGS[name], "thin": 9, "num_warmup": 9} for name in ("latent_langevin", "latent_hmc", "data_hmc")}


@pytest.mark.parametrize("module", LONGER)
def test_no_step_waits_for_the_device(module):
    prior, counts = generator() if module.startswith("latent") else mixture(), []
    for settings in (SETTINGS[module], LONGER[module]):
        with Waits() as waits:
            drawn(module, prior, torch.float64, **settings)
        counts.append(waits.count)
    assert counts[0] == counts[1]  # what there is comes once per run, not once per step
