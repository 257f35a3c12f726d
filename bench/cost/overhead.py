"""Time every method and its network calls alone: on the mixture, on the digits' UNet and on a larger one.

HMC has a row for each of its spaces: in noise space it decodes, in data space it uses the prior's density. A call has
as many network rows for methods with particles as for the others. The runs are short, but long enough for work that a
method does once, before its steps, to count as little as in a run of its usual length.

The overhead is over the calls of the prior's network. Where a method calls a network of its own as well, the calls of
that one are timed, too, and a second ratio is over both. It has the limit: such calls are the method, not a loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import cast

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.registry import names, plugin_of
from bench.core.types import Cap, Method, Prior, Problem, Random, State, Trainable
from bench.cost.common import Options, Say, at_most, format_range
from bench.cost.comparisons import Overhead, compare_with_network
from bench.cost.subjects import (
    LARGE,
    digits,
    format_shape,
    forward_seconds,
    gmm,
    inpainting,
    measurements,
    new_unet,
    untrained,
)
from bench.problems.inverse_problem import InverseProblem
from bench.runtime.run_method import Unsupported, load_method, refuse_unmet, train, trainable

GMM_ROWS, DIGITS_ROWS, LARGE_ROWS = (16, 64), (16, 16), (1, 2)  # m and s
MOST_ON_GMM, MOST_ON_DIGITS, MOST_ON_LARGE = 1.25, 1.15, 1.05
LEAST_FORWARD = 0.02  # seconds of a call of the larger network
LIMITED = ("dps", "latent_langevin", "hmc-latent")
LIMITED_ON_DIGITS = (
    *LIMITED, "tds", "pnp_dm", "mmps", "mcgdiff", "daps", "pigdm", "ddrm", "diffpir", "rtb", "lgd_mc", "red_diff",
    "annealed_langevin", "dflow", "mpgd",
)  # fmt: skip
VARIANTS: Mapping[str, Mapping[str, dict]] = {  # several rows of one method, with their settings
    "hmc": {"hmc-latent": {"space": "latent"}, "hmc-data": {"space": "data"}},
    "adam_map": {"adam_map-latent": {"space": "latent"}, "adam_map-data": {"space": "data"}},
}
# settings for short runs; methods that are not named have their `tiny`, or their defaults
SHORT: Mapping[str, dict] = {
    "dps": {"num_steps": 25},
    "latent_langevin": {"num_adam": 4, "num_warmup": 8, "num_adapt": 4, "thin": 4},
    "hmc": {"num_warmup": 2, "num_adapt": 1},
    "latent_rwm": {"num_warmup": 10, "num_adapt": 5},
    "mmps": {"num_steps": 6},
    "adam_map": {"num_steps": 4, "num_starts": 4},
    "dflow": {"num_steps": 20},
    "best_of_n": {"num_draws": 2},
    "annealed_langevin": {"num_levels": 10},
    "mpgd": {"num_steps": 25},
    "red_diff": {"num_steps": 25},
    "rtb": {
        "num_iterations": 2,
        "num_groups": 2,
        "group_size": 2,
        "num_pairs": 8,
        "num_simulated": 64,
    },
}


class NoCalls(Unsupported):
    """A method makes no network call while it samples, so that it has no overhead."""


@dataclass(frozen=True)
class Setup:
    """A prior with its name in the report, and the measurements m and samples s of one call, timed `repeats` times."""

    name: str
    prior: Prior
    m: int
    s: int
    repeats: int

    def compare(self, row: str, settings: Mapping[str, object]) -> Overhead:
        """Return seconds of a row and of its network calls alone; raise Unsupported if it cannot run or makes none."""
        problem = inpainting(self.prior.shape)
        method = ready(plugin_of("method", row), self.prior, problem, settings)
        y = measurements(self.prior, problem, self.m)
        num_samples = max(1, self.s // getattr(method, "num_particles", 1))
        result = compare_with_network(method, self.prior, problem, y, num_samples, self.repeats)
        if not result.num_calls:
            raise NoCalls("makes no network call while it samples")
        return result

    def content_of(self, result: Overhead) -> Json:
        """Return a result as it is stored."""
        ratios = {"ratio": result.ratio, "ratio_with_own": result.ratio_with_own}
        return {**asdict(result), **ratios, "m": self.m, "s": self.s}


def measure(options: Options, say: Say) -> Json:
    """Return DPS on the mixture, all methods on the digits' UNet, and those with a limit on a UNet of 20 ms."""
    mixture = Setup("gmm", gmm(options.priors, say), *GMM_ROWS, options.repeats)
    small = Setup("digits", digits(options.priors, say), *DIGITS_ROWS, options.repeats)
    large = Setup(
        format_shape(LARGE["shape"]), untrained(new_unet(**LARGE)), *LARGE_ROWS, options.repeats
    )
    return {
        "gmm": measure_method("dps", mixture, say, MOST_ON_GMM, {"num_steps": 50}),
        "digits": on_digits(small, mixture, say),
        "large": on_large(large, say),
    }


