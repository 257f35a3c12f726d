"""Every module in methods/ conforms, and the checks of methods allow, require and report the right things."""

from __future__ import annotations

import pytest
import torch
from helpers.conforming_method import FIRST, GOOD, RETURN, TRAINABLE, refusals_of, written
from helpers.forked import run_module

from bench.conformance import check, method_paths
from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.provenance import ROOT
from bench.core.registry import name_of
from bench.core.rng import Rng

# by their papers' design; all others know how large the noise of a measurement is
BLIND_TO_NOISE = {"best_of_n", "dps", "mpgd", "red_diff"}


@pytest.mark.parametrize("path", method_paths(), ids=name_of)
def test_method_conforms(path):
    results = check(path)
    assert not refusals_of(results), "\n".join(refusals_of(results))
    is_blind = any("do not depend on sigma_y" in result.words for result in results)
    assert is_blind == (name_of(path) in BLIND_TO_NOISE)


def test_a_good_method_passes(tmp_path):
    results = check(written(tmp_path, "good", GOOD))
    assert not refusals_of(results), "\n".join(refusals_of(results))
    skipped = ["it trains", "training is repeatable"]
    skipped += ["what it says of its sampler has a name and a number for each measurement"]
    skipped += ["works without the capabilities in `uses`"]
    skipped += ["a point estimate stands in each sample", "uses the noise level"]
    assert [result.title for result in results if result.status == "skip"] == skipped


def test_a_trainable_method_is_trained_first(tmp_path):
    results = check(written(tmp_path, "trained", TRAINABLE))
    assert not refusals_of(results), "\n".join(refusals_of(results))
    assert any(str(result) == "ok   it trains: 2 tensors" for result in results)


def test_tiny_settings_are_used_and_promise_no_quality(tmp_path):
    poor = TRAINABLE.replace("range(9)", "range(0)").replace(
        "    rate: float", "    tiny: ClassVar[dict] = {'rate': 0.25}\n    rate: float"
    )
    results = check(
        written(tmp_path, "small", poor.replace("rows = y", "assert self.rate == 0.25; rows = y"))
    )
    assert not refusals_of(results), "\n".join(refusals_of(results))
    assert (
        "at its tiny settings, {'rate': 0.25}, good samples are not expected" in results[-1].words
    )


OPTIONAL = GOOD.replace("    search", "    uses: ClassVar[Cap] = Cap.GRAD\n    search").replace(
    FIRST, FIRST + "; assert not problem.caps & Cap.EXACT; assert prior.caps == Cap.DENOISER"
)
ASK = "\n        if Cap.GRAD in problem.caps: p = torch.zeros(len(rows), *prior.shape).requires_grad_(); "
GRADIENT = "problem.residual(p, rows).sum().backward()"


def test_what_a_method_merely_uses_may_be_missing(tmp_path):
    good = OPTIONAL.replace(FIRST, FIRST + ASK + GRADIENT)
    results = check(written(tmp_path, "asks", good))
    assert not refusals_of(results), "\n".join(refusals_of(results))
    careless = OPTIONAL.replace(
        FIRST, FIRST + ASK.replace("Cap.GRAD in problem.caps", "True") + GRADIENT
    )
    (refusal,) = refusals_of(check(written(tmp_path, "careless", careless)))
    assert refusal.startswith(
        "FAIL works without the capabilities in `uses`: it uses the gradient of problem.residual"
    )
    twice = OPTIONAL.replace("uses: ClassVar[Cap] = Cap.GRAD", "uses: ClassVar[Cap] = Cap.RESIDUAL")
    assert (
        "`uses` repeats RESIDUAL of `needs`"
        in refusals_of(check(written(tmp_path, "twice", twice)))[0]
    )


def test_the_command_prints_the_faults_and_exits_with_1(tmp_path):
    bad = written(tmp_path, "bad", GOOD.replace(RETURN, "return x"))
    done = run_module(["bench.conformance", str(written(tmp_path, "good", GOOD)), str(bad)])
    assert done.returncode == 1, done.stderr
    assert "  conforms" in done.stdout and "  ok   rows do not interact" in done.stdout
    assert "  FAIL shape, dtype and device: the samples have shape (15, 1, 4, 4)" in done.stdout


