"""Checks of training and sampling on the toy problem (see `toy.py`)."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from bench.conformance.case import Case, Check, NotApplicable, Refused
from bench.conformance.mixture_trial import draws_on_a_mixture
from bench.conformance.public_errors import SEES_Y, noise_level, unclipped
from bench.conformance.readable import refuse_untracked
from bench.conformance.trial import Drawn, Findings, M, Trial, same_state
from bench.core.rng import Rng
from bench.core.types import NFE, Cap, Diagnosing
from bench.metrics._diagnosis import NAMES as DIAGNOSES
from bench.runtime.run_method import refuse_malformed_state, trainable

TOLERANCE = 1e-5
NUM_PRIOR = 256
MOST_MISFIT = 0.3
NFE_SIGNATURE = "nfe(self, prior, num_samples)"


def trains(case: Case) -> str:
    if not trainable(case.method):
        raise NotApplicable("it has no `train`")
    trained = case.trial.trained
    _declared(trained.findings)
    if trained.findings.error:
        raise Refused(f"`train` raised {trained.findings.error}")
    try:
        refuse_malformed_state(trained.state)
    except ValueError as error:
        raise Refused(str(error)) from None
    return f"{len(trained.state)} tensors"


def repeatable(case: Case) -> str:
    if not trainable(case.method):
        raise NotApplicable("it has no `train`")
    again = case.trial.train()
    if again.findings.error:
        raise Refused(f"a second time, `train` raised {again.findings.error}")
    if not same_state(case.trial.trained.state, again.state):
        raise Refused(
            "two trainings with one seed differ; draw from `rng` only, initial weights and batches as well"
        )
    return ""


def diagnosed(case: Case) -> str:
    trial, trains = case.trial, trainable(case.method)
    given = {"state": trial.trained.state} if trains else {}
    if not isinstance(case.method, Diagnosing) or (trains and not trial.trained.state):
        raise NotApplicable("it has no `diagnose`, or a state without tensors")
    rng, num_paths = Rng(("conformance", "diagnose"), range(M)), trial.num_samples
    said = case.method.diagnose(trial.prior, trial.problem, trial.y, num_paths, rng=rng, **given)
    for name, values in said.items():
        if name not in DIAGNOSES:
            raise Refused(f"`diagnose` returned {name!r}; expected {', '.join(DIAGNOSES)}")
        if tuple(values.shape) != (M,) or not values.isfinite().all():
            came = f"`diagnose` returned {name} of shape {tuple(values.shape)}"
            raise Refused(f"{came}; expected finite numbers of shape ({M},)")
    return ", ".join(said)


def capabilities(case: Case) -> str:
    _declared(case.base.findings)
    return ""


def _declared(findings: Findings) -> None:
    if findings.undeclared:
        raise Refused(
            f"it uses {findings.undeclared[0]}, but `needs` does not declare it; add it there"
        )


def optional(case: Case) -> str:
    uses = getattr(case.cls, "uses", Cap.NONE)
    if not uses:
        raise NotApplicable("it names no capability in `uses`")
    drawn = dataclasses.replace(case.trial, shown=case.method.needs).draw()
    _declared(drawn.findings)
    x = _samples(drawn, f"without {uses.name}")
    if x.shape != case.base.x.shape or not x.isfinite().all():
        raise Refused(
            f"without {uses.name} its samples are malformed; ask prior.caps and problem.caps what is there"
        )
    return ""


def draws(case: Case) -> str:
    if error := case.base.findings.error:
        raise Refused(f"`sample` raised {error}")
    return ""


def shape(case: Case) -> str:
    x, y = case.base.x, case.trial.y
    if not isinstance(x, Tensor):
        raise Refused(f"`sample` returned {type(x).__name__}; expected a tensor (m, s, *x)")
    expected = (M, case.trial.num_samples, *case.trial.prior.shape)
    if tuple(x.shape) != expected:
        raise Refused(f"the samples have shape {tuple(x.shape)}; expected (m, s, *x) = {expected}")
    if (x.dtype, x.device) != (y.dtype, y.device):
        raise Refused(
            f"the samples are {x.dtype} on {x.device}; expected y's {y.dtype} on {y.device}"
        )
    if x.requires_grad:
        raise Refused(
            "the samples still carry a graph; detach them, or sample under torch.no_grad()"
        )
    return ""


def finite(case: Case) -> str:
    bad = int((~case.base.x.float().isfinite()).flatten(2).any(2).sum())  # as they are stored
    if bad:
        raise Refused(
            f"{bad} of {case.num_rows} samples hold NaN or infinity in float32, in which they are stored; check "
            "divisions, roots and step sizes"
        )
    return ""


def inputs(case: Case) -> str:
    if case.base.changed:
        name = case.base.changed[0]
        raise Refused(f"{name} was changed in place; work on a copy (.clone())")
    return ""


def global_state(case: Case) -> str:
    training = case.trial.trained.findings.touched if trainable(case.method) else []
    at_import = case.loaded[1].touched
    if touched := dict.fromkeys(at_import + training + case.base.findings.touched):
        raise Refused(
            f"it changed {', '.join(touched)}; take randomness from `rng` only, and leave torch's settings, the "
            "working folder and the streams as they are"
        )
    return ""


def tracked(case: Case) -> str:
    return refuse_untracked(case.path, case.before)


def same_seed(case: Case) -> str:
    gap = _gap(case.base.x, _samples(case.trial.draw(), "a second time"))
    if gap > 0:
        raise Refused(
            f"two calls with one seed differ by {gap:.1e}; expected the same bits: draw from `rng` only"
        )
    return ""


def other_seed(case: Case) -> str:
    if case.joint == "point":
        raise NotApplicable("a point estimate may do without random numbers")
    other = _samples(case.trial.draw(seed=1), "with another seed")
    if torch.equal(case.base.x, other):
        raise Refused(
            "another seed gave the same samples; expected other ones: draw the randomness from `rng`"
        )
    return ""


def rows(case: Case) -> str:
    y = case.trial.y.clone()
    y[1, 0] = 0.3 - y[1, 0]  # channel 0 holds the values, channel 1 the mask
    x = _samples(case.trial.draw(y), "with another y in row 1")
    gap = _gap(case.base.x[[0, 2]], x[[0, 2]])
    if gap > TOLERANCE:
        raise Refused(
            f"the samples of measurements 0 and 2 moved by {gap:.1e} when the y of measurement 1 changed; expected at "
            f"most {TOLERANCE}: take norms and means per row, and sum over rows only before a gradient"
        )
    return ""


def broken_row(case: Case) -> str:
    y = case.trial.y.clone()
    y[1, 0], y[2, 0] = 1e6, math.nan
    x = _samples(case.trial.draw(y), "with a y of 1e6 in row 1 and NaN in row 2")
    gap = _gap(case.base.x[:1], x[:1])
    if gap > TOLERANCE:
        raise Refused(
            f"a y of 1e6 in row 1 and NaN in row 2 moved the samples of measurement 0 by {gap:.1e}; expected at most "
            f"{TOLERANCE}: no reduction over the batch, and no branch on it"
        )
    return ""


def alone(case: Case) -> str:
    x = _samples(case.trial.draw(ids=[1]), "with one measurement")
    gap = _gap(case.base.x[1:2], x)
    if gap > TOLERANCE:
        raise Refused(
            f"measurement 1 alone gives samples that differ by {gap:.1e} from those in a batch; expected at most "
            f"{TOLERANCE}: no loop length, step size or index may depend on the batch"
        )
    return ""


def chunks(case: Case) -> str:
    if case.joint != "independent":
        raise NotApplicable(f"the samples of a {case.joint} method are never split")
    x = torch.cat([_samples(drawn, "with fewer samples") for drawn in case.chunks], 1)
    gap = _gap(case.base.x, x)
    if gap > TOLERANCE:
        raise Refused(
            f"{case.trial.num_samples} samples in one call and in two differ by {gap:.1e}; expected at most "
            f"{TOLERANCE}: draw noise as rng.per_sample.randn((...)), or declare joint = 'coupled'"
        )
    return ""


def one_estimate(case: Case) -> str:
    if case.joint != "point":
        raise NotApplicable("it draws samples")
    if not torch.equal(case.base.x, case.base.x[:, :1].expand_as(case.base.x)):
        raise Refused(
            "`joint` is 'point' and its samples differ; repeat the estimate, or declare another `joint`"
        )
    return ""


def few(case: Case) -> str:
    """Draw at s = 1 and at s = channels = chains, where one axis of a shape is easily taken for another."""
    drawn_at = {}
    for trial, s, drawn in case.few:
        when = f"with s = {s} and {trial.num_channels} channels"
        x, expected = _samples(drawn, when), (M, s, *trial.prior.shape)
        drawn_at[trial.num_channels, s] = x
        if tuple(x.shape) != expected or not x.isfinite().all():
            raise Refused(
                f"{when} the samples have shape {tuple(x.shape)} or are not finite; expected {expected}"
            )
    gap = _gap(x[1:2], _samples(trial.draw(ids=[1], samples=range(s)), f"{when}, alone"))
    if gap > TOLERANCE:
        raise Refused(f"{when}, measurement 1 alone differs by {gap:.1e} from itself in a batch")
    gap = _gap(x[:, :1], drawn_at[trial.num_channels, 1]) if case.joint == "independent" else 0.0
    if gap > TOLERANCE:
        raise Refused(
            f"{when}, the first sample alone differs by {gap:.1e}; draw with rng.per_sample"
        )
    return ", ".join(f"s = {s} with {trial.num_channels} channels" for trial, s, _ in case.few)


def nfe(case: Case) -> str:
    used = bool(case.method.needs & (Cap.DENOISER | Cap.DECODER)) or case.base.meter.forward > 0
    if not callable(getattr(case.method, "nfe", None)):
        if used:
            raise Refused(
                f"no method says what a sample costs; add `{NFE_SIGNATURE}`, which returns NFE(forward, backward)"
            )
        raise NotApplicable("it does not use the network")
    calls_in_training = case.trial.trained.meter.forward if trainable(case.method) else 0
    if used and case.base.meter.forward == calls_in_training == 0:
        raise Refused(
            "it needs the network but made no call of it; drop DENOISER or DECODER from `needs`"
        )
    runs = [(case.trial, case.trial.num_samples, case.base), *case.few]
    runs += [(case.trial, 2, case.chunks[0])] if case.joint == "independent" else []
    for trial, s, drawn in runs:
        _samples(drawn, f"with s = {s}")
        _costs_what_it_says(trial, s, drawn)
    total = M * case.trial.num_samples
    return f"{case.base.meter.nfe(total):g} forward, {case.base.meter.nfe_vjp(total):g} backward"


def _costs_what_it_says(trial: Trial, s: int, drawn: Drawn) -> None:
    """Refuse metered NFE that differ from what the method's `nfe` returns; counts are exact up to rounding."""
    returned = trial.method.nfe(trial.prior, s)
    if not isinstance(returned, tuple) or len(returned) not in (2, 3):
        raise Refused(
            f"`nfe` returned {returned!r}; expected bench.core.types.NFE(forward, backward)"
        )
    stated = NFE(*returned)
    measured = drawn.meter.nfe(M * s), drawn.meter.nfe_vjp(M * s)
    for count, limit in zip(measured, stated[:2], strict=True):
        if count > limit * (1 + 1e-9) or (
            not stated.at_most and not math.isclose(count, limit, rel_tol=1e-9)
        ):
            bound = "at most " if stated.at_most else ""
            raise Refused(
                f"metered {measured[0]:g} forward, {measured[1]:g} backward per sample at s = {s}; "
                f"`nfe` says {bound}{stated.forward:g} and {stated.backward:g}"
            )


