"""Write the line above a task's table: what was measured, and how its posterior is known."""

from __future__ import annotations

from bench.core.artefacts import Json
from bench.core.text import format_settings, shortened
from bench.report.front.references import EXACT, NONE, reference_mode
from bench.stats.results import TaskResults

# end of the kind of a reference that was drawn in the latents of a learned prior
IN_LATENTS = " in z"


def task_header(task: TaskResults) -> str:
    """Return the problem, the prior, kind of the posterior, its perplexity, and what is not admitted."""
    seen = task.measurements
    parameters = format_settings(seen.get("parameters", {}))
    sigma_y, rate = seen.get("sigma_y"), seen.get("rate")
    parts = [
        f"operator {seen.get('operator')}" + (f" ({parameters})" if parameters else ""),
        *([f"sigma_y = {sigma_y} ({sigma_y / 2:g} on [0, 1])"] if sigma_y is not None else []),
        *([f"Poisson noise, rate = {rate} (white is {255 * rate:g} photons)"] if rate else []),
        f"prior {seen.get('prior')} ({seen.get('family')} on {seen.get('dataset')})",
        *(["x_true: draws of the prior"] if task.is_well_specified else []),
        *([f"{task.num_measurements} measurements"] if task.num_measurements else []),
        *_posterior(task),
        *_other_prior(task),
    ]
    return "; ".join(parts)


def _posterior(task: TaskResults) -> list[str]:
    """Return the posterior behind the reference (for a learned prior, that of its decoder), and which draws failed."""
    reference, mode = task.reference, reference_mode(task)
    kind = str(reference.get("kind"))
    if mode == NONE:
        reasons = sorted({reason for reason in reference.get("reasons", []) if reason})
        return [
            f"no reference draws ({shortened('; '.join(reasons))})"
            if reasons
            else "no reference draws"
        ]
    named = f"{'exact' if mode == EXACT else 'reference'} posterior: {kind}"
    if kind.endswith(IN_LATENTS):
        named = f"truth: the posterior of the decoder, p(x) = f(N(0, I)), by {kind}"
    if under := reference.get("under"):
        named += f" under {under}, from which the prior learned: distances include the error of what it learned"
    return [named, f"posterior perplexity {_perplexity(reference)}", *_not_admitted(reference)]


def _other_prior(task: TaskResults) -> list[str]:
    """Return which methods saw another prior, where there are any."""
    if not task.unranked:
        return []
    names, where = ", ".join(sorted(task.unranked)), ""
    if not task.reference.get("under"):
        where = ", and compared by the teacher's posterior in the columns that end with _total"
    words = f"other prior: {names} (saw the denoiser or the density of the map's teacher; listed last, without bold or"
    return [f"{words} rank{where})"]


def _perplexity(reference: Json) -> str:
    values = [v for v in reference.get("posterior_perplexity") or [] if v is not None]
    if not values:
        return "n/a"
    mean, of = sum(values) / len(values), reference.get("perplexity_of")
    number = f"{mean:.0f}" if mean >= 100 else f"{mean:.3g}"
    return f"{number} {of} (mean)" if of else f"{number} (mean)"


def _not_admitted(reference: Json) -> list[str]:
    """Return for how many measurements the reference passed its checks, and why not for the others; [] for all."""
    admitted = reference.get("admitted") or []
    if all(admitted):
        return []
    reasons = sorted({reason for reason in reference.get("reasons", []) if reason})
    why = f" (not admitted: {shortened('; '.join(reasons))})" if reasons else ""
    return [f"reference admitted for {sum(admitted)} of {len(admitted)} measurements{why}"]