def test_a_bound_on_the_nfe_is_enough(tmp_path):
    results = check(
        written(tmp_path, "bounded", GOOD.replace("NFE(1, 0)", "NFE(1.5, 2, at_most=True)"))
    )
    assert not refusals_of(results), "\n".join(refusals_of(results))


def test_settings_may_differ_from_the_defaults(tmp_path):
    path = written(tmp_path, "rates", GOOD.replace(FIRST, FIRST + "; assert self.rate == 0.5"))
    assert "AssertionError" in refusals_of(check(path))[0]
    assert not refusals_of(check(path, settings={"rate": 0.5}))


def test_hmc_conforms_in_data_space():
    assert not refusals_of(check(ROOT / "methods" / "hmc.py", settings={"space": "data"}))


@pytest.mark.parametrize("name", ["aps", "ods"])
def test_convolutional_networks_conform(name):
    path = ROOT / "methods" / name / "__init__.py"
    assert not refusals_of(check(path, settings={"network": "convolutional"}))


def test_parts_of_a_package_may_import_each_other_and_nothing_else(tmp_path):
    def package(name: str, part: str) -> list[str]:
        folder = tmp_path / name
        folder.mkdir()
        source = GOOD.replace("import torch", "import torch\nfrom .part import SCALE").replace(
            "float = 0.8", "float = SCALE"
        )
        (folder / "part.py").write_text(part)
        return refusals_of(check(written(folder, "__init__", source)))

    assert not package("whole", "SCALE = 0.8\n")
    assert "the file imports" in package("nosy", "from ..other import x\nSCALE = 0.8\n")[0]
    (refusal,) = package("metric", "import bench.metrics\nSCALE = 0.8\n")
    assert "it imports only what a method may: part.py imports bench.metrics" in refusal


def test_methods_may_share_helpers_in_their_folder(tmp_path):
    def beside(name: str, helper: str, statement: str = "from ._scales import SCALE") -> list[str]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "_scales.py").write_text(helper)
        source = GOOD.replace("import torch", f"import torch\n{statement}")
        return refusals_of(check(written(folder, "good", source.replace("= 0.8", "= SCALE"))))

    assert not beside("one", "SCALE = 0.8\n")
    # another folder's helper of the same name is another module
    assert "SCALE is 0.7" in beside("two", "raise ValueError('SCALE is 0.7')\n")[0]
    (refusal,) = beside("nosy", "import bench.metrics\nSCALE = 0.8\n")
    assert "it imports only what a method may: _scales.py imports bench.metrics" in refusal
    plain = beside("plain", "SCALE = 0.8\n", "from .good import SCALE")
    assert "the file imports" in plain[0]


def test_a_method_may_use_the_spectrum_that_it_declares(tmp_path):
    """One step in the singular basis, in place of nine along the gradient: the toy has a spectrum."""
    spectral = GOOD.replace("range(9)", "range(1)").replace(
        "x = x + self.rate * problem.operator.adjoint(problem.residual(x, rows), rows)",
        "v = problem.operator.adjoint(problem.residual(x, rows), rows); "
        "basis = problem.operator.spectrum(rows, prior.shape); "
        "x = x + basis.image(basis.coordinates(v) / basis.values.square().clamp_min(1e-9))",
    )
    declared = spectral.replace("Cap.LINEAR", "Cap.LINEAR | Cap.SPECTRUM").replace(
        "self.rate * ", ""
    )
    refusals = refusals_of(check(written(tmp_path, "spectral", declared)))
    assert not refusals, "\n".join(refusals)
    refusals = refusals_of(check(written(tmp_path, "silent", spectral)))
    assert "problem.operator.spectrum, which needs Cap.SPECTRUM" in refusals[0]


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
    spectrum = problem.operator.spectrum(y, prior.shape)
    seen = spectrum.image(spectrum.values.square() * spectrum.coordinates(x))
    assert torch.allclose(problem.operator.adjoint(v, y), seen, atol=1e-12)
    assert torch.allclose(
        (problem.operator(x, y) * v).sum(), (x * problem.operator.adjoint(v, y)).sum(), atol=1e-12
    )