def data_fit(case: Case) -> str:
    if not case.method.needs & SEES_Y:
        raise NotApplicable("it does not need the measurement")
    if case.tiny:
        raise NotApplicable(f"at its tiny settings, {case.tiny}, good samples are not expected")
    prior_draws = case.trial.prior.sample(NUM_PRIOR, Rng(("conformance", "prior"), range(M)))
    fit, ceiling = _misfit(case, case.base.x), _misfit(case, prior_draws)
    fits = f"squared residual {fit:.2g} against {ceiling:.2g} of prior draws"
    # on the toy, draws of the posterior reach 0.03 of the ceiling, the prior's mean 0.5, draws that ignore y 1.0 +- 0.2
    if fit > MOST_MISFIT * ceiling:
        raise Refused(f"{fits}; expected less than {MOST_MISFIT} of it: does it use y?")
    return fits


def _misfit(case: Case, x: Tensor) -> float:
    y = case.trial.y.repeat_interleave(x.shape[1], 0)
    return case.trial.problem.residual(x.flatten(0, 1), y).square().mean().item()


def _samples(drawn: Drawn, when: str) -> Tensor:
    if drawn.findings.error:
        raise Refused(f"{when}, `sample` raised {drawn.findings.error}")
    if not isinstance(drawn.x, Tensor):
        raise Refused(f"{when}, `sample` returned {type(drawn.x).__name__}; expected a tensor")
    return drawn.x


