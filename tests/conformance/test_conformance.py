"""Every module in methods/ conforms; each sin of a dropped-in method is refused by the check meant for it, in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.conformance import check, method_paths
from bench.conformance.claims import evaluate, find_claim
from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.provenance import ROOT
from bench.core.rng import Rng

GOOD = '''"""Denoise noise once, then descend on the residual. https://example.org/paper

Deviations: none.
"""
from dataclasses import dataclass
from typing import ClassVar
import torch
from bench.core.types import Cap, Joint, LogUniform
__all__ = ["Good"]

@dataclass(frozen=True)
class Good:
    """NFE: 1 forward, 0 backward per sample"""
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
    search: ClassVar[dict] = {"rate": LogUniform(0.1, 1.0)}
    rate: float = 0.8

    def sample(self, prior, problem, y, num_samples, *, rng):
        rows = y.repeat_interleave(num_samples, 0)
        x = prior.denoise(rng.per_sample.randn(prior.shape).flatten(0, 1), torch.tensor(1.0))
        for _ in range(9):
            x = x + self.rate * problem.operator.adjoint(problem.residual(x, rows), rows)
        return x.unflatten(0, (len(y), num_samples))
'''
RETURN = "return x.unflatten(0, (len(y), num_samples))"
FIRST = "rows = y.repeat_interleave(num_samples, 0)"
CHAIN = '    joint: ClassVar[Joint] = "chain"\n'

SINS = {  # what is replaced, by what, the checks that fail, and words of the first refusal
    "raises": (
        RETURN,
        "raise ValueError('no convergence')",
        ["it draws samples"],
        "ValueError: no convergence (raises.py, line 23)",
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
    "graph": (RETURN, "x.requires_grad_(); " + RETURN, ["shape, dtype and device"], "still carry a graph"),
    "batch norm": (
        RETURN,
        "x = x - 0.1 * x.mean(0); " + RETURN,
        ["rows do not interact", "a broken measurement stays alone", "alone as in a batch", "any chunk size"],
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
        ["alone as in a batch"],
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
        "torch.stack([torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(k)) for k in rng.samples])"
        ".double().repeat(len(y), 1, 1, 1, 1)",
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
        FIRST + "; p = torch.zeros(len(rows), 1, 4, 4).requires_grad_(); problem.residual(p, rows).sum().backward()",
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
    "not frozen": ("(frozen=True)", "", ["a frozen dataclass with `sample`"], "not a frozen dataclass"),
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
        "import torch, bench.core.rng, bench.metrics",
        ["it imports only what a method may"],
        "bench.metrics",
    ),
    "depends on chunk": (
        RETURN,
        "x = x + 0.1 / num_samples; " + RETURN,
        ["any chunk size"],
        "5 samples in one call and in two",
    ),
    "wrong nfe": (
        "NFE: 1 forward",
        "NFE: 2 * s forward",
        ["NFE as the docstring claims"],
        "metered 1 forward, 0 backward per sample at s = 5",
    ),
    "no nfe": ("NFE: 1 forward", "", ["NFE as the docstring claims"], "expected a line `NFE:"),
    "odd nfe": ("NFE: 1 forward", "NFE: open('x') forward", ["NFE as the docstring claims"], "neither arithmetic"),
    "ignores y": ("range(9)", "range(0)", ["fits the data better than the prior"], "does it use y?"),
}
ADDED = {"unseeded": "GENERATOR = torch.Generator().manual_seed(0)\n"}


@pytest.mark.parametrize("path", method_paths(), ids=lambda path: path.stem)
def test_method_conforms(path):
    refusals = _refusals(check(path))
    assert not refusals, "\n".join(refusals)


def test_a_good_method_passes(tmp_path):
    outcomes = check(_written(tmp_path, "good", GOOD))
    assert not _refusals(outcomes), "\n".join(_refusals(outcomes))
    skipped = ["it trains", "training is repeatable", "does without what it merely uses"]
    assert [outcome.title for outcome in outcomes if outcome.status == "skip"] == skipped


@pytest.mark.parametrize("sin", SINS)
def test_a_sin_is_refused_by_its_check(tmp_path, sin):
    old, new, failing, words = SINS[sin]
    assert GOOD.count(old) >= 1
    source = GOOD.replace(old, new).replace("@dataclass(", ADDED.get(sin, "") + "@dataclass(")
    state = torch.get_rng_state(), torch.get_default_dtype(), np.random.get_state()[1].copy()
    outcomes = check(_written(tmp_path, sin.replace(" ", "_"), source))
    refused = [outcome for outcome in outcomes if outcome.status == "FAIL"]
    assert [outcome.title for outcome in refused] == failing, "\n".join(map(str, refused))
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
    "training raises": ("x = prior.sample", "raise ValueError('diverged')\n        x = prior.sample", "diverged"),
    "undeclared in training": ("x = prior.sample", "problem.simulate(prior.sample(9, rng)[0], rng)", "Cap.SIMULATE"),
    "keys": ('{"mean": x', "{0: x", "train() returned dict[int, Tensor | str, Tensor], expected a flat dict"),
    "nested": ('"noise": rng.randn((2,))[0]', '"noise": {}', "expected a flat dict[str, Tensor]"),
    "not finite": ("x.mean(0)", "x.mean(0) / 0", "'mean' with NaN or infinity"),
    "unseeded": ("rng.randn((2,))[0]", "torch.randn(2, generator=GENERATOR)", "two trainings with one seed differ"),
    "global draws": ("rng.randn((2,))[0]", "torch.randn(2)", "torch's global random generator"),
    "overwrites": ("rows = y", "state['mean'] += 1; rows = y", "state was changed in place"),
    "no train": ("def train(", "def learn(", "takes `state`, but Good has no method train"),
    "odd train": ("problem, *, rng):\n        x = p", "y, *, rng):\n        x = p", "expected train(self, prior"),
    "tiny": ("    rate: float", "    tiny: ClassVar[dict] = {'rat': 0.1}\n    rate: float", "`tiny` sets rat"),
}


def test_a_trainable_method_is_trained_first(tmp_path):
    outcomes = check(_written(tmp_path, "trained", TRAINABLE))
    assert not _refusals(outcomes), "\n".join(_refusals(outcomes))
    assert any(str(outcome) == "ok   it trains: 2 tensors" for outcome in outcomes)


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
    outcomes = check(_written(tmp_path, "small", poor.replace("rows = y", "assert self.rate == 0.25; rows = y")))
    assert not _refusals(outcomes), "\n".join(_refusals(outcomes))
    assert "at its tiny settings, {'rate': 0.25}, nothing is promised" in outcomes[-1].words


OPTIONAL = GOOD.replace("    search", "    uses: ClassVar[Cap] = Cap.GRAD\n    search").replace(
    FIRST, FIRST + "; assert not problem.caps & Cap.EXACT; assert prior.caps == Cap.DENOISER"
)
ASK = "\n        if Cap.GRAD in problem.caps: p = torch.zeros(len(rows), 1, 4, 4).requires_grad_(); "
GRADIENT = "problem.residual(p, rows).sum().backward()"


def test_what_a_method_merely_uses_may_be_missing(tmp_path):
    good = OPTIONAL.replace(FIRST, FIRST + ASK + GRADIENT)
    outcomes = check(_written(tmp_path, "asks", good))
    assert not _refusals(outcomes), "\n".join(_refusals(outcomes))
    careless = OPTIONAL.replace(FIRST, FIRST + ASK.replace("Cap.GRAD in problem.caps", "True") + GRADIENT)
    (refusal,) = _refusals(check(_written(tmp_path, "careless", careless)))
    assert refusal.startswith("FAIL does without what it merely uses: it uses the gradient of problem.residual")
    twice = OPTIONAL.replace("uses: ClassVar[Cap] = Cap.GRAD", "uses: ClassVar[Cap] = Cap.RESIDUAL")
    assert "`uses` repeats RESIDUAL of `needs`" in _refusals(check(_written(tmp_path, "twice", twice)))[0]


def test_the_command_speaks_and_exits_with_1(tmp_path):
    bad = _written(tmp_path, "bad", GOOD.replace(RETURN, "return x"))
    command = [sys.executable, "-m", "bench.conformance", str(_written(tmp_path, "good", GOOD)), str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert "  conforms" in done.stdout and "  ok   rows do not interact" in done.stdout
    assert "  FAIL shape, dtype and device: the samples have shape (15, 1, 4, 4)" in done.stdout


@pytest.mark.parametrize(
    ("expression", "value"),
    [("num_steps", 7), ("2 * num_steps + 1", 15), ("decode_nfe * ceil(s / 4)", 80), ("1 if s > 4 else 0", 1)],
)
def test_claims_are_arithmetic(expression, value):
    assert evaluate(expression, {"num_steps": 7, "s": 5, "decode_nfe": 40}) == value


@pytest.mark.parametrize("expression", ["__import__('os')", "num_steps.real", "[1][0]", "lambda: 1", "1 / 0", "1 +"])
def test_claims_are_nothing_but_arithmetic(expression):
    with pytest.raises(ValueError, match="`"):
        evaluate(expression, {"num_steps": 7, "s": 5})


def test_a_claim_may_wrap_and_be_a_bound():
    claim = find_claim(None, "Text.\n\nNFE: at most num_steps *\n  2 forward,\n  num_steps backward per sample.")
    assert (claim.forward, claim.backward, claim.at_most) == ("num_steps * 2", "num_steps", True)
    assert claim.holds((5, 1), (6, 2)) and not claim.holds((7, 1), (6, 2))


def test_the_toy_is_exact():
    prior, rng = ToyPrior(), Rng(("toy",), [0])
    problem, x = ToyProblem(prior), 0.5 * rng.randn((4, 1, 4, 4))[0]
    y = problem.simulate(x, rng)
    # Tweedie: the density of x_t = x + sigma eps is N(mu, C + sigma^2), whose score is (D - x_t) / sigma^2
    noise = 0.3**2 * torch.eye(16, dtype=x.dtype)
    marginal = torch.distributions.MultivariateNormal(prior.mean, prior.covariance + noise)
    x_t = x.clone().requires_grad_()
    score = torch.autograd.grad(marginal.log_prob(x_t.flatten(1)).sum(), x_t)[0]
    assert torch.allclose((prior.denoise(x, torch.tensor(0.3)) - x) / 0.3**2, score, atol=1e-10)
    density = torch.distributions.MultivariateNormal(prior.mean, prior.covariance).log_prob(x.flatten(1))
    assert torch.allclose(prior.log_prob(x), density, atol=1e-10)
    # log prior + log likelihood - log posterior is the evidence: the same at every x
    mean, covariance = problem.posterior(y[:1].expand(4, -1, -1, -1))
    posterior = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x.flatten(1))
    evidence = density + problem.log_likelihood(x, y[:1].expand(4, -1, -1, -1)) - posterior
    assert torch.allclose(evidence, evidence[:1].expand(4), atol=1e-9)
    v = problem.operator(x, y)
    assert torch.allclose((problem.operator(x, y) * v).sum(), (x * problem.operator.adjoint(v, y)).sum(), atol=1e-12)


def _refusals(outcomes) -> list[str]:
    return [str(outcome) for outcome in outcomes if outcome.status == "FAIL"]


def _written(folder: Path, name: str, source: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(source)
    return path
