"""Claims on Langevin chains in noise space: cost of many samples, and diversity, also beside the exact one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy.stats import gmean

from bench.core.artefacts import Json
from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import (
    SMALLEST,
    Effect,
    Values,
    counted_effect,
    format_pairs,
    log_ratio,
    mean_effect,
)
from bench.papers.claims.evidence import (
    ALIKE,
    DIVERSITY,
    EFFECTIVE,
    FIDELITY,
    Evidence,
    is_chain,
    nfe_of,
    rows_of,
    runs_of,
)
from bench.stats.results import TaskResults

CHAIN, DPS = "latent_langevin", "dps"
ONE_STEP = ("consistency", "gan", "vae")  # families whose decoder is one row through the network
MOST_PSNR_DIFFERENCE = 1.0  # dB between posterior means: fidelity is comparable up to it
NO_CLOCK = (
    "needs a clock: times and network rows at several numbers of samples (`clock` in the suite)"
)
NO_PAIR = "needs latent_langevin and dps on one task"

Compared = tuple[TaskResults, str, str]  # a task, its row of latent_langevin and its row of dps


def chain_of(evidence: Evidence, task: TaskResults) -> str | None:
    """Return the paper's single chain where the suite has it, else that with the fewest."""
    chains = [row for row in evidence.methods_of(task, CHAIN) if is_chain(task, row)]
    return min(
        chains,
        key=lambda row: runs_of(task, row)[0].header.get("num_chains") or math.inf,
        default=None,
    )


def total_rows(cell: Json) -> float:
    """Return network rows of all samples of a timed call, forward and backward."""
    return (cell["nfe"] + cell["nfe_vjp"]) * cell["s"]


def total_seconds(cell: Json) -> float:
    """Return median seconds of a timed call."""
    return cell["median"]


def growth_in_samples(
    evidence: Evidence, cost: Callable[[Json], float], plugin: str = CHAIN
) -> Effect | str:
    """Return the exponent of the cost of all samples of a measurement in their number: 0 constant, 1 linear."""
    exponents, details = {}, []
    for task, method, timing in _timed(evidence, plugin):
        first, last = timing["curve"][0], timing["curve"][-1]
        if first["s"] < last["s"]:
            exponents[task.name] = math.log(cost(last) / cost(first)) / math.log(
                last["s"] / first["s"]
            )
            details.append(f"{method}, {first['s']} to {last['s']} samples")
    return counted_effect(exponents, ", ".join(dict.fromkeys(details))) if exponents else NO_CLOCK


def growth_in_effective_samples(evidence: Evidence) -> Effect | str:
    """Return log of the network rows over log of the effective number of samples.

    Both are ratios between the least and the most samples that have an effective number.
    """
    exponents, details = {}, []
    for task, method, timing in _timed(evidence, CHAIN):
        sizes = {int(num): size for num, size in timing.get("ess", {}).items()}
        cells = [cell for cell in timing["curve"] if cell["s"] in sizes]
        if len(cells) > 1:
            first, last = (sizes[cell["s"]] for cell in (cells[0], cells[-1]))
            gained = math.log(max(last, SMALLEST) / max(first, SMALLEST))
            cost = math.log(total_rows(cells[-1]) / total_rows(cells[0]))
            exponents[task.name] = cost / gained if gained > 0 else math.inf
            details.append(f"{method}, {first:.3g} to {last:.3g} effective samples")
    lacks = f"{NO_CLOCK} with two numbers of samples at which the chain's effective number is known"
    return counted_effect(exponents, ", ".join(dict.fromkeys(details))) if exponents else lacks


def _timed(evidence: Evidence, plugin: str) -> Iterator[tuple[TaskResults, str, Json]]:
    """Yield tasks on which a row of the plug-in was clocked, with the row and its timing."""
    for task in evidence.suite.tasks:
        method = (
            chain_of(evidence, task) if plugin == CHAIN else evidence.first_method_of(task, plugin)
        )
        timing = evidence.timing(task, method)
        if method and timing:
            yield task, method, timing


