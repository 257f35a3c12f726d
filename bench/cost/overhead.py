"""Every method beside its bare network calls: on the mixture, on the digits' UNet and on a larger one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.registry import names
from bench.core.types import Cap, Method, Prior, Random, State, Trainable
from bench.cost.common import Options, Say, at_most, format_range
from bench.cost.comparisons import Overhead, compare_with_network
from bench.cost.subjects import (
    LARGE,
    digits,
    forward_seconds,
    gmm,
    inpainting,
    measurements,
    new_unet,
    size_of,
    untrained,
)
from bench.priors._mixture import GMM
from bench.problems.inverse_problem import InverseProblem
from bench.runtime.run_method import Unsupported, load_method, refuse_unmet, train, trainable

GMM_ROWS, DIGITS_ROWS, LARGE_ROWS = (16, 64), (16, 16), (1, 2)  # m and s
MOST_ON_GMM, MOST_ON_DIGITS, MOST_ON_LARGE = 1.25, 1.15, 1.05
LEAST_FORWARD = 0.02  # seconds of a call of the larger network
LIMITED = ("dps", "latent_langevin", "hmc")
SHORT: Mapping[str, dict] = {  # as the methods are, but for less long; those not named have `tiny`, or their defaults
    "dps": {"num_steps": 25},
    "latent_langevin": {"num_adam": 4, "num_warmup": 8, "num_adapt": 4, "thin": 4},
    "hmc": {"num_warmup": 2, "num_adapt": 1},
    "latent_rwm": {"num_warmup": 10, "num_adapt": 5},
}


class NoCalls(Unsupported):
    """A method makes no network call while it samples, so that it has no overhead."""


def measure(options: Options, say: Say) -> Json:
    """Return DPS on the mixture, all methods on the digits' UNet, and those with a limit on a UNet of 20 ms."""
    repeats = options.repeats
    mixture, small = gmm(options.priors, say), digits(options.priors, say)
    on_gmm = on_mixture(mixture, repeats, say)
    return {"gmm": on_gmm, "digits": on_digits(small, mixture, repeats, say), "large": on_large(repeats, say)}


def on_mixture(prior: GMM, repeats: int, say: Say) -> Json:
    """Return the overhead of DPS on the mixture."""
    m, s = GMM_ROWS
    problem = inpainting(prior.shape)
    method = load_method("dps", {"num_steps": 50})
    result = compare_with_network(method, prior, problem, measurements(prior, problem, m), s, repeats)
    say(format_overhead("dps", f"gmm, {m * s} rows", result, MOST_ON_GMM))
    return content_of(result, m, s)


def on_digits(prior: Prior, mixture: GMM, repeats: int, say: Say) -> Json:
    """Return the overhead of every method; one that needs a density is on the mixture, the only prior that has one."""
    m, s = DIGITS_ROWS
    milliseconds = 1000 * forward_seconds(prior, m * s)
    say(f"UNet of digits, {size_of(prior)}, {m * s} rows in a call: {milliseconds:.0f} ms forward.")
    content: Json = {"forward_ms": milliseconds}
    for module in names("method"):
        on = mixture if Cap.DENSITY in load_method(module, {}).needs else prior
        name = "gmm" if on is mixture else "digits"
        content[module] = measure_method(
            module, on, name, m, s, repeats, MOST_ON_DIGITS if module in LIMITED else None, say
        )
    return content


def on_large(repeats: int, say: Say) -> Json:
    """Return the overhead of the methods with a limit on the larger UNet."""
    m, s = LARGE_ROWS
    prior = untrained(new_unet(**LARGE))
    seconds = forward_seconds(prior, m * s)
    enough = "enough" if seconds >= LEAST_FORWARD else f"LESS than {1000 * LEAST_FORWARD:.0f} ms"
    say(f"Larger UNet, {size_of(prior)}, {m * s} rows in a call: {1000 * seconds:.0f} ms forward ({enough}).")
    content: Json = {"forward_ms": 1000 * seconds}
    for module in LIMITED:
        short = {"num_steps": 21} if module == "dps" else {}
        content[module] = measure_method(module, prior, size_of(prior), m, s, repeats, MOST_ON_LARGE, say, short)
    return content


def measure_method(
    module: str,
    prior: Prior,
    name: str,
    m: int,
    s: int,
    repeats: int,
    limit: float | None,
    say: Say,
    settings: Mapping[str, object] | None = None,
) -> Json:
    """Return the overhead of a method, or the reason why there is none."""
    problem = inpainting(prior.shape)
    try:
        method = ready(module, prior, problem, settings or {})
        result = compare_with_network(method, prior, problem, measurements(prior, problem, m), s, repeats)
        if not result.num_calls:
            raise NoCalls("asks the prior's network nothing while it samples")
    except Unsupported as words:
        say(f"{module:16} {name}: n/a ({words})")
        return {"reason": str(words)}
    say(format_overhead(module, f"{name}, {m * s} rows", result, limit))
    return content_of(result, m, s)


def ready(module: str, prior: Prior, problem: InverseProblem, settings: Mapping[str, object]) -> Method:
    """Return the method with short settings, trained where it trains. Raises Unsupported where it cannot run here."""
    plain = load_method(module, {})
    short = SHORT.get(module, getattr(plain, "tiny", {}))
    method = replace(plain, **{**short, **settings})
    refuse_unmet(method, prior, problem)
    if not trainable(method):
        return method
    return Trained(method, train(method, prior, problem, "cost", 0))


@dataclass(frozen=True)
class Trained:
    """A trained method as one that does not train."""

    method: Trainable
    state: State

    def sample(self, prior: Prior, problem: InverseProblem, y: Tensor, num_samples: int, *, rng: Random) -> Tensor:
        return self.method.sample(prior, problem, y, num_samples, rng=rng, state=self.state)


def format_overhead(module: str, where: str, result: Overhead, limit: float | None) -> str:
    """Return the result in one line; `limit` is what the ratio may be at most."""
    judged = f" ({at_most(result.ratio, limit)})" if limit else ""
    calls = f"{result.num_calls} forward and {result.num_backward} backward calls bare"
    return (
        f"{module:16} {where}: {format_range(result.method)} CPU-s, its {calls} {format_range(result.network)}; "
        f"overhead {result.ratio:.2f}{judged}, in {len(result.ratios)} repeats {min(result.ratios):.2f} to "
        f"{max(result.ratios):.2f}"
    )


def content_of(result: Overhead, m: int, s: int) -> Json:
    """Return the result as it is stored."""
    return {**asdict(result), "ratio": result.ratio, "m": m, "s": s}