def _gap(expected: Tensor, got: Tensor) -> float:
    """Return the largest absolute difference; infinite where shapes differ or `got` is not finite."""
    if expected.shape != got.shape or not got.isfinite().all():
        return math.inf
    return (expected - got).abs().max().item()


SAMPLE_CHECKS = (
    Check("it trains", trains, gate=True),
    Check("training is repeatable", repeatable),
    Check("what it says of its sampler has a name and a number for each measurement", diagnosed),
    Check("only declared capabilities", capabilities, gate=True),
    Check("it draws samples", draws, gate=True),
    Check("shape, dtype and device", shape, gate=True),
    Check("finite samples", finite, gate=True),
    Check("works without the capabilities in `uses`", optional),
    Check("inputs untouched", inputs),
    Check("global state untouched", global_state),
    Check("what it imports is tracked", tracked),
    Check("same seed, same bits", same_seed),
    Check("another seed, other samples", other_seed),
    Check("rows do not interact", rows),
    Check("a broken measurement stays alone", broken_row),
    Check("alone as in a batch", alone),
    Check("any chunk size", chunks),
    Check("a point estimate stands in each sample", one_estimate),
    Check("few samples, one and three channels", few),
    Check("NFE as stated", nfe),
    Check("draws on a mixture of Gaussians in float32", draws_on_a_mixture),
    Check("images are not clipped", unclipped),
    Check("uses the noise level", noise_level),
    Check("fits the data better than the prior", data_fit),
)