def effective_samples_per_row(evidence: Evidence, one_step: bool) -> Effect | str:
    """Return effective samples per network row of the chain over those of DPS, whose samples are independent."""
    ratios = {}
    pairs = []
    lacks = f"{NO_PAIR}, with a decoder of {'one row' if one_step else 'many rows'}"
    for task in evidence.suite.tasks:
        chain, dps = chain_of(evidence, task), evidence.first_method_of(task, DPS)
        is_of_family = (task.measurements.get("family") in ONE_STEP) == one_step
        if not is_of_family or not chain or not dps or not rows_of(task, chain):
            continue
        sizes = evidence.values(task, chain, EFFECTIVE)
        scale = rows_of(task, dps) / rows_of(task, chain) / evidence.suite.num_samples
        ratios[task.name] = {
            i: np.log(np.maximum(size, SMALLEST) * scale) for i, size in sizes.items()
        }
        if sizes:
            pairs.append((chain, dps))
        else:
            lacks = f"needs {EFFECTIVE} of {chain}"
    return mean_effect(ratios, format_pairs(pairs)) if pairs else lacks


def diversity_effect(evidence: Evidence, equal_cost: bool, to_exact: bool = False) -> Effect | str:
    """Return the ratio of the chain's diversity to that of DPS.

    to_exact: instead how much farther in the logarithm the chain's is from the exact one than that of DPS.
    """
    compared = _nearest_in_cost(evidence, equal_cost)
    if not compared:
        unequal = "needs a dps whose NFE is within 25 % of that of latent_langevin"
        return unequal if _nearest_in_cost(evidence, False) else NO_PAIR
    kept = [x for x in compared if _is_fidelity_comparable(evidence, *x)]
    if not kept:
        lacks = f"needs a task where the PSNR of posterior means differs by at most {MOST_PSNR_DIFFERENCE:g} dB"
        return f"{lacks}; on {len(compared)} it differs by more"
    effects = {}
    for task, *pair in kept:
        chain, dps = (evidence.values(task, method, DIVERSITY) for method in pair)
        effects[task.name] = (
            _difference_from_exact(chain, dps) if to_exact else log_ratio(chain, dps)
        )
    times = float(gmean([nfe_of(task, dps) / nfe_of(task, chain) for task, chain, dps in kept]))
    num_left_out = len(compared) - len(kept)
    left_out = f"; {num_left_out} tasks left out, fidelity differs" if num_left_out else ""
    detail = (
        f"{format_pairs([x[1:] for x in kept])}, which took {times:.3g} times the NFE{left_out}"
    )
    return mean_effect(effects, detail, float if to_exact else np.exp)


def _nearest_in_cost(evidence: Evidence, equal_cost: bool) -> list[Compared]:
    """Return on each task the chain and the DPS whose NFE are nearest, those of unequal NFE left out for equal_cost."""
    nearest_pairs = []
    for task in evidence.suite.tasks:
        chains, others = (evidence.methods_of(task, plugin) for plugin in (CHAIN, DPS))
        pairs = [(c, d) for c in chains for d in others if nfe_of(task, c)]
        apart = {(c, d): abs(math.log(nfe_of(task, c) / nfe_of(task, d))) for c, d in pairs}
        nearest = min(apart, key=lambda pair: apart[pair], default=None)
        if nearest and (not equal_cost or apart[nearest] <= math.log(ALIKE)):
            nearest_pairs.append((task, *nearest))
    return nearest_pairs


def _is_fidelity_comparable(evidence: Evidence, task: TaskResults, one: str, other: str) -> bool:
    """Return whether the posterior means are about as near to the truth."""
    a, b = (evidence.values(task, method, FIDELITY) for method in (one, other))
    common = a.keys() & b.keys()
    return (
        bool(common) and abs(float(np.mean([a[i] - b[i] for i in common]))) <= MOST_PSNR_DIFFERENCE
    )


def _difference_from_exact(one: Values, other: Values) -> Values:
    """Return |log one| - |log other| of ratios to the exact diversity, on the measurements that both have."""
    common = one.keys() & other.keys()
    log = {i: [np.abs(np.log(np.maximum(x[i], SMALLEST))) for x in (one, other)] for i in common}
    return {i: a - b for i, (a, b) in log.items()}


