"""Device and precision: every method in float32, no waiting for a GPU between steps, no tensor left on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from bench.core.compute import Compute, compute_of
from bench.core.errors import UserError
from bench.core.registry import names, plugin_of
from bench.core.rng import Rng
from bench.core.types import Method, Prior, Problem
from bench.cost.subjects import new_unet, untrained
from bench.priors._generator import Generator, generator_network
from bench.priors.gmm import GMM
from bench.priors.vae import VAEFamily
from bench.problems import make_problem
from bench.problems.posteriors import posterior_of
from bench.runtime.compiled_layers import group_norm, silu
from bench.runtime.devices import computing, networks_of, prepared
from bench.runtime.run_method import Draws, load_method, sample, train, trainable
from methods.aps import flows

M, S, SHAPE = 2, 4, (1, 4, 4)
CHAINS = {"num_chains": 2, "num_warmup": 3, "num_adapt": 2, "thin": 1}
SETTINGS = {  # of methods that do not say what is tiny
    "dps": {"num_steps": 25},
    "latent_langevin": {**CHAINS, "num_adam": 2},
    "hmc-latent": {**CHAINS, "space": "latent"},
    "hmc-data": {**CHAINS, "space": "data"},
    "latent_rwm": CHAINS,
    "aps": {"num_iterations": 4, "num_simulated": 64, "batch_size": 16},
    "ods": {"num_iterations": 4, "num_fit": 32, "num_adapt_draws": 16},
}
METHODS = sorted({*names("method"), "hmc-latent", "hmc-data"} - {"hmc"})
ON_DECODER = ("adam_map", "dflow", "latent", "hmc-latent", "ods")


@cache
def mixture(dtype: torch.dtype = torch.float64) -> GMM:
    rng = Rng(("devices", "mixture"), (0,))
    root = 0.3 * rng.randn((3, 16, 16))[0]
    covariances = root @ root.mT + 0.1 * torch.eye(16, dtype=torch.float64)
    weights, means = torch.full((3,), 1 / 3, dtype=torch.float64), rng.randn((3, *SHAPE))[0]
    return GMM(weights.to(dtype), means.to(dtype), covariances.to(dtype))


def generator() -> Generator:
    settings = VAEFamily(num_latents=6, width=8, depth=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Generator(generator_network(16, settings), torch.zeros(SHAPE), 6)


def small(module: str, **changes: object) -> Method:
    name = plugin_of("method", module)
    tiny = dict(getattr(load_method(name, {}), "tiny", {}))
    return load_method(name, tiny | SETTINGS.get(module, {}) | changes)


def problem_for(prior: Prior) -> Problem:
    problem = make_problem("inpaint-box", {"box": 2}, 0.5, prior.shape)
    return replace(
        problem, posterior=posterior_of(prior, problem) if isinstance(prior, GMM) else None
    )


def drawn(module: str, prior: Prior, dtype: torch.dtype, **changes: object) -> Tensor:
    method, problem = small(module, **changes), problem_for(prior)
    rng = Rng(("devices",), range(M), dtype=dtype, drawn=torch.float64)
    x_true = rng.randn(SHAPE)
    measurements = SimpleNamespace(
        x_true=x_true, y=problem.simulate(x_true, rng), image_id=torch.arange(M)
    )
    draws = Draws("toy", 0, S, 64)
    state = train(method, prior, problem, "toy", 0, dtype) if trainable(method) else None
    return sample(method, prior, problem, measurements, draws, state)


@pytest.mark.parametrize("module", METHODS)
def test_every_method_works_in_float32(module):
    x = drawn(module, mixture(torch.float32), torch.float32)
    assert x.dtype == torch.float32 and x.isfinite().all() and x.shape == (M, S, *SHAPE)


@pytest.mark.parametrize("module", ["dps", "oracle", "unconditional"])
def test_float32_draws_the_numbers_of_float64(module):
    exact, rounded = (
        drawn(module, mixture(), torch.float64),
        drawn(module, mixture(torch.float32), torch.float32),
    )
    # other noise would differ by 1; rounding grows from 1e-7 through the steps, most where a row lies between two modes
    assert (exact - rounded).abs().median() < 1e-3


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a GPU: a tensor's value asked for in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += (
            func is torch.ops.aten._local_scalar_dense.default
            or func is torch.ops.aten.nonzero.default
        )
        return func(*args, **(kwargs or {}))


LONGER = {"dps": {"num_steps": 50}, "latent_rwm": {**CHAINS, "thin": 9, "num_warmup": 9}}
for name in ("latent_langevin", "hmc-latent", "hmc-data"):
    LONGER[name] = {**SETTINGS[name], "thin": 9, "num_warmup": 9}


@pytest.mark.parametrize("module", LONGER)
def test_no_step_waits_for_the_device(module):
    prior, counts = generator() if module.startswith(ON_DECODER) else mixture(), []
    for settings in (SETTINGS[module], LONGER[module]):
        with Waits() as waits:
            drawn(module, prior, torch.float64, **settings)
        counts.append(waits.count)
    assert counts[0] == counts[1]  # what there is comes once per run, not once per step


def test_bf16_is_for_networks_alone():
    exact, rounded = generator(), prepared(generator(), Compute(precision="bf16"))
    z = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    difference = (exact.decode(z) - rounded.decode(z)).abs().max()
    # three layers whose factors keep 8 bits: an error of 2^-9 to a few of them per unit of output, and not none
    assert 1e-5 < difference < 0.05 and rounded.decode(z).dtype == torch.float32
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(rounded.decode(z).square().sum(), z)
    assert gradient.dtype == torch.float32 and gradient.isfinite().all()
    assert (
        networks_of(mixture()) == [] and prepared(mixture(), Compute(precision="bf16")) is mixture()
    )


def test_tf32_is_for_priors_with_networks(monkeypatch):
    def allowed() -> list[bool]:
        return [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # no tensor is put on it
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before, tf32 = allowed(), Compute("cuda", "tf32")
    with computing(tf32):
        prepared(generator(), tf32)
        assert allowed() == [True, True]
        prepared(mixture(), tf32)
        assert allowed() == [False, False]
    assert allowed() == before


def test_channels_last_changes_the_order_in_memory_alone():
    unet, other = (new_unet((3, 16, 16), (16, 32), 1) for _ in range(2))
    plain, turned = untrained(unet), prepared(untrained(other), Compute(channels_last=True))
    assert (
        other.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        and unet.conv_in.weight.is_contiguous()
    )
    x_t = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    outputs = [prior.denoise(x_t, torch.tensor(0.5)) for prior in (plain, turned)]
    gradients = [torch.autograd.grad(output.square().sum(), x_t)[0] for output in outputs]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=0)
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=0)
    assert Compute(channels_last=True).facts["channels_last"] is True


@pytest.mark.parametrize("shape", [(3, 12, 5, 7), (2, 12, 6)])
def test_layers_for_the_compiler_give_what_torch_gives(shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        norm = nn.GroupNorm(4, 12).double().requires_grad_(False)
        norm.weight.uniform_(), norm.bias.uniform_()
        x, cotangent = 3 * torch.randn(2, *shape, dtype=torch.float64) + 1
    if x.dim() == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    for ours, theirs in ((partial(group_norm, norm), norm), (silu, nn.SiLU())):
        outputs = ours(x), theirs(x)
        gradients = [torch.autograd.grad(output, x, cotangent)[0] for output in outputs]
        torch.testing.assert_close(*outputs, atol=1e-12, rtol=0)
        torch.testing.assert_close(*gradients, atol=1e-12, rtol=0)
    assert x.dim() != 4 or group_norm(norm, x).is_contiguous(memory_format=torch.channels_last)


def test_the_compilers_silu_goes_through_torch_func_and_second_derivatives():
    x = torch.linspace(-4, 4, 6, dtype=torch.float64)
    twice = torch.func.vmap(torch.func.grad(torch.func.grad(silu)))(x)
    torch.testing.assert_close(
        twice, torch.func.vmap(torch.func.grad(torch.func.grad(nn.functional.silu)))(x)
    )
    assert torch.autograd.gradgradcheck(silu, x.requires_grad_())


def test_layers_are_replaced_for_the_compiler_on_a_cpu_only(monkeypatch):
    monkeypatch.setattr(nn.Module, "compile", lambda self, mode: None)
    for asked, eased in (({}, True), ({"precision": "bf16"}, False), ({"device": "cuda"}, False)):
        unet = new_unet((3, 16, 16), (16, 32), 1)
        prepared(untrained(unet), Compute(channels_last=True, compile=True, **asked))
        assert ("forward" in vars(unet.conv_norm_out)) is eased


def test_compiling_is_left_to_the_first_call(monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, mode: asked.append(mode))
    prepared(generator(), Compute(compile=True))
    prepared(generator(), Compute(device="cuda", precision="tf32", compile=True, cuda_graphs=True))
    assert asked == ["default", "reduce-overhead"]


def test_tf32_is_off_unless_asked_for():
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    with computing(Compute(precision="float32")) as device:
        assert device == torch.device("cpu") and not any(backend.allow_tf32 for backend in backends)
    assert [backend.allow_tf32 for backend in backends] == before


def test_incompatible_settings_are_reported():
    assert compute_of({"task": "toy"}) == Compute() and Compute().facts == {
        "device": "cpu",
        "precision": "float64",
    }
    with pytest.raises(
        UserError, match="precision: tf32 is a mode of GPUs; with device: cpu take float32"
    ):
        compute_of({"precision": "tf32"})
    with pytest.raises(
        UserError, match="cuda_graphs: expected device: cuda and compile: true beside it"
    ):
        Compute(device="cuda", cuda_graphs=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_reported():
    with (
        pytest.raises(UserError, match="device: cuda: torch sees no GPU here"),
        computing(Compute(device="cuda")),
    ):
        pass


def on_fake_gpu(prior: Prior) -> Prior:
    parts = {field.name: getattr(prior, field.name) for field in fields(prior)}
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            part.to("cuda")
        elif isinstance(part, Tensor):
            parts[name] = part.to("cuda")
    return replace(prior, **parts)


@pytest.fixture
def fake_gpu(monkeypatch):
    """Tensors that have shapes and devices but no values: an operation on two devices raises, here as on a GPU.

    Nothing runs backward on a device that is not there: gradients are taken to be zero.
    """

    def grad(
        outputs: Tensor, inputs: Tensor | Sequence[Tensor], *_: object, **__: object
    ) -> tuple[Tensor, ...]:
        return tuple(map(torch.zeros_like, [inputs] if isinstance(inputs, Tensor) else inputs))

    def to(module: nn.Module, device: torch.device) -> nn.Module:
        for part in module.modules():
            for name, parameter in part._parameters.items():
                part._parameters[name] = nn.Parameter(
                    parameter.detach().to(device), parameter.requires_grad
                )
            part._buffers.update(
                {name: buffer.to(device) for name, buffer in part._buffers.items()}
            )
        return module

    masks = flows.coupling_masks(SHAPE)
    # it looks at values
    monkeypatch.setattr(flows, "coupling_masks", lambda shape: [mask.clone() for mask in masks])
    monkeypatch.setattr(torch, "cov", lambda x: x @ x.mT)  # so does this
    # grids of noise levels and solvers that stop early ask for values
    monkeypatch.setattr(FakeTensor, "tolist", lambda self: np.ones(tuple(self.shape)).tolist())
    monkeypatch.setattr(Tensor, "__bool__", lambda self: True)
    monkeypatch.setattr(torch.autograd, "grad", grad)
    monkeypatch.setattr(Tensor, "backward", lambda self, inputs=None: None)
    monkeypatch.setattr(nn.Module, "to", to)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield "cuda"


@pytest.mark.parametrize("module", METHODS)
def test_no_method_leaves_a_tensor_on_the_cpu(module, fake_gpu):
    prior = on_fake_gpu(
        generator() if module.startswith(ON_DECODER) else replace(mixture(torch.float32))
    )
    # one batch on-policy: which earlier paths are replayed is a question of values
    method = small(module, **({"num_iterations": 1} if module == "ods" else {}))
    problem, rng = problem_for(prior), Rng(("fake",), range(M), range(S), torch.float32, fake_gpu)
    y, state = problem.simulate(rng.randn(SHAPE), rng), {}
    if trainable(method):
        state = {
            "state": method.train(
                prior, problem, rng=Rng(("fake",), (0,), dtype=torch.float32, device=fake_gpu)
            )
        }
    x = method.sample(prior, problem, y, S, rng=rng, **state)
    assert x.device.type == fake_gpu and x.dtype == torch.float32
