"""Claims on sampling in noise space with a trained sampler: an easier posterior, and what training is worth."""

from __future__ import annotations

import math
from functools import partial

from bench.papers.claims.evidence import (
    ALIKE,
    DISTANCE,
    Evidence,
    Finding,
    counted,
    log_ratio,
    pooled,
    rows,
    seconds,
    setting,
    settings,
    training_rows,
    training_seconds,
    used,
)
from bench.papers.claims.ledger import Claim
from bench.report.tables import TOTAL
from bench.stats.results import REFERENCE, Task

AMORTISED, HMC, IN_DATA = "ods", "hmc-latent", "hmc-data"
MANY = (1, 10, 100, 1000)  # measurements
UNSPENT = 0.5  # of the amortised sampler's total: HMC that spends less may not be called worse


def easier(evidence: Evidence, equal_rows: bool) -> Finding | str:
    """Distance of HMC in z over that of HMC in x, at equal settings or at equal network rows."""
    found, pairs = {}, []
    for task in evidence.suite.tasks:
        if evidence.values(task, REFERENCE, DISTANCE + TOTAL):
            continue  # a distilled map: its posterior is not that of the density, which is its teacher's
        for one in evidence.tried(task, HMC):
            others = [o for o in evidence.tried(task, IN_DATA) if _matches(task, one, o, equal_rows)]
            if others and task.name not in found:
                found[task.name] = log_ratio(*(evidence.values(task, m, DISTANCE) for m in (one, others[0])))
                pairs.append((one, others[0]))
    how = "at equal network rows (within 25 %)" if equal_rows else "with equal settings"
    return pooled(found, used(pairs)) if pairs else f"needs hmc-latent and hmc-data {how} on a prior with a density"


def _matches(task: Task, one: str, other: str, equal_rows: bool) -> bool:
    if not equal_rows:
        return settings(task, one) | {"space": ""} == settings(task, other) | {"space": ""}
    cost = rows(task, one), rows(task, other)
    return min(cost) > 0 and max(cost) <= ALIKE * min(cost)


def trained(evidence: Evidence, task: Task) -> str | None:
    """The sampler that is trained once for all measurements."""
    found = [m for m in evidence.tried(task, AMORTISED) if setting(task, m, "amortised") is not False]
    return next((m for m in found if training_rows(task, m) > 0), None)


def at_equal_cost(evidence: Evidence, num: int) -> Finding | str:
    """Distance of the trained sampler over that of the dearest latent HMC that spends no more in all."""
    found, pairs, cheap, samples = {}, [], [], evidence.suite.num_samples
    for task in evidence.suite.tasks:
        method, chains = trained(evidence, task), evidence.tried(task, HMC)
        if not method or not chains:
            continue
        budget = training_rows(task, method) + num * samples * rows(task, method)
        spent = {chain: num * samples * rows(task, chain) / budget for chain in chains}
        affordable = {chain: share for chain, share in spent.items() if share <= ALIKE}
        cheap += [] if affordable else [min(spent.values())]
        if affordable:
            chain = max(affordable, key=lambda name: affordable[name])
            found[task.name] = log_ratio(*(evidence.values(task, m, DISTANCE) for m in (method, chain)))
            pairs.append((method, chain, affordable[chain]))
    if not pairs:
        times = f": the cheapest takes {min(cheap):.3g} times as much" if cheap else ""
        return f"needs a hmc-latent as cheap as ods in all for {num} measurements{times}" if cheap else _NO_PAIR
    shares = [share for *_, share in pairs]
    detail = f"{used([pair[:2] for pair in pairs])}, which spends {min(shares):.2g} to {max(shares):.2g} of the cost"
    result = pooled(found, detail)
    if isinstance(result, Finding) and min(shares) < UNSPENT and (result.low is None or result.low < 1):
        lacks = f"needs a hmc-latent that spends what ods does for {num} measurements"
        return f"{lacks}: the dearest spends {min(shares):.2g} of it"
    return result


def break_even(evidence: Evidence, in_seconds: bool) -> Finding | str:
    """Number of measurements from which the trained sampler has taken less than latent HMC; infinite for never."""
    found, pairs = {}, []
    per_sample, training = (seconds, training_seconds) if in_seconds else (rows, training_rows)
    for task in evidence.suite.tasks:
        method, chains = trained(evidence, task), evidence.tried(task, HMC)
        if method and chains:
            saved = evidence.suite.num_samples * (per_sample(task, chains[0]) - per_sample(task, method))
            found[task.name] = training(task, method) / saved if saved > 0 else math.inf
            pairs.append((method, chains[0]))
    return counted(found, used(pairs)) if pairs else _NO_PAIR


