"""Every module in methods/ conforms; each sin of a dropped-in method is refused by the check meant for it, in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.conformance import check, method_paths
from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.provenance import ROOT
from bench.core.registry import name_of
from bench.core.rng import Rng

GOOD = '''"""Denoise noise once, then descend on the residual. https://example.org/paper

Deviations: none.
"""
from dataclasses import dataclass
from typing import ClassVar
import torch
from bench.core.types import NFE, Cap, Joint, LogUniform
__all__ = ["Good"]

@dataclass(frozen=True)
class Good:
    """A sample costs one call of the denoiser."""
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
    search: ClassVar[dict] = {"rate": LogUniform(0.1, 1.0)}
    rate: float = 0.8

    def nfe(self, prior, num_samples):
        return NFE(1, 0)

    def sample(self, prior, problem, y, num_samples, *, rng):
        rows = y.repeat_interleave(num_samples, 0)
        x = prior.denoise(rng.per_sample.randn(prior.shape).flatten(0, 1), torch.tensor(1.0))
        for _ in range(9):
            x = x + self.rate * problem.operator.adjoint(problem.residual(x, rows), rows)
        return x.unflatten(0, (len(y), num_samples))
'''
RETURN = "return x.unflatten(0, (len(y), num_samples))"
FIRST = "rows = y.repeat_interleave(num_samples, 0)"
FEW = "few samples, one and three channels"
CHAIN = '    joint: ClassVar[Joint] = "chain"\n'

SINS = {  # what is replaced, by what, the checks that fail, and words of the first refusal
    "raises": (
        RETURN,
        "raise ValueError('no convergence')",
        ["it draws samples"],
        "ValueError: no convergence (raises.py, line 26)",
    ),
    "exits": (RETURN, "raise SystemExit(3)", ["it draws samples"], "SystemExit: 3"),
    "bad import": (
        "import torch",
        "import torch, no_such_package",
        ["the file imports"],
        "No module named 'no_such_package'",
    ),
    "bad syntax": ("@dataclass", "@@dataclass", ["the file imports"], "SyntaxError"),
    "nan": (RETURN, "x[0] = torch.nan; " + RETURN, ["finite samples"], "1 of 15 samples hold NaN"),
    "shape": (
        RETURN,
        "return x",
        ["shape, dtype and device"],
        "shape (15, 1, 4, 4); expected (m, s, *x) = (3, 5, 1, 4, 4)",
    ),
    "not a tensor": (RETURN, "return x.numpy()", ["shape, dtype and device"], "returned ndarray"),
    "dtype": (RETURN, "x = x.float(); " + RETURN, ["shape, dtype and device"], "torch.float32"),
    "graph": (
        RETURN,
        "x.requires_grad_(); " + RETURN,
        ["shape, dtype and device"],
        "still carry a graph",
    ),
    "batch norm": (
        RETURN,
        "x = x - 0.1 * x.mean(0); " + RETURN,
        [
            "rows do not interact",
            "a broken measurement stays alone",
            "alone as in a batch",
            "any chunk size",
            FEW,
        ],
        "measurement 1 changed",
    ),
    "stops on nan": (
        FIRST,
        FIRST + "; assert y.isfinite().all(), 'bad y'",
        ["a broken measurement stays alone"],
        "AssertionError: bad y",
    ),
    "position in batch": (
        RETURN,
        "x = x + torch.arange(len(x)).view(-1, 1, 1, 1) // num_samples / 100; " + RETURN,
        ["alone as in a batch", FEW],
        "alone gives",
    ),
    "global seed": (
        FIRST,
        FIRST + "; torch.manual_seed(0)",
        ["global state untouched"],
        "torch's global random generator",
    ),
    "default dtype": (
        FIRST,
        FIRST + "; torch.set_default_dtype(torch.float64)",
        ["global state untouched"],
        "default dtype",
    ),
    "unseeded": (
        RETURN,
        "x = x + 1e-7 * torch.randn(x.shape, generator=GENERATOR); " + RETURN,
        ["same seed, same bits"],
        "differ by",
    ),
    "one seed for all": (
        "rng.per_sample.randn(prior.shape)",
        (
            "torch.stack([torch.randn(prior.shape, generator=torch.Generator().manual_seed(k)) for k in rng.samples])"
            ".double().repeat(len(y), 1, 1, 1, 1)"
        ),
        ["another seed, other samples"],
        "the same samples",
    ),
    "in place": (FIRST, FIRST + "; y[:, 0] *= 1.5", ["inputs untouched"], "y was changed in place"),
    "undeclared": (
        " | Cap.LINEAR",
        "",
        ["only declared capabilities"],
        "problem.operator.adjoint, which needs Cap.LINEAR",
    ),
    "undeclared gradient": (
        FIRST,
        FIRST
        + "; p = torch.zeros(len(rows), 1, 4, 4).requires_grad_(); problem.residual(p, rows).sum().backward()",
        ["only declared capabilities"],
        "the gradient of problem.residual, which needs Cap.GRAD",
    ),
    "looks inside": (
        FIRST,
        FIRST + "; prior.covariance",
        ["it draws samples"],
        "prior.covariance is not part of the interface",
    ),
    "two names": ('["Good"]', '["Good", "dataclass"]', ["one name in __all__"], "exactly one name"),
    "not frozen": (
        "(frozen=True)",
        "",
        ["a frozen dataclass with `sample`"],
        "not a frozen dataclass",
    ),
    "search key": (
        '{"rate"',
        '{"rat"',
        ["`search` keys are fields"],
        "'rat', which is not a field; the fields are rate",
    ),
    "no url": ("https://example.org/paper", "", ["URL in the docstring"], "no URL"),
    "no deviations": ("Deviations: none.", "", ["deviations stated"], "no line `Deviations"),
    "no default": ("float = 0.8", "float", ["defaults construct"], "no default for rate"),
    "joint": (
        "    rate: float",
        '    joint: ClassVar[Joint] = "both"\n    rate: float',
        ["`joint` is valid"],
        "expected one of independent",
    ),
    "chain": ("    rate: float", CHAIN + "    rate: float", ["defaults construct"], "num_chains"),
    "metric": (
        "import torch",
        "import torch, bench.core.types, bench.metrics",
        ["it imports only what a method may"],
        "bench.metrics",
    ),
    "rng": (
        "import torch",
        "import torch, bench.core.rng",
        ["it imports only what a method may"],
        "bench.core.rng",
    ),
    "depends on chunk": (
        RETURN,
        "x = x + 0.1 / num_samples; " + RETURN,
        ["any chunk size", FEW],
        "5 samples in one call and in two",
    ),
    "wrong nfe": (
        "NFE(1, 0)",
        "NFE(2 * num_samples, 0)",
        ["NFE as stated"],
        "metered 1 forward, 0 backward per sample at s = 5; `nfe` says 10 and 0",
    ),
    "nfe at one s": (
        "NFE(1, 0)",
        "NFE(num_samples / 5, 0)",
        ["NFE as stated"],
        "metered 1 forward, 0 backward per sample at s = 1; `nfe` says 0.2 and 0",
    ),
    "too low a bound": (
        "NFE(1, 0)",
        "NFE(0.5, 0, at_most=True)",
        ["NFE as stated"],
        "says at most 0.5 and 0",
    ),
    "no nfe": ("def nfe(", "def cost(", ["NFE as stated"], "add `nfe(self, prior, num_samples)`"),
    "odd nfe": (
        "NFE(1, 0)",
        "1",
        ["NFE as stated"],
        "`nfe` returned 1; expected bench.core.types.NFE",
    ),
    "squeezes": (
        RETURN,
        "return x.unflatten(0, (len(y), num_samples)).squeeze(1)",
        [FEW],
        "with s = 1 and 1 channels the samples have shape (3, 1, 4, 4)",
    ),
    "three samples": (
        RETURN,
        "x = x + 0.1 * (num_samples == 3) * (num_samples == x.shape[1]); " + RETURN,
        [FEW],
        "with s = 3 and 3 channels, the first sample alone differs by 1.0e-01; draw with rng.per_sample",
    ),
    "ignores y": (
        "range(9)",
        "range(0)",
        ["fits the data better than the prior"],
        "does it use y?",
    ),
}
ADDED = {"unseeded": "GENERATOR = torch.Generator().manual_seed(0)\n"}


@pytest.mark.parametrize("path", method_paths(), ids=name_of)
def test_method_conforms(path):
    refusals = _refusals(check(path))
    assert not refusals, "\n".join(refusals)


def test_a_good_method_passes(tmp_path):
    results = check(_written(tmp_path, "good", GOOD))
    assert not _refusals(results), "\n".join(_refusals(results))
    skipped = ["it trains", "training is repeatable", "does without what it merely uses"]
    assert [result.title for result in results if result.status == "skip"] == skipped


@pytest.mark.parametrize("sin", SINS)
def test_a_sin_is_refused_by_its_check(tmp_path, sin):
    old, new, failing, words = SINS[sin]
    assert GOOD.count(old) >= 1
    source = GOOD.replace(old, new).replace("@dataclass(", ADDED.get(sin, "") + "@dataclass(")
    state = torch.get_rng_state(), torch.get_default_dtype(), np.random.get_state()[1].copy()
    results = check(_written(tmp_path, sin.replace(" ", "_"), source))
    refused = [result for result in results if result.status == "FAIL"]
    assert [result.title for result in refused] == failing, "\n".join(map(str, refused))
    assert words in refused[0].words
    assert torch.equal(torch.get_rng_state(), state[0]) and torch.get_default_dtype() == state[1]
    assert np.array_equal(np.random.get_state()[1], state[2])


TRAIN = """    def train(self, prior, problem, *, rng):
        x = prior.sample(9, rng)[0]
        return {"mean": x.mean(0), "noise": rng.randn((2,))[0]}

    def sample"""
TRAINABLE = (
    GOOD.replace("num_samples, *, rng)", "num_samples, *, rng, state)")
    .replace("    def sample", TRAIN)
    .replace(RETURN, "x = x + 1e-3 * state['mean']; " + RETURN)
)
TRAINING_SINS = {
    "training raises": (
        "x = prior.sample",
        "raise ValueError('diverged')\n        x = prior.sample",
        "diverged",
    ),
    "undeclared in training": (
        "x = prior.sample",
        "problem.simulate(prior.sample(9, rng)[0], rng)",
        "Cap.SIMULATE",
    ),
    "keys": (
        '{"mean": x',
        "{0: x",
        "train() returned dict[int, Tensor | str, Tensor], expected a flat dict",
    ),
    "nested": ('"noise": rng.randn((2,))[0]', '"noise": {}', "expected a flat dict[str, Tensor]"),
    "not finite": ("x.mean(0)", "x.mean(0) / 0", "'mean' with NaN or infinity"),
    "unseeded": (
        "rng.randn((2,))[0]",
        "torch.randn(2, generator=GENERATOR)",
        "two trainings with one seed differ",
    ),
    "global draws": ("rng.randn((2,))[0]", "torch.randn(2)", "torch's global random generator"),
    "overwrites": ("rows = y", "state['mean'] += 1; rows = y", "state was changed in place"),
    "no train": ("def train(", "def learn(", "takes `state`, but Good has no method train"),
    "odd train": (
        "problem, *, rng):\n        x = p",
        "y, *, rng):\n        x = p",
        "expected train(self, prior",
    ),
    "tiny": (
        "    rate: float",
        "    tiny: ClassVar[dict] = {'rat': 0.1}\n    rate: float",
        "`tiny` sets rat",
    ),
}


def test_a_trainable_method_is_trained_first(tmp_path):
    results = check(_written(tmp_path, "trained", TRAINABLE))
    assert not _refusals(results), "\n".join(_refusals(results))
    assert any(str(result) == "ok   it trains: 2 tensors" for result in results)


@pytest.mark.parametrize("sin", TRAINING_SINS)
def test_a_sin_in_training_is_refused(tmp_path, sin):
    old, new, words = TRAINING_SINS[sin]
    assert TRAINABLE.count(old) >= 1
    source = TRAINABLE.replace(old, new).replace("@dataclass(", ADDED.get(sin, "") + "@dataclass(")
    (refusal, *others) = _refusals(check(_written(tmp_path, sin.replace(" ", "_"), source)))
    assert words in refusal, "\n".join([refusal, *others])


def test_tiny_settings_are_used_and_promise_no_quality(tmp_path):
    poor = TRAINABLE.replace("range(9)", "range(0)").replace(
        "    rate: float", "    tiny: ClassVar[dict] = {'rate': 0.25}\n    rate: float"
    )
    results = check(
        _written(tmp_path, "small", poor.replace("rows = y", "assert self.rate == 0.25; rows = y"))
    )
    assert not _refusals(results), "\n".join(_refusals(results))
    assert "at its tiny settings, {'rate': 0.25}, nothing is promised" in results[-1].words


OPTIONAL = GOOD.replace("    search", "    uses: ClassVar[Cap] = Cap.GRAD\n    search").replace(
    FIRST, FIRST + "; assert not problem.caps & Cap.EXACT; assert prior.caps == Cap.DENOISER"
)
ASK = (
    "\n        if Cap.GRAD in problem.caps: p = torch.zeros(len(rows), 1, 4, 4).requires_grad_(); "
)
GRADIENT = "problem.residual(p, rows).sum().backward()"


def test_what_a_method_merely_uses_may_be_missing(tmp_path):
    good = OPTIONAL.replace(FIRST, FIRST + ASK + GRADIENT)
    results = check(_written(tmp_path, "asks", good))
    assert not _refusals(results), "\n".join(_refusals(results))
    careless = OPTIONAL.replace(
        FIRST, FIRST + ASK.replace("Cap.GRAD in problem.caps", "True") + GRADIENT
    )
    (refusal,) = _refusals(check(_written(tmp_path, "careless", careless)))
    assert refusal.startswith(
        "FAIL does without what it merely uses: it uses the gradient of problem.residual"
    )
    twice = OPTIONAL.replace("uses: ClassVar[Cap] = Cap.GRAD", "uses: ClassVar[Cap] = Cap.RESIDUAL")
    assert (
        "`uses` repeats RESIDUAL of `needs`"
        in _refusals(check(_written(tmp_path, "twice", twice)))[0]
    )


def test_the_command_speaks_and_exits_with_1(tmp_path):
    bad = _written(tmp_path, "bad", GOOD.replace(RETURN, "return x"))
    command = [
        sys.executable,
        "-m",
        "bench.conformance",
        str(_written(tmp_path, "good", GOOD)),
        str(bad),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert "  conforms" in done.stdout and "  ok   rows do not interact" in done.stdout
    assert "  FAIL shape, dtype and device: the samples have shape (15, 1, 4, 4)" in done.stdout


def test_a_bound_on_the_nfe_is_enough(tmp_path):
    results = check(
        _written(tmp_path, "bounded", GOOD.replace("NFE(1, 0)", "NFE(1.5, 2, at_most=True)"))
    )
    assert not _refusals(results), "\n".join(_refusals(results))


def test_settings_may_differ_from_the_defaults(tmp_path):
    path = _written(tmp_path, "rates", GOOD.replace(FIRST, FIRST + "; assert self.rate == 0.5"))
    assert "AssertionError" in _refusals(check(path))[0]
    assert not _refusals(check(path, settings={"rate": 0.5}))


def test_hmc_conforms_in_data_space():
    assert not _refusals(check(ROOT / "methods" / "hmc.py", settings={"space": "data"}))


def test_parts_of_a_package_may_import_each_other_and_nothing_else(tmp_path):
    def package(name: str, part: str) -> list[str]:
        folder = tmp_path / name
        folder.mkdir()
        source = GOOD.replace("import torch", "import torch\nfrom .part import SCALE").replace(
            "float = 0.8", "float = SCALE"
        )
        (folder / "part.py").write_text(part)
        return _refusals(check(_written(folder, "__init__", source)))

    assert not package("whole", "SCALE = 0.8\n")
    assert "the file imports" in package("nosy", "from ..other import x\nSCALE = 0.8\n")[0]
    (refusal,) = package("metric", "import bench.metrics\nSCALE = 0.8\n")
    assert "it imports only what a method may: part.py imports bench.metrics" in refusal


@pytest.mark.parametrize("num_channels", [1, 3])
def test_the_toy_is_exact(num_channels):
    prior, rng = ToyPrior(num_channels), Rng(("toy",), [0])
    problem, x = ToyProblem(prior), 0.5 * rng.randn((4, num_channels, 4, 4))[0]
    y = problem.simulate(x, rng)
    # Tweedie: the density of x_t = x + sigma eps is N(mu, C + sigma^2), whose score is (D - x_t) / sigma^2
    noise = 0.3**2 * torch.eye(16 * num_channels, dtype=x.dtype)
    marginal = torch.distributions.MultivariateNormal(prior.mean, prior.covariance + noise)
    x_t = x.clone().requires_grad_()
    score = torch.autograd.grad(marginal.log_prob(x_t.flatten(1)).sum(), x_t)[0]
    assert torch.allclose((prior.denoise(x, torch.tensor(0.3)) - x) / 0.3**2, score, atol=1e-10)
    density = torch.distributions.MultivariateNormal(prior.mean, prior.covariance).log_prob(
        x.flatten(1)
    )
    assert torch.allclose(prior.log_prob(x), density, atol=1e-10)
    # log prior + log likelihood - log posterior is the evidence: the same at every x
    mean, covariance = problem.posterior(y[:1].expand(4, -1, -1, -1))
    posterior = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x.flatten(1))
    evidence = density + problem.log_likelihood(x, y[:1].expand(4, -1, -1, -1)) - posterior
    assert torch.allclose(evidence, evidence[:1].expand(4), atol=1e-9)
    v = problem.operator(x, y)
    assert torch.allclose(
        (problem.operator(x, y) * v).sum(), (x * problem.operator.adjoint(v, y)).sum(), atol=1e-12
    )


def _refusals(results) -> list[str]:
    return [str(result) for result in results if result.status == "FAIL"]


def _written(folder: Path, name: str, source: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(source)
    return path