def on_digits(small: Setup, mixture: Setup, say: Say) -> Json:
    """Return the overhead of every method; one that needs a density runs on the mixture, which alone has one."""
    rows = small.m * small.s
    milliseconds = 1000 * forward_seconds(small.prior, rows)
    say(
        f"UNet of digits, {format_shape(small.prior.shape)}, {rows} rows in a call: {milliseconds:.0f} ms forward."
    )
    content: Json = {"forward_ms": milliseconds}
    for row, settings in rows_of_methods():
        needs = load_method(plugin_of("method", row), settings).needs
        on = replace(mixture, m=small.m, s=small.s) if Cap.DENSITY in needs else small
        content[row] = measure_method(
            row, on, say, MOST_ON_DIGITS if row in LIMITED_ON_DIGITS else None, settings
        )
    return content


def rows_of_methods() -> Iterator[tuple[str, dict]]:
    """Yield a row and its settings for every method, and one for each variant of those that have several."""
    for module in names("method"):
        for row, settings in VARIANTS.get(module, {module: {}}).items():
            yield row, dict(settings)


def on_large(large: Setup, say: Say) -> Json:
    """Return the overhead of the methods with a limit on the larger UNet."""
    rows = large.m * large.s
    seconds = forward_seconds(large.prior, rows)
    enough = "enough" if seconds >= LEAST_FORWARD else f"LESS than {1000 * LEAST_FORWARD:.0f} ms"
    say(
        f"Larger UNet, {large.name}, {rows} rows in a call: {1000 * seconds:.0f} ms forward ({enough})."
    )
    settings = dict(rows_of_methods()) | {"dps": {"num_steps": 21}}
    rates = {row: measure_method(row, large, say, MOST_ON_LARGE, settings[row]) for row in LIMITED}
    return {"forward_ms": 1000 * seconds, **rates}


def measure_method(
    row: str,
    on: Setup,
    say: Say,
    limit: float | None = None,
    settings: Mapping[str, object] | None = None,
) -> Json:
    """Return the overhead of a row, or the reason why there is none. limit: the largest ratio allowed, if any."""
    try:
        result = on.compare(row, settings or {})
    except Unsupported as reason:
        say(f"{row:16} {on.name}: n/a ({reason})")
        return {"reason": str(reason)}
    say(format_overhead(row, f"{on.name}, {on.m * on.s} rows", result, limit))
    return on.content_of(result)


def ready(
    module: str, prior: Prior, problem: InverseProblem, settings: Mapping[str, object]
) -> Method:
    """Return the method with short settings, trained where it trains. Raises Unsupported where it cannot run here."""
    method = load_method(module, short_settings(module, settings))
    refuse_unmet(method, prior, problem)
    if not trainable(method):
        return method
    trained = cast(Trainable, method)
    return cast(Method, Trained(trained, train(trained, prior, problem, "cost", 0)))


def short_settings(module: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings for a short run: those of SHORT, else the method's `tiny`, with `settings` on top."""
    tiny = getattr(load_method(module, {}), "tiny", {})
    return {**SHORT.get(module, tiny), **settings}


@dataclass(frozen=True)
class Trained:
    """A trained method as one that does not train."""

    method: Trainable
    state: State

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        return self.method.sample(prior, problem, y, num_samples, rng=rng, state=self.state)


def format_overhead(module: str, where: str, result: Overhead, limit: float | None) -> str:
    """Return the result in one line. limit: the largest ratio allowed, if any."""
    verdict = f" ({at_most(result.ratio_with_own, limit)})" if limit else ""
    if result.num_own:
        own = (
            f"with the {result.num_own} calls of its own networks, bare {format_range(result.own)}"
        )
        verdict = f", {own}: {result.ratio_with_own:.2f}{verdict}"
    calls = f"{result.num_calls} forward and {result.num_backward} backward calls bare"
    return (
        f"{module:16} {where}: {format_range(result.method)} CPU-s, its {calls} {format_range(result.network)}; "
        f"overhead {result.ratio:.2f}{verdict}, in {len(result.ratios)} repeats {min(result.ratios):.2f} to "
        f"{max(result.ratios):.2f}"
    )
