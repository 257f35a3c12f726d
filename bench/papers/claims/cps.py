"""Claims on Langevin chains in noise space: cost of many samples, and diversity, also beside the exact one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.core.artefacts import Json
from bench.papers.claims.evidence import (
    ALIKE,
    DIVERSITY,
    EFFECTIVE,
    FIDELITY,
    LEAST,
    Evidence,
    Finding,
    Values,
    counted,
    forward,
    is_chain,
    log_ratio,
    pooled,
    rows,
    runs,
    used,
)
from bench.papers.claims.ledger import Claim
from bench.stats.results import TaskResults

CHAIN, DPS = "latent_langevin", "dps"
ONE_STEP = ("consistency", "gan", "vae")  # families whose decoder is one row through the network
COMPARABLE = 1.0  # dB by which the PSNR of posterior means may differ
NO_CLOCK = "needs a clock: times and network rows at several numbers of samples (`clock` in the suite)"
NO_PAIR = "needs latent_langevin and dps on one task"


def chain_of(evidence: Evidence, task: TaskResults) -> str | None:
    """The paper's single chain where the suite has it, else that with the fewest."""
    found = [m for m in evidence.tried(task, CHAIN) if is_chain(task, m)]
    return min(found, key=lambda m: runs(task, m)[0].header.get("num_chains") or math.inf, default=None)


def growth(timing: Json, cost: Callable[[Json], float]) -> float:
    """Exponent of the cost of all samples of a measurement in their number: 0 constant, 1 linear."""
    first, last = timing["curve"][0], timing["curve"][-1]
    return math.log(cost(last) / cost(first)) / math.log(last["s"] / first["s"])


def rows_of(cell: Json) -> float:
    return (cell["nfe"] + cell["nfe_vjp"]) * cell["s"]


def seconds_of(cell: Json) -> float:
    return cell["median"]


def growth_in_samples(evidence: Evidence, cost: Callable[[Json], float], module: str = CHAIN) -> Finding | str:
    found, names = {}, []
    for task in evidence.suite.tasks:
        method = chain_of(evidence, task) if module == CHAIN else next(iter(evidence.tried(task, module)), None)
        timing = evidence.timing(task, method) if method else None
        if timing and timing["curve"][0]["s"] < timing["curve"][-1]["s"]:
            found[task.name] = growth(timing, cost)
            names.append(f"{method}, {timing['curve'][0]['s']} to {timing['curve'][-1]['s']} samples")
    return counted(found, ", ".join(dict.fromkeys(names))) if found else NO_CLOCK


def growth_in_effective_samples(evidence: Evidence) -> Finding | str:
    """Log of the cost over log of the effective number, between the least and the most samples that have one."""
    found, names = {}, []
    for task in evidence.suite.tasks:
        method = chain_of(evidence, task)
        timing = evidence.timing(task, method) if method else None
        sizes = {int(s): size for s, size in (timing or {}).get("ess", {}).items()}
        cells = [cell for cell in (timing or {}).get("curve", []) if cell["s"] in sizes]
        if len(cells) > 1:
            first, last = cells[0], cells[-1]
            gained = math.log(max(sizes[last["s"]], LEAST) / max(sizes[first["s"]], LEAST))
            found[task.name] = math.log(rows_of(last) / rows_of(first)) / gained if gained > 0 else math.inf
            names.append(f"{method}, {sizes[first['s']]:.3g} to {sizes[last['s']]:.3g} effective samples")
    lacks = f"{NO_CLOCK} with two numbers of samples at which the chain's effective number is known"
    return counted(found, ", ".join(dict.fromkeys(names))) if found else lacks