LINEAR = (
    "Exponent of the cost of s samples of one measurement in s, from the fewest to the most that were timed: 0 is "
    "constant, 1 linear"
)
DIVERSE = (
    "diversity_ratio of latent_langevin over that of dps, geometric mean, paired by measurement"
)
PER_ROW = "ess_bulk per network row of latent_langevin over samples per network row of dps, geometric mean"
CLAIMS = (
    Claim("cps-growth-rows", "cps", "Fig. 2", "S",
          "Reconstruction time is nearly constant in the number of samples per measurement",
          "Exponent of the network rows at most 0.5: eight times the samples for less than three times the rows",
          f"{LINEAR}; network rows forward and backward, counted", 0.5, "below",
          partial(growth_in_samples, cost=total_rows)),
    Claim("cps-growth-seconds", "cps", "Fig. 2", "S",
          "Reconstruction time is nearly constant in the number of samples per measurement",
          "Exponent of the seconds at most 0.5",
          f"{LINEAR}; median seconds", 0.5, "below", partial(growth_in_samples, cost=total_seconds)),
    Claim("dps-growth-rows", "cps", "Fig. 2", "S",
          "The time of DPS is linear in the number of samples per measurement",
          "Exponent of the network rows at least 0.9",
          f"{LINEAR}; network rows forward and backward, counted", 0.9, "above",
          partial(growth_in_samples, cost=total_rows, plugin=DPS)),
    Claim("dps-growth-seconds", "cps", "Fig. 2", "S",
          "The time of DPS is linear in the number of samples per measurement",
          "Exponent of the seconds at least 0.9: rows that share a call may be drawn for less",
          f"{LINEAR}; median seconds", 0.9, "above", partial(growth_in_samples, cost=total_seconds, plugin=DPS)),
    Claim("cps-growth-effective", "cps", "Fig. 2 and reviews", "R",
          "Nearly constant time, also in effective samples: reviewers ask what correlated states are worth",
          "Exponent of the network rows in the effective number of samples (ess_bulk) at most 0.5",
          "Log of the ratio of network rows over log of the ratio of effective numbers", 0.5, "below",
          growth_in_effective_samples),
    Claim("cps-effective", "cps", "Fig. 2 and reviews", "R",
          "Many samples cost less by a chain than by restarts of DPS, counted in effective samples",
          "With a one-step decoder, as in the paper: more effective samples per network row than DPS, ratio above 1",
          PER_ROW, 1.0, "above", partial(effective_samples_per_row, one_step=True)),
    Claim("cps-effective-ode", "cps", "Fig. 2 and reviews", "R",
          "Many samples cost less by a chain than by restarts of DPS, counted in effective samples",
          "With a decoder of many steps, which the paper does not use: the same, ratio above 1",
          PER_ROW, 1.0, "above", partial(effective_samples_per_row, one_step=False)),
    Claim("cps-diversity-equal-nfe", "cps", "Table 3", "S",
          "Samples are more diverse than those of DPS at comparable fidelity",
          f"At equal NFE (within 25 %) and PSNR of posterior means within {MOST_PSNR_DIFFERENCE:g} dB: ratio above 1",
          DIVERSE, 1.0, "above", partial(diversity_effect, equal_cost=True)),
    Claim("cps-diversity", "cps", "Table 3", "S",
          "Samples are more diverse than those of DPS at comparable fidelity",
          f"At the NFE that each takes and PSNR of posterior means within {MOST_PSNR_DIFFERENCE:g} dB: ratio above 1",
          DIVERSE, 1.0, "above", partial(diversity_effect, equal_cost=False)),
    Claim("cps-diversity-exact-equal-nfe", "cps", "Table 3", "S",
          "That diversity is a virtue: it is that of the posterior",
          "At equal NFE and comparable fidelity: nearer to the exact diversity, difference below 0",
          "|log diversity_ratio| of latent_langevin minus that of dps, mean, paired by measurement", 0.0, "below",
          partial(diversity_effect, equal_cost=True, to_exact=True)),
    Claim("cps-diversity-exact", "cps", "Table 3", "S",
          "That diversity is a virtue: it is that of the posterior",
          "At the NFE that each takes and comparable fidelity: nearer to the exact diversity, difference below 0",
          "|log diversity_ratio| of latent_langevin minus that of dps, mean, paired by measurement", 0.0, "below",
          partial(diversity_effect, equal_cost=False, to_exact=True)),
    Claim("cps-score", "cps", "Table 3", "S",
          "A diversity score of 3.01 against 2.14 of DPS on 8-fold super-resolution",
          lacks="needs LSUN-Bedroom, its consistency model and ResNet-50 features: natural images"),
    Claim("cps-fidelity", "cps", "Tables 1 and 2", "S",
          "Fidelity near that of diffusion samplers, and far above that of other uses of consistency models",
          lacks="needs LSUN-Bedroom, FID on natural images, and the consistency-model baselines"),
    Claim("cps-one-step", "cps", "reviews", "R", "One step of the consistency model does at least as well as two",
          lacks="needs one prior as a one-step and as a two-step decoder"),
)  # fmt: skip
