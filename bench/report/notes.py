"""What stands below a table: sizes, intervals, definitions of its columns, and who made it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.origins import made_by
from bench.report.tables import DIVERSITY
from bench.stats.comparisons import BOLD, ONE_SEED, SEVERAL_SEEDS
from bench.stats.results import SuiteResults
from bench.stats.summary import COSTS, INTERVAL

BASELINES = (
    "reference: as many reference draws of the posterior as a method has samples, compared with a second set of "
    "reference draws like a method's samples; no sampler can be expected to come closer (the floor). oracle: draws of "
    "the exact posterior that go through the same code as a method's samples, so it must agree with the reference. "
    "unconditional: draws from the prior that ignore the measurement (the ceiling)."
)
HEADERS = (
    "Above a table: sigma_y is the standard deviation of the noise in data units, in which images are on [-1, 1]; in "
    "brackets the same with images on [0, 1]. Posterior perplexity: the exponential of the entropy of the posterior's "
    "weights, about the number of components (or of atoms) that share it, mean over measurements. A reference is "
    "admitted when independent sets of its draws agree; where it is not, nothing is compared with the posterior."
)
WORTHS = (
    "Beside diversity stands how many independent exact draws the samples are worth by their energy distance "
    "(worth_energy), for chains, biased samplers and exact ones alike. Worths are averaged as their reciprocals, "
    "relative errors; in tests and resolutions they are compared as these, too. An end inf: the error may be zero."
)
COLLAPSE = (
    "Collapse, which training by reverse KL tends to, shows in two columns at once: diversity_ratio well below 1 "
    "(samples are too much alike) and coverage_exact@0.9 well below 0.9 (their intervals miss what the posterior "
    "allows)."
)


def notes(suite: SuiteResults, columns: Sequence[str], of_tasks: bool = True) -> tuple[str, ...]:
    """Return the notes below tables of measurements that have these columns; of_tasks: a table for each task."""
    most = max(len(suite.seeds_of(method)) for method in suite.methods)
    seeds = f"{len(suite.seeds)} seed" + ("s" if len(suite.seeds) > 1 else "")
    seeds += f" ({most} of methods that are trained)" if most > len(suite.seeds) else ""
    defined = definitions(suite)
    has_diversity = any(part in name for name in columns for part in DIVERSITY)
    has_worth = any(name.startswith("worth_") for name in columns)
    return (
        (
            f"{_sizes(suite)} measurements per task, {suite.num_samples} samples per measurement, {seeds}. "
            f"A cell is the mean over measurements; in brackets its {INTERVAL}."
        ),
        SEVERAL_SEEDS if most > 1 else ONE_SEED,
        BOLD,
        BASELINES,
        *((HEADERS,) if of_tasks else ()),
        *((COLLAPSE,) if "diversity_ratio" in columns else ()),
        *((WORTHS,) if has_worth and has_diversity else ()),
        *(f"{name}: {defined[name]}" for name in columns if name in defined),
        *([f"{suite.beside}."] if suite.beside else []),
        *made_by(suite.origins),
    )


def _sizes(suite: SuiteResults) -> str:
    """Return `16`, or `16 (64 on gmm-calibration)` where some tasks have another number."""
    others = [f"{x.num_measurements} on {x.name}" for x in suite.tasks if x.num_measurements]
    return str(suite.num_measurements) + (f" ({', '.join(others)})" if others else "")


def definitions(suite: SuiteResults) -> dict[str, str]:
    """Return one line for each metric and cost: what it means."""
    return {
        **COSTS,
        **{name: text for task in suite.tasks for name, text in task.definitions.items()},
    }
