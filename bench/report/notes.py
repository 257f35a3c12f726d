"""Notes below a table: sizes, intervals, definitions of its columns, and who made it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.papers import REHEARSAL_NOTE
from bench.core.results import DIVERGED, INTERACTS, Summary
from bench.core.weights import ABSENT
from bench.report.front.references import NO_REFERENCE, has_reference
from bench.report.origins import made_by
from bench.report.tables import DIVERSITY
from bench.stats.comparisons import BOLD, ONE_SEED, SEVERAL_SEEDS
from bench.stats.results import SuiteResults
from bench.stats.summary import COSTS, INTERVAL

BASELINES = (
    "reference (the floor): draws from the posterior in place of a method's samples, and as many, compared with a "
    "second set of such draws; no sampler can be expected to come closer. oracle: the exact sampler, run like any "
    "method, so it has to agree with the reference. unconditional (the ceiling): draws from the prior, which ignore "
    "the measurement."
)
HEADERS = (
    "Words above a table: sigma_y is the standard deviation of the noise in data units, in which images are on "
    "[-1, 1]; the number in brackets is the same for images on [0, 1]. The brackets behind a prior give its family and "
    "its data set. Posterior perplexity says over about how many components of a mixture, or images of a finite set, "
    "the posterior is spread (the exponential of the entropy of its weights), mean over measurements. A reference is "
    "admitted if independent sets of its draws agree; if it is not, nothing is compared with the posterior."
)
WORTHS = (
    "Worth is the number of independent exact draws that would be as far from the posterior as the samples are; it is "
    "defined for chains and for biased and exact samplers alike. The worth by energy distance (worth_energy) is also "
    "shown beside diversities. Its reciprocal is a relative error, and this is what is averaged over measurements, "
    "tested, and named as the smallest difference. An interval that ends at inf contains the error zero."
)
COLLAPSE = (
    "Collapse, which training by reverse KL tends to, shows in two columns at once: diversity_ratio well below 1 "
    "(samples are too much alike) and coverage_exact@0.9 well below 0.9 (their intervals miss what the posterior "
    "allows)."
)

INTERACTING = (
    f"({INTERACTS}): the samples of a measurement change when it is drawn without the others, so the numbers hold for "
    "this batch size only; `posterior-bench conformance` says more."
)

REHEARSED = f"{REHEARSAL_NOTE}. Its seconds mean nothing either: a rehearsal does not wait until the machine is free"
DIVERGING = f"({DIVERGED}): some samples of the method have values beyond 1000, though images are between -1 and 1."


def notes(suite: SuiteResults, columns: Sequence[str], of_tasks: bool = True) -> tuple[str, ...]:
    """Return the notes below tables of measurements that have these columns; of_tasks: a table for each task."""
    most = max(len(suite.seeds_of(method)) for method in suite.methods)
    seeds = f"{len(suite.seeds)} seed" + ("s" if len(suite.seeds) > 1 else "")
    seeds += f" ({most} for trained methods)" if most > len(suite.seeds) else ""
    defined, judged = definitions(suite), has_reference(suite)
    has_diversity = any(part in name for name in columns for part in DIVERSITY)
    has_worth = any(name.startswith("worth_") for name in columns)
    return (
        (
            f"{_measured(suite)}, {suite.num_samples} samples per measurement, {seeds}. "
            f"A cell is the mean over measurements; in brackets its {INTERVAL}."
        ),
        SEVERAL_SEEDS if most > 1 else ONE_SEED,
        BOLD,
        BASELINES if judged else f"{NO_REFERENCE}.",
        *((INTERACTING,) if any(task.interacting for task in suite.tasks) else ()),
        *((DIVERGING,) if any(task.diverged for task in suite.tasks) else ()),
        *((HEADERS,) if of_tasks and judged else ()),
        *((COLLAPSE,) if "diversity_ratio" in columns else ()),
        *((WORTHS,) if has_worth and has_diversity else ()),
        *(f"{name}: {defined[name]}" for name in columns if name in defined),
        *([f"{suite.beside}."] if suite.beside else []),
        *made_by(suite.origins),
    )


def absent_weights(lines: Sequence[Summary]) -> tuple[str, ...]:
    """Return a note for each file of weights that is absent: the columns that have no numbers, and how to get it."""
    columns: dict[str, dict[str, None]] = {}
    for line in lines:
        if line.reason.startswith(ABSENT):
            columns.setdefault(line.reason, {})[line.metric] = None
    return tuple(f"{', '.join(names)}: {reason}" for reason, names in columns.items())


def _measured(suite: SuiteResults) -> str:
    """Return `16 measurements per task`, or with `(64 on gmm-calibration)` behind where tasks have another number."""
    others = [f"{x.num_measurements} on {x.name}" for x in suite.tasks if x.num_measurements]
    words = f"{suite.num_measurements} measurements per task"
    return f"{words} ({', '.join(others)})" if others else words


def measured_range(suite: SuiteResults) -> str:
    """Return the number of measurements per task, `16`, or `16 to 64` where tasks differ."""
    numbers = {suite.num_measured(task) for task in suite.tasks}
    return " to ".join(str(number) for number in sorted({min(numbers), max(numbers)}))


def definitions(suite: SuiteResults) -> dict[str, str]:
    """Return one line for each metric and cost: what it means."""
    return {
        **COSTS,
        **{name: text for task in suite.tasks for name, text in task.definitions.items()},
    }
