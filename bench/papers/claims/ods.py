"""Claims on sampling in noise space with a trained sampler: an easier posterior, and what training is worth."""

from __future__ import annotations

import math
from functools import partial

from bench.core.results import REFERENCE
from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import Effect, counted_effect, format_pairs, log_ratio, mean_effect
from bench.papers.claims.evidence import (
    ALIKE,
    DISTANCE,
    TEACHER_DISTANCE,
    Evidence,
    rows_of,
    seconds_of,
    settings_of,
    training_rows_of,
    training_seconds_of,
)
from bench.stats.results import TaskResults

ODS, HMC, HMC_IN_DATA = "ods", "hmc-latent", "hmc-data"
NUMS_MEASUREMENTS = (1, 10, 100, 1000)
UNSPENT = 0.5  # of the amortised sampler's total: HMC that spends less may not be called worse


def noise_over_data_space(evidence: Evidence, equal_rows: bool) -> Effect | str:
    """Return the distance of HMC in z over that of HMC in x, at equal settings or at equal network rows.

    Tasks of a distilled map are left out: their posterior is not that of the density, which is the teacher's.
    """
    ratios, pairs = {}, []
    for task in evidence.suite.tasks:
        if evidence.values(task, REFERENCE, TEACHER_DISTANCE):
            continue
        for one in evidence.methods_of(task, HMC):
            others = [
                o
                for o in evidence.methods_of(task, HMC_IN_DATA)
                if _matches(task, one, o, equal_rows)
            ]
            if others and task.name not in ratios:
                ratios[task.name] = log_ratio(
                    *(evidence.values(task, m, DISTANCE) for m in (one, others[0]))
                )
                pairs.append((one, others[0]))
    how = "at equal network rows (within 25 %)" if equal_rows else "with equal settings"
    lacks = f"needs hmc-latent and hmc-data {how} on a prior with a density"
    return mean_effect(ratios, format_pairs(pairs)) if pairs else lacks


def _matches(task: TaskResults, one: str, other: str, equal_rows: bool) -> bool:
    if not equal_rows:
        return settings_of(task, one) | {"space": ""} == settings_of(task, other) | {"space": ""}
    cost = rows_of(task, one), rows_of(task, other)
    return min(cost) > 0 and max(cost) <= ALIKE * min(cost)


def amortised_row(evidence: Evidence, task: TaskResults) -> str | None:
    """Return the row of ODS that is trained once for all measurements."""
    rows = [
        m
        for m in evidence.methods_of(task, ODS)
        if settings_of(task, m).get("amortised") is not False
    ]
    return next((row for row in rows if training_rows_of(task, row) > 0), None)


def distance_at_equal_cost(evidence: Evidence, num: int) -> Effect | str:
    """Return the distance of amortised ODS over that of the most expensive latent HMC that spends no more in all.

    num: measurements that the training of ODS serves.
    """
    ratios, pairs, shares, too_expensive = {}, [], [], []
    for task in evidence.suite.tasks:
        method, spent = amortised_row(evidence, task), _shares_of_budget(evidence, task, num)
        affordable = {chain: share for chain, share in spent.items() if share <= ALIKE}
        if method and affordable:
            chain = max(affordable, key=lambda name: affordable[name])
            ratios[task.name] = log_ratio(
                *(evidence.values(task, m, DISTANCE) for m in (method, chain))
            )
            pairs.append((method, chain))
            shares.append(affordable[chain])
        elif spent:
            too_expensive.append(min(spent.values()))
    if not pairs:
        times = f"ods in all for {num} measurements: the cheapest takes"
        lacks = f"needs a hmc-latent as cheap as {times} {min(too_expensive, default=0):.3g} times as much"
        return lacks if too_expensive else _NO_PAIR
    detail = (
        f"{format_pairs(pairs)}, which spends {min(shares):.2g} to {max(shares):.2g} of the cost"
    )
    effect = mean_effect(ratios, detail)
    if (
        isinstance(effect, Effect)
        and min(shares) < UNSPENT
        and (effect.low is None or effect.low < 1)
    ):
        lacks = f"needs a hmc-latent that spends what ods does for {num} measurements"
        return f"{lacks}: the dearest spends {min(shares):.2g} of it"
    return effect


