"""Print the rows of config/budget.yaml and their settings on each task: `python -m bench.cost.budgets`.

A budget is a number of network rows per posterior sample, forward and backward, training included. Each method has one
rule that turns a budget into settings. Settings that were searched at equal seconds have the values that won there, on
each task (results/reference/tuning); a setting that is neither in a rule nor searched keeps its default. On the
priors of the suite, a denoiser costs one row and a decoded image `decode_nfe`; with its gradient, each costs twice.

Training is paid once, so that its share per sample depends on the number of samples. Methods are trained with the rows
that a budget leaves for ten measurements; the figure `budget` divides the same training by 1, 10 and 100.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.core.artefacts import read_csv
from bench.core.shipped import shipped
from bench.core.specs import Settings

BUDGETS = (100, 200, 450, 1000, 2000)
TUNED_AT = 450  # rows per sample of the suite `tuning`
NUM_MEASUREMENTS = 10  # which share the cost of a training
MPGD_PULL = 30  # steps times scale in the suite `digits`
DPS_STEPS = 200  # at which the zeta of the default suite was tuned
CHAIN = 30  # evaluations before the first sample for each chain
LEAPFROG = 4  # of a trajectory, where the budget allows it
APS_BATCH, WARM_START = 128, 0.5  # defaults of APS
ODS_GROUP, ODS_ASSESSED, ODS_REPLAYS = 8, 16, 2  # defaults of ODS
RTB_STEPS, RTB_WARM, RTB_PAIRS, RTB_PATHS = 24, 0.85, 256, 8 * 6  # defaults of RTB
# the first noise level; the standard deviation of digits along their widest direction is about 3
WIDEST = {"sigma_max": 10.0}


@dataclass(frozen=True)
class Terms:
    """Facts that a rule needs: samples per measurement, rows per decoded image, and DPS's zeta at 200 steps."""

    num_samples: int = 16
    decode_nfe: int = 28
    zeta: float = 0.2

    @property
    def evaluation(self) -> int:
        """Return the rows of a decoded image with its gradient."""
        return 2 * self.decode_nfe

    def gradients(self, budget: float) -> int:
        """Return how many evaluations a measurement can have, when each sample is decoded once at the end."""
        return int(self.num_samples * (budget - self.decode_nfe) // self.evaluation)

    def training(self, budget: float, sampling: int = 0) -> int:
        """Return the rows of a training that NUM_MEASUREMENTS pay for. sampling: rows that each sample costs."""
        return int(NUM_MEASUREMENTS * self.num_samples * (budget - sampling))


def dps(budget: float, terms: Terms) -> Settings:
    """Return as many steps as there are rows for, and zeta such that zeta times steps is constant."""
    num_steps = int(budget // 2)
    return {"num_steps": num_steps, "zeta": float(f"{terms.zeta * DPS_STEPS / num_steps:.3g}")}


def latent_langevin(budget: float, terms: Terms) -> Settings:
    """Return settings with half of the evaluations before the first sample, and the others between samples.

    At least one evaluation lies between two samples. Of the first half, a tenth are steps of Adam, up to three
    estimate the curvature, and a fifth adapt the step.
    """
    gradients = terms.gradients(budget)
    thin = max(1, gradients // (2 * terms.num_samples))
    before = gradients - thin * terms.num_samples
    chains = _num_chains(before, terms)
    before //= chains
    curvature = _num_curvature(before)
    left = before - 2 - curvature
    adam, adapt = before // 10, before // 5
    warm_up = {"num_adam": adam, "num_curvature": curvature, "num_adapt": adapt}
    return {"num_chains": chains, **warm_up, "num_warmup": left - adam - adapt, "thin": thin}


def hmc(budget: float, terms: Terms) -> Settings:
    """Return settings with half of the evaluations before the first sample, and a fifth of those for adaptation.

    The other half pays for the trajectories between samples. A trajectory has four leapfrog steps, fewer where that
    half does not pay for four.
    """
    gradients = terms.gradients(budget)
    for_samples = max(1, gradients // (2 * terms.num_samples))
    leapfrog = min(LEAPFROG, for_samples)
    thin = for_samples // leapfrog
    before = gradients - leapfrog * thin * terms.num_samples
    chains = _num_chains(before, terms)
    before //= chains
    curvature = _num_curvature(before)
    trajectories = (before - 2 - curvature) // leapfrog
    adapt = trajectories // 5
    warm_up = {"num_curvature": curvature, "num_warmup": trajectories - adapt, "num_adapt": adapt}
    return {"num_chains": chains, **warm_up, "num_leapfrog": leapfrog, "thin": thin}


def aps(budget: float, terms: Terms) -> Settings:
    """Return as many iterations as the rows of training pay for; iterations of the warm start cost no rows."""
    reverse = int(terms.training(budget) // (2 * APS_BATCH))
    return {"num_iterations": int(reverse / (1 - WARM_START))}


def ods(budget: float, terms: Terms) -> Settings:
    """Return settings with a quarter of training's decoded images for the affine map, and the others for iterations.

    There are eight paths for each simulated measurement, and one measurement in a batch for each 1024 decoded images.
    """
    images = terms.training(budget, terms.decode_nfe) // terms.decode_nfe
    groups = min(16, max(1, images // 1024))
    batch, for_map = groups * ODS_GROUP, images // 4
    on_policy = (images - for_map - ODS_ASSESSED * batch) // batch
    return {
        "num_steps": 12,
        "num_iterations": (ODS_REPLAYS + 1) * on_policy,
        "num_groups": groups,
        "num_fit": for_map,
    }


def rtb(budget: float, terms: Terms) -> Settings:
    """Return as many iterations as the rows of training pay for; a path costs one row per step."""
    warm, balanced = RTB_WARM * RTB_PAIRS, (1 - RTB_WARM) * RTB_PATHS * RTB_STEPS
    return {"num_iterations": int(terms.training(budget, RTB_STEPS) / (warm + balanced))}


def mpgd(budget: float, terms: Terms) -> Settings:
    """Return as many steps as there are rows for, and scale such that scale times steps is as in the suite `digits`."""
    num_steps = int(budget)
    return {"num_steps": num_steps, "scale": float(f"{MPGD_PULL / num_steps:.3g}")}


def pnp_dm(budget: float, terms: Terms) -> Settings:
    """Return one chain per sample; an iteration costs ten rows, and all but five iterations are warm-up."""
    return {"num_warmup": int(budget // 10) - 5, "thin": 5}


def dflow(budget: float, terms: Terms) -> Settings:
    """Return as many steps of the descent as the budget pays for; each decodes an image with its gradient."""
    return {"num_steps": int((budget - terms.decode_nfe) // terms.evaluation)}


def particles(budget: float, terms: Terms, *, differentiated: bool) -> Settings:
    """Return 50 steps (25 at the smallest budget) and one cloud per measurement, as large as the budget pays for."""
    num_steps = 50 if budget >= 200 else 25
    rows = 2 * num_steps - 1 if differentiated else num_steps
    cloud = {"num_particles": int(terms.num_samples * budget // rows), "joint": "coupled"}
    return {"num_steps": num_steps, **cloud, **WIDEST}


def steps(budget: float, terms: Terms, *, field: str, rows: int, **others: float) -> Settings:
    """Return as many steps, in the setting `field`, as the budget pays for; one step costs `rows`."""
    return {field: int(budget // rows), **others}


def _num_curvature(before: int) -> int:
    """Return the number of power iterations for the curvature, which sets the step; they cost one evaluation more."""
    return 2 if before >= 20 else 1


def _num_chains(before: int, terms: Terms) -> int:
    """Return the number of chains, about one per CHAIN evaluations; it divides the number of samples."""
    most = max(1, min(terms.num_samples, before // CHAIN))
    return max(n for n in range(1, most + 1) if terms.num_samples % n == 0)


_in_steps = partial(partial, steps, field="num_steps")
RULES: Mapping[str, Callable[[float, Terms], Settings]] = {
    **{rule.__name__: rule for rule in (dps, latent_langevin, hmc, aps, ods)},
    "pigdm": _in_steps(rows=2, **WIDEST),
    "mmps": _in_steps(rows=6, num_solver=5, **WIDEST),
    "lgd_mc": _in_steps(rows=2, **WIDEST),
    "mpgd": mpgd,
    "diffpir": _in_steps(rows=1, **WIDEST),
    "ddrm": _in_steps(rows=1),
    "daps": partial(steps, field="num_levels", rows=1, **WIDEST),
    "pnp_dm": pnp_dm,
    "tds": partial(particles, differentiated=True),
    "mcgdiff": partial(particles, differentiated=False),
    "red_diff": _in_steps(rows=1),
    "annealed_langevin": partial(steps, field="num_levels", rows=3),
    "dflow": dflow,
    "rtb": rtb,
}
PULLS = {"dps": "zeta", "mpgd": "scale"}  # settings that fall as the number of steps rises
_MOST = {"ddrm": 1000}  # DDRM has at most one step for each of its paper's 1000 noise levels


def budgets_of(plugin: str) -> tuple[int, ...]:
    """Return the budgets at which a method has a row."""
    return tuple(budget for budget in BUDGETS if budget <= _MOST.get(plugin, budget))


def training_rows(plugin: str, settings: Settings, terms: Terms) -> float:
    """Return the network rows, forward and backward, that the training of a suite's row costs; 0 without training."""
    if plugin == "aps":
        reverse = settings["num_iterations"] - round(WARM_START * settings["num_iterations"])
        return 2 * APS_BATCH * reverse
    if plugin == "ods":
        batch = settings["num_groups"] * ODS_GROUP
        on_policy = math.ceil(settings["num_iterations"] / (ODS_REPLAYS + 1))
        return terms.decode_nfe * (settings["num_fit"] + (on_policy + ODS_ASSESSED) * batch)
    if plugin == "rtb":
        warm = math.ceil(RTB_WARM * settings["num_iterations"])
        return RTB_PAIRS * warm + RTB_PATHS * RTB_STEPS * (settings["num_iterations"] - warm)
    return 0.0


def tuned(task: str, plugin: str, folder: Path) -> dict[str, Settings]:
    """Return the settings on a task for each row of a method: those that won the search logged in `folder`.

    Empty where the method cannot run. zeta of DPS and scale of MPGD, times steps, are constant, as in their rules;
    other values are the same at each budget.
    """
    log = read_csv(folder / task / f"{plugin}.csv")[1]
    if log["winner"] is None:
        return {}
    won = {name: log["winner"]["settings"][name] for name in log["ranges"]}
    rule, pull = RULES[plugin], PULLS.get(plugin, "")
    settings = {}
    for budget in budgets_of(plugin):
        settings[f"{plugin}-b{budget}"] = dict(won)
        if pull:
            taken = [rule(at, Terms())["num_steps"] for at in (TUNED_AT, budget)]
            settings[f"{plugin}-b{budget}"][pull] = float(f"{won[pull] * taken[0] / taken[1]:.3g}")
    return settings


def main() -> None:
    """Print a line of YAML for each row, then one for each task and method."""
    for plugin, rule in RULES.items():
        for budget in budgets_of(plugin):
            print(f"  {plugin}-b{budget}: {_yaml(rule(budget, Terms()))}")
    folder = shipped("results/reference/tuning")
    for task in sorted(path.parent.name for path in folder.glob("gmm-*/dps.csv")):
        print(f"  {task}:\n    settings: {{")
        for plugin in RULES:
            rows = tuned(task, plugin, folder).items()
            if rows:
                print("      " + ", ".join(_anchored(task, plugin, rows)) + ",")
        print("    }")


def _anchored(task: str, plugin: str, rows: Iterable[tuple[str, Settings]]) -> list[str]:
    """Return `row: settings` for each row of a method, with an alias in YAML for settings that are those before."""
    anchor = f"{task}-{plugin.replace('_', '-')}"
    texts = {row: _yaml(won) for row, won in rows}
    if len(set(texts.values())) > 1:
        return [f"{row}: {text}" for row, text in texts.items()]
    first, *others = texts
    return [f"{first}: &{anchor} {texts[first]}", *(f"{row}: *{anchor}" for row in others)]


def _yaml(settings: Settings) -> str:
    return json.dumps(settings).replace('"', "")


if __name__ == "__main__":
    main()
