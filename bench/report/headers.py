"""The line above a task's table: what was measured, and how the truth is known."""

from __future__ import annotations

from bench.core.artefacts import Json
from bench.core.text import shortened
from bench.stats.results import TaskResults

IN_LATENTS = " in z"  # ends the kind of a reference that was made in the latents of a learned prior


def task_header(task: TaskResults) -> str:
    """Operator and parameters, noise, prior, kind of the exact posterior, how many it admits, and its perplexity."""
    seen, exact = task.measurements, task.reference
    parameters = ", ".join(f"{name} {value}" for name, value in seen.get("parameters", {}).items())
    sigma_y = seen.get("sigma_y")
    parts = [
        f"operator {seen.get('operator')}" + (f" ({parameters})" if parameters else ""),
        *([f"sigma_y = {sigma_y}"] if sigma_y is not None else []),
        f"prior {seen.get('prior')} ({seen.get('family')} on {seen.get('dataset')})",
        *_whose_posterior(seen, exact),
    ]
    perplexity = [v for v in exact.get("posterior_perplexity") or [] if v is not None]
    of = f" {exact['perplexity_of']}" if exact.get("perplexity_of") else ""
    words = f"{_digits(sum(perplexity) / len(perplexity))}{of} (mean)" if perplexity else "n/a"
    return "; ".join([*parts, f"posterior perplexity {words}", *_admission(exact)])


def _whose_posterior(seen: Json, exact: Json) -> list[str]:
    """Of a learned prior the truth is what its decoder makes of p(z given y), and a map's denoiser is its teacher's."""
    kind = str(exact.get("kind"))
    if not kind.endswith(IN_LATENTS):
        return [f"exact posterior: {kind}"]
    parts = [f"truth: the posterior of the decoder, p(x) = f(N(0, I)), by {kind}"]
    if seen.get("family") == "consistency":
        parts.append("methods that need a denoiser (dps, aps) use that of the map's teacher")
    return parts


def _admission(exact: Json) -> list[str]:
    admitted = exact.get("admitted") or []
    if all(admitted):
        return []
    reasons = sorted({reason for reason in exact.get("reasons", []) if reason})
    words = f" (not admitted: {shortened('; '.join(reasons))})" if reasons else ""
    return [f"reference admitted for {sum(admitted)} of {len(admitted)} measurements{words}"]


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