def gap(evidence: Evidence) -> Finding | str:
    """Distance of the sampler trained once over that of the one trained for each measurement."""
    found, pairs = {}, []
    for task in evidence.suite.tasks:
        alone = [m for m in evidence.tried(task, AMORTISED) if setting(task, m, "amortised") is False]
        once = trained(evidence, task)
        if once and alone:
            found[task.name] = log_ratio(*(evidence.values(task, m, DISTANCE) for m in (once, alone[0])))
            pairs.append((once, alone[0]))
    return pooled(found, used(pairs)) if pairs else "needs ods once amortised and once trained for each measurement"


_NO_PAIR = "needs ods and hmc-latent on one task"
_EASIER = f"{DISTANCE} of hmc-latent over that of hmc-data, geometric mean, paired by measurement"


def _at_equal_cost(num: int) -> Claim:
    many = f"{num} measurement" + ("s" if num > 1 else "")
    return Claim(
        f"ods-equal-cost-{num}", "ods", "text, run times", "P",
        f"A sampler trained once does better than chains of HMC at the same total cost: for {many}",
        f"For {many}, beside the dearest hmc-latent of no more network rows in all (within 25 %): ratio below 1",
        f"{DISTANCE} of ods over that of hmc-latent, geometric mean, paired by measurement; rows forward and backward, "
        "training of ods included", 1.0, "below", partial(at_equal_cost, num=num),
    )  # fmt: skip


CLAIMS = (
    Claim("ods-easier-steps", "ods", "Figs. 1 and 2", "P",
          "The posterior is easier to sample in noise space than in data space",
          "The same HMC with the same number of leapfrog steps gets nearer in z than in x: ratio below 1",
          _EASIER, 1.0, "below", partial(easier, equal_rows=False)),
    Claim("ods-easier-rows", "ods", "Figs. 1 and 2", "P",
          "The posterior is easier to sample in noise space than in data space",
          "The same HMC with the same number of network rows (within 25 %) gets nearer in z than in x: ratio below 1",
          _EASIER, 1.0, "below", partial(easier, equal_rows=True)),
    *map(_at_equal_cost, MANY),
    Claim("ods-break-even-rows", "ods", "text, run times", "P",
          "Training pays: chains of HMC take an hour and more for each target",
          "From 100 measurements on ods has taken fewer network rows than hmc-latent: number at most 100",
          "Rows of the training over rows saved per measurement, at the suite's number of samples, counted; "
          "the sampler's own network is not", 100.0, "below", partial(break_even, in_seconds=False)),
    Claim("ods-break-even-seconds", "ods", "text, run times", "P",
          "Training pays: chains of HMC take an hour and more for each target",
          "From 100 measurements on ods has taken fewer seconds than hmc-latent: number at most 100",
          "Seconds of the training over seconds saved per measurement, both of the jobs: a rough figure",
          100.0, "below", partial(break_even, in_seconds=True)),
    Claim("ods-unseen", "ods", "text", "P",
          "One sampler can serve measurements that it was not trained on (the paper trains one for each target)",
          "At most 1.25 times as far from the exact posterior as the sampler trained for each measurement",
          f"{DISTANCE} of amortised ods over that of ods trained for each measurement, geometric mean, paired",
          1.25, "below", gap),
    Claim("ods-cifar", "ods", "Tables 3, 7, 8 and 9", "P",
          "Lower FID than HMC in noise space on CIFAR-10, at a lower reward",
          lacks="needs CIFAR-10 generators, its classifier and FID on natural images"),
    Claim("ods-text", "ods", "Tables 4, 5 and 10 to 12", "P",
          "Higher reward of text prompts than the prior, HMC and guidance",
          lacks="needs StyleGAN3, NVAE or Stable Diffusion 3, and ImageReward: natural images"),
    Claim("ods-protein", "ods", "Table 6", "P", "More diverse protein structures than random walks in noise space",
          lacks="needs a generator of proteins: no images"),
)  # fmt: skip