def _shares_of_budget(evidence: Evidence, task: TaskResults, num: int) -> dict[str, float]:
    """Return by row of latent HMC its network rows over those of amortised ODS, training included."""
    method, num_samples = amortised_row(evidence, task), num * evidence.suite.num_samples
    if not method:
        return {}
    budget = training_rows_of(task, method) + num_samples * rows_of(task, method)
    return {
        chain: num_samples * rows_of(task, chain) / budget
        for chain in evidence.methods_of(task, HMC)
    }


def break_even(evidence: Evidence, in_seconds: bool) -> Effect | str:
    """Return the number of measurements from which amortised ODS has cost less than latent HMC; infinite for never."""
    numbers, pairs = {}, []
    cost_of, training_of = (
        (seconds_of, training_seconds_of) if in_seconds else (rows_of, training_rows_of)
    )
    for task in evidence.suite.tasks:
        method, chain = amortised_row(evidence, task), evidence.first_method_of(task, HMC)
        if method and chain:
            saved = evidence.suite.num_samples * (cost_of(task, chain) - cost_of(task, method))
            numbers[task.name] = training_of(task, method) / saved if saved > 0 else math.inf
            pairs.append((method, chain))
    return counted_effect(numbers, format_pairs(pairs)) if pairs else _NO_PAIR


def amortisation_gap(evidence: Evidence) -> Effect | str:
    """Return the distance of ODS trained once over that of ODS trained for each measurement."""
    ratios, pairs = {}, []
    for task in evidence.suite.tasks:
        rows = evidence.methods_of(task, ODS)
        single = next(
            (row for row in rows if settings_of(task, row).get("amortised") is False), None
        )
        amortised = amortised_row(evidence, task)
        if amortised and single:
            ratios[task.name] = log_ratio(
                *(evidence.values(task, m, DISTANCE) for m in (amortised, single))
            )
            pairs.append((amortised, single))
    lacks = "needs ods once amortised and once trained for each measurement"
    return mean_effect(ratios, format_pairs(pairs)) if pairs else lacks


_NO_PAIR = "needs ods and hmc-latent on one task"
_EASIER = f"{DISTANCE} of hmc-latent over that of hmc-data, geometric mean, paired by measurement"


def _claim_at_equal_cost(num: int) -> Claim:
    many = f"{num} measurement" + ("s" if num > 1 else "")
    return Claim(
        f"ods-equal-cost-{num}", "ods", "text, run times", "P",
        f"A sampler trained once does better than chains of HMC at the same total cost: for {many}",
        f"For {many}, beside the dearest hmc-latent of no more network rows in all (within 25 %): ratio below 1",
        f"{DISTANCE} of ods over that of hmc-latent, geometric mean, paired by measurement; rows forward and backward, "
        "training of ods included", 1.0, "below", partial(distance_at_equal_cost, num=num),
    )  # fmt: skip


CLAIMS = (
    Claim("ods-easier-steps", "ods", "Figs. 1 and 2", "P",
          "The posterior is easier to sample in noise space than in data space",
          "The same HMC with the same number of leapfrog steps gets nearer in z than in x: ratio below 1",
          _EASIER, 1.0, "below", partial(noise_over_data_space, equal_rows=False)),
    Claim("ods-easier-rows", "ods", "Figs. 1 and 2", "P",
          "The posterior is easier to sample in noise space than in data space",
          "The same HMC with the same number of network rows (within 25 %) gets nearer in z than in x: ratio below 1",
          _EASIER, 1.0, "below", partial(noise_over_data_space, equal_rows=True)),
    *map(_claim_at_equal_cost, NUMS_MEASUREMENTS),
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
          1.25, "below", amortisation_gap),
    Claim("ods-cifar", "ods", "Tables 3, 7, 8 and 9", "P",
          "Lower FID than HMC in noise space on CIFAR-10, at a lower reward",
          lacks="needs CIFAR-10 generators, its classifier and FID on natural images"),
    Claim("ods-text", "ods", "Tables 4, 5 and 10 to 12", "P",
          "Higher reward of text prompts than the prior, HMC and guidance",
          lacks="needs StyleGAN3, NVAE or Stable Diffusion 3, and ImageReward: natural images"),
    Claim("ods-protein", "ods", "Table 6", "P", "More diverse protein structures than random walks in noise space",
          lacks="needs a generator of proteins: no images"),
)  # fmt: skip