def per_effective_sample(evidence: Evidence, one_step: bool) -> Finding | str:
    """Effective samples per network row of the chain over those of DPS, whose samples are independent."""
    found, pairs, why = {}, [], f"{NO_PAIR}, with a decoder of {'one row' if one_step else 'many rows'}"
    for task in evidence.suite.tasks:
        if (task.measurements.get("family") in ONE_STEP) != one_step:
            continue
        chain, dps = chain_of(evidence, task), next(iter(evidence.tried(task, DPS)), None)
        if not chain or not dps or not rows(task, chain):
            continue
        sizes = evidence.values(task, chain, EFFECTIVE)
        why = why if sizes else f"needs {EFFECTIVE} of {chain}"
        scale = rows(task, dps) / rows(task, chain) / evidence.suite.num_samples
        found[task.name] = {i: np.log(np.maximum(size, LEAST) * scale) for i, size in sizes.items()}
        pairs += [(chain, dps)] if sizes else []
    return pooled(found, used(pairs)) if pairs else why


def compared(evidence: Evidence, equal_cost: bool) -> dict[str, tuple[TaskResults, str, str]]:
    """By task the chain and the DPS whose NFE are nearest, where asked for only if they are equal."""
    found = {}
    for task in evidence.suite.tasks:
        pairs = [(c, d) for c in evidence.tried(task, CHAIN) for d in evidence.tried(task, DPS) if forward(task, c)]
        far = {pair: abs(math.log(forward(task, pair[0]) / forward(task, pair[1]))) for pair in pairs}
        if far and (not equal_cost or min(far.values()) <= math.log(ALIKE)):
            nearest = min(far, key=lambda pair: far[pair])
            found[task.name] = (task, *nearest)
    return found


def comparable(evidence: Evidence, task: TaskResults, one: str, other: str) -> bool:
    """Whether the posterior means are about as near to the truth."""
    a, b = (evidence.values(task, method, FIDELITY) for method in (one, other))
    common = a.keys() & b.keys()
    return bool(common) and abs(np.mean([a[i] - b[i] for i in common])) <= COMPARABLE


def diversity(evidence: Evidence, equal_cost: bool, exact: bool = False) -> Finding | str:
    """Ratio of diversities, or how much farther in the logarithm the chain's is from the exact one than DPS's."""
    asked = compared(evidence, equal_cost)
    if not asked:
        any_pair = compared(evidence, False)
        return "needs a dps whose NFE is within 25 % of that of latent_langevin" if any_pair else NO_PAIR
    kept = {name: x for name, x in asked.items() if comparable(evidence, *x)}
    if not kept:
        lacks = f"needs a task where the PSNR of posterior means differs by at most {COMPARABLE:g} dB"
        return f"{lacks}; on {len(asked)} it differs by more"
    found = {}
    for name, (task, chain, dps) in kept.items():
        one, other = (evidence.values(task, method, DIVERSITY) for method in (chain, dps))
        found[name] = _farther(one, other) if exact else log_ratio(one, other)
    nfe = float(np.exp(np.mean([np.log(forward(t, d) / forward(t, c)) for t, c, d in kept.values()])))
    dropped = f"; {len(asked) - len(kept)} tasks left out, fidelity differs" if len(asked) > len(kept) else ""
    detail = f"{used([x[1:] for x in kept.values()])}, which took {nfe:.3g} times the NFE{dropped}"
    return pooled(found, detail, float if exact else np.exp)


def _farther(one: Values, other: Values) -> Values:
    log = {i: [np.abs(np.log(np.maximum(x[i], LEAST))) for x in (one, other)] for i in one.keys() & other.keys()}
    return {i: a - b for i, (a, b) in log.items()}


