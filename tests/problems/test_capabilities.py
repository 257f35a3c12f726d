"""Which methods run on which problems, and the reasons of those that do not."""

import torch

from bench.core.registry import load, names
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import posterior_of
from bench.runtime.run_method import Unsupported, refuse_unmet


class Everything:
    """A prior with every capability."""

    caps = Cap.DENOISER | Cap.DECODER | Cap.DENSITY
    borrowed = Cap.NONE


def reasons(problem):
    """Why each method cannot run; "" where it can."""
    why = {}
    for name in names("method"):
        try:
            refuse_unmet(load("method", name)(), Everything(), problem)
            why[name] = ""
        except Unsupported as reason:
            why[name] = str(reason)
    return why


# written out, so that a method that forgets a need is noticed; others may be added
GRADIENT_FREE = {"latent_rwm", "ods", "oracle", "unconditional"}
OURS = {"latent_rwm", "ods", "oracle", "unconditional", "dps", "hmc", "latent_langevin", "aps"}


def test_methods_that_need_gradients_say_so_under_an_operator_that_has_none():
    problem = make_problem("jpeg", {"quality": 20}, 0.1, (1, 8, 8), posterior=object())
    why = reasons(problem)
    assert {name for name, reason in why.items() if not reason} & OURS == GRADIENT_FREE
    assert all(why[name] == "needs GRAD" for name in OURS - GRADIENT_FREE)
    x = Rng(("j",), range(2)).rand((1, 8, 8)).requires_grad_()
    y = problem.simulate(x, Rng(("j",), range(2)))
    assert not problem.log_likelihood(x, y).requires_grad


def test_all_methods_run_under_poisson_noise():
    why = reasons(make_problem("denoise", {}, None, (1, 8, 8), object(), rate=1.0))
    assert not {name: why[name] for name in OURS if why[name]}


def test_mixtures_have_no_reference_under_an_operator_without_gradients():
    gaussian = GMM(torch.ones(1), torch.zeros(1, 1, 8, 8), 0.1 * torch.eye(64)[None])
    problem = make_problem("jpeg", {"quality": 20}, 0.1, (1, 8, 8))
    posterior = posterior_of(gaussian, problem)
    assert posterior.kind == "none" and posterior.why == "the operator is not differentiable"
    atoms = Atoms(2 * Rng(("images",), range(5)).rand((1, 8, 8)) - 1)
    y = problem.simulate(atoms.atoms[:2], Rng(("k",), range(2)))
    exact = posterior_of(atoms, problem)
    misfit = (y[:, None] - problem.operator(atoms.atoms)).square().flatten(2).sum(2) / (-2 * 0.1**2)
    torch.testing.assert_close(exact.weights(y), misfit.softmax(1))
