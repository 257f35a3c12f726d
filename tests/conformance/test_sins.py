"""Each fault of a user's method is refused by the check for it, with a message."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.conforming_method import FIRST, GOOD, RETURN, TRAINABLE, refusals_of, written

from bench.conformance import check

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
    "takes no rng": (
        "num_samples, *, rng",
        "num_samples",
        ["a frozen dataclass with `sample`"],
        "`sample` takes (self, prior, problem, y, num_samples); expected sample(self, prior, problem",
    ),
    "bad import": (
        "import torch",
        "import torch, no_such_package",
        ["the file imports"],
        "No module named 'no_such_package'",
    ),
    "bad syntax": ("@dataclass", "@@dataclass", ["the file imports"], "SyntaxError"),
    "nan": (RETURN, "x[0] = torch.nan; " + RETURN, ["finite samples"], "1 of 15 samples hold NaN"),
    "infinite where it is stored": (
        RETURN,
        "x[0] = 1e200; " + RETURN,
        ["finite samples"],
        "1 of 15 samples hold NaN or infinity in float32",
    ),
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
    "one mask for all": (
        FIRST,
        FIRST + "; rows[:, 1:] = rows[:1, 1:]",
        ["alone as in a batch", FEW],
        "measurement 1 alone gives",
    ),
    "one measurement at a time": (
        FIRST,
        "assert len(y) == 1, 'a batch of one'; " + FIRST,
        ["it draws samples"],
        "AssertionError: a batch of one",
    ),
    "y on zero to one": (
        FIRST,
        FIRST + "; rows[:, :len(rows[0]) // 2] = (rows[:, :len(rows[0]) // 2] + 1) / 2",
        ["fits the data better than the prior"],
        "expected less than 0.3 of it",
    ),
    "clips": (
        RETURN,
        "x = x.clamp(-1, 1); " + RETURN,
        ["images are not clipped"],
        "no pixel is beyond 1 where y is 1.6",
    ),
    "float32 alone": (
        ".flatten(0, 1), torch",
        ".flatten(0, 1).float(), torch",
        ["it draws samples"],
        "x is torch.float32, the prior and y are torch.float64; use y.dtype",
    ),
    "float64 alone": (
        ".flatten(0, 1), torch",
        ".flatten(0, 1).double(), torch",
        ["draws on a mixture of Gaussians in float32"],
        "on a mixture of Gaussians in float32, it raised ValueError: prior.denoise: got a tensor of torch.float64",
    ),
    "shape of sigma": (
        "torch.tensor(1.0)",
        "torch.ones(len(rows), 1, 1, 1)",
        ["it draws samples"],
        "sigma has shape (15, 1, 1, 1); expected () or (n,) = (15,)",
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
    "points that differ": (
        "    rate: float",
        '    joint: ClassVar[Joint] = "point"\n    rate: float',
        ["a point estimate stands in each sample"],
        "its samples differ",
    ),
    "kind": (
        "    rate: float",
        '    kind: ClassVar[str] = "magic"\n    rate: float',
        ["`kind` is known"],
        "`kind` is 'magic'; expected one of guidance, split",
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
            ".to(y).repeat(len(y), 1, 1, 1, 1)"
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


@pytest.mark.parametrize("sin", SINS)
def test_a_sin_is_refused_by_its_check(tmp_path, sin):
    old, new, failing, words = SINS[sin]
    assert GOOD.count(old) >= 1
    source = GOOD.replace(old, new).replace("@dataclass(", ADDED.get(sin, "") + "@dataclass(")
    state = torch.get_rng_state(), torch.get_default_dtype(), np.random.get_state()[1].copy()
    results = check(written(tmp_path, sin.replace(" ", "_"), source))
    refused = [result for result in results if result.status == "FAIL"]
    assert [result.title for result in refused] == failing, "\n".join(map(str, refused))
    assert words in refused[0].words
    assert torch.equal(torch.get_rng_state(), state[0]) and torch.get_default_dtype() == state[1]
    assert np.array_equal(np.random.get_state()[1], state[2])


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
    "a reserved name": (
        '{"mean": x',
        '{"__metadata__": x',
        "which no tensor in a file can be named",
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


@pytest.mark.parametrize("sin", TRAINING_SINS)
def test_a_sin_in_training_is_refused(tmp_path, sin):
    old, new, words = TRAINING_SINS[sin]
    assert TRAINABLE.count(old) >= 1
    source = TRAINABLE.replace(old, new).replace("@dataclass(", ADDED.get(sin, "") + "@dataclass(")
    (refusal, *others) = refusals_of(check(written(tmp_path, sin.replace(" ", "_"), source)))
    assert words in refusal, "\n".join([refusal, *others])