LINEAR = (
    "Exponent of the cost of s samples of one measurement in s, from the fewest to the most that were timed: 0 is "
    "constant, 1 linear"
)
DIVERSE = "diversity_ratio of latent_langevin over that of dps, geometric mean, paired by measurement"
PER_ROW = "ess_bulk per network row of latent_langevin over samples per network row of dps, geometric mean"
CLAIMS = (
    Claim("cps-growth-rows", "cps", "Fig. 2", "S",
          "Reconstruction time is nearly constant in the number of samples per measurement",
          "Exponent of the network rows at most 0.5: eight times the samples for less than three times the rows",
          f"{LINEAR}; network rows forward and backward, counted", 0.5, "below",
          partial(growth_in_samples, cost=rows_of)),
    Claim("cps-growth-seconds", "cps", "Fig. 2", "S",
          "Reconstruction time is nearly constant in the number of samples per measurement",
          "Exponent of the seconds at most 0.5",
          f"{LINEAR}; median seconds", 0.5, "below", partial(growth_in_samples, cost=seconds_of)),
    Claim("dps-growth-rows", "cps", "Fig. 2", "S",
          "The time of DPS is linear in the number of samples per measurement",
          "Exponent of the network rows at least 0.9",
          f"{LINEAR}; network rows forward and backward, counted", 0.9, "above",
          partial(growth_in_samples, cost=rows_of, module=DPS)),
    Claim("dps-growth-seconds", "cps", "Fig. 2", "S",
          "The time of DPS is linear in the number of samples per measurement",
          "Exponent of the seconds at least 0.9: rows that share a call may be drawn for less",
          f"{LINEAR}; median seconds", 0.9, "above", partial(growth_in_samples, cost=seconds_of, module=DPS)),
    Claim("cps-growth-effective", "cps", "Fig. 2 and reviews", "R",
          "Nearly constant time, also in effective samples: reviewers ask what correlated states are worth",
          "Exponent of the network rows in the effective number of samples (ess_bulk) at most 0.5",
          "Log of the ratio of network rows over log of the ratio of effective numbers", 0.5, "below",
          growth_in_effective_samples),
    Claim("cps-effective", "cps", "Fig. 2 and reviews", "R",
          "Many samples cost less by a chain than by restarts of DPS, counted in effective samples",
          "With a one-step decoder, as in the paper: more effective samples per network row than DPS, ratio above 1",
          PER_ROW, 1.0, "above", partial(per_effective_sample, one_step=True)),
    Claim("cps-effective-ode", "cps", "Fig. 2 and reviews", "R",
          "Many samples cost less by a chain than by restarts of DPS, counted in effective samples",
          "With a decoder of many steps, which the paper does not use: the same, ratio above 1",
          PER_ROW, 1.0, "above", partial(per_effective_sample, one_step=False)),
    Claim("cps-diversity-equal-nfe", "cps", "Table 3", "S",
          "Samples are more diverse than those of DPS at comparable fidelity",
          f"At equal NFE (within 25 %) and PSNR of posterior means within {COMPARABLE:g} dB: ratio above 1",
          DIVERSE, 1.0, "above", partial(diversity, equal_cost=True)),
    Claim("cps-diversity", "cps", "Table 3", "S",
          "Samples are more diverse than those of DPS at comparable fidelity",
          f"At the NFE that each takes and PSNR of posterior means within {COMPARABLE:g} dB: ratio above 1",
          DIVERSE, 1.0, "above", partial(diversity, equal_cost=False)),
    Claim("cps-diversity-exact-equal-nfe", "cps", "Table 3", "S",
          "That diversity is a virtue: it is that of the posterior",
          "At equal NFE and comparable fidelity: nearer to the exact diversity, difference below 0",
          "|log diversity_ratio| of latent_langevin minus that of dps, mean, paired by measurement", 0.0, "below",
          partial(diversity, equal_cost=True, exact=True)),
    Claim("cps-diversity-exact", "cps", "Table 3", "S",
          "That diversity is a virtue: it is that of the posterior",
          "At the NFE that each takes and comparable fidelity: nearer to the exact diversity, difference below 0",
          "|log diversity_ratio| of latent_langevin minus that of dps, mean, paired by measurement", 0.0, "below",
          partial(diversity, equal_cost=False, exact=True)),
    Claim("cps-score", "cps", "Table 3", "S",
          "A diversity score of 3.01 against 2.14 of DPS on 8-fold super-resolution",
          lacks="needs LSUN-Bedroom, its consistency model and ResNet-50 features: natural images"),
    Claim("cps-fidelity", "cps", "Tables 1 and 2", "S",
          "Fidelity near that of diffusion samplers, and far above that of other uses of consistency models",
          lacks="needs LSUN-Bedroom, FID on natural images, and the consistency-model baselines"),
    Claim("cps-one-step", "cps", "reviews", "R", "One step of the consistency model does at least as well as two",
          lacks="needs one prior as a one-step and as a two-step decoder"),
)  # fmt: skip
