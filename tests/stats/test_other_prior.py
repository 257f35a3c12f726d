"""Methods that saw another prior than the one by whose posterior a task is judged: a map's teacher.

In one dimension all posteriors are Gaussian: the teacher is N(0, 1), the map x = 0.6 z + 0.5 of it, and y = x + noise.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.metric_values import context_of

from bench.core.metric import REFERENCE, Truth
from bench.core.types import Cap
from bench.metrics._evaluation import Evaluation, open_metric
from bench.metrics._table import Scores, Table
from bench.priors._consistency import Consistency
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.report.tables import distance_table, task_tables
from bench.runtime.run_method import borrowed_caps
from bench.stats.comparisons import compare
from bench.stats.groups import comparison_groups
from bench.stats.ranks import rankings
from bench.stats.results import RunRecord, SuiteResults, TaskResults
from bench.stats.scores import read_scores
from bench.stats.summary import summarise

M, S, SHAPE = 24, 48, (1, 2, 2)
SIGMA_Y = 0.7
COST = dict.fromkeys(("nfe", "nfe_vjp", "train_seconds", "train_nfe", "train_nfe_vjp"), 0.0)
COST |= {"seconds": 1.0, "rows": M * S}
# mean and standard deviation of the prior that a row saw, then errors of the sampler: shift and factor of its spread
TEACHER, MAP = (0.0, 1.0), (0.5, 0.6)
ROWS = {
    "exact-of-teacher": (TEACHER, 0.0, 1.0),
    "dps": (TEACHER, 0.25, 0.7),  # towards the map's posterior
    "exact-of-map": (MAP, 0.0, 1.0),
    "langevin": (MAP, 0.0, 0.5),
}


def posterior(prior: tuple[float, float], y: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return mean (m, *x) and standard deviation of x given y."""
    mean, std = prior
    variance = 1 / (std**-2 + SIGMA_Y**-2)
    return variance * (mean / std**2 + y / SIGMA_Y**2), variance**0.5


def draws(prior: tuple[float, float], y: torch.Tensor, num: int, seed: int) -> torch.Tensor:
    mean, std = posterior(prior, y)
    noise = torch.randn(
        (len(y), num, *SHAPE), generator=torch.Generator().manual_seed(seed), dtype=y.dtype
    )
    return mean[:, None] + std * noise


@pytest.fixture(scope="module")
def suite() -> SuiteResults:
    generator = torch.Generator().manual_seed(0)
    x_true = torch.randn((M, *SHAPE), generator=generator).double()
    y = x_true + SIGMA_Y * torch.randn((M, *SHAPE), generator=generator)
    problem = make_problem("denoise", {}, SIGMA_Y, SHAPE)
    context, x = (
        context_of(x_true, S),
        {p: draws(p, y, 4 * S, i) for i, p in enumerate((TEACHER, MAP))},
    )
    taught, own = (
        Truth(problem, x_true, y, x[p], x[p].mean(1), x[p].std(1), context) for p in (TEACHER, MAP)
    )
    truth = Truth(
        *(getattr(own, name) for name in ("problem", "x_true", "y", "reference", "mean", "std")),
        context,
        taught,
    )
    unmet = {"reference": "", "teacher": "", "operator": "", "reward": "n/a", "score": "n/a"}
    metrics = tuple(open_metric(name, {}) for name in ("energy_distance", "moments", "total"))
    evaluation = Evaluation(metrics, context, (truth,), unmet)
    samples = {REFERENCE: draws(MAP, y, S, 9)}
    for seed, (method, (prior, shift, factor)) in enumerate(ROWS.items()):
        exact, mean = draws(prior, y, S, 10 + seed), posterior(prior, y)[0][:, None]
        samples[method] = mean + shift + factor * (exact - mean)
    table = Table("gmm_map-denoise", evaluation.columns, unmet)
    text = table.csv(
        [Scores(m, 0, evaluation.values(x), ("",) * M, "n/a") for m, x in samples.items()]
    )
    runs = tuple(
        RunRecord(
            m,
            0,
            {"joint": "independent"} | ({"borrowed": ["DENOISER"]} if saw == TEACHER else {}),
            COST,
        )
        for m, (saw, *_) in ROWS.items()
    )
    task = TaskResults(table.task, {}, {}, read_scores(text)[0], {}, table.better, runs)
    return SuiteResults(Path("."), "maps", tuple(ROWS), (0,), M, S, (task,), ())


def test_the_case_is_one_in_which_the_wrong_judge_prefers_the_biased_sampler(suite):
    (task,) = suite.tasks
    energy = {
        m: np.mean([x.value for x in task.scores if (x.method, x.metric) == (m, "energy")])
        for m in ROWS
    }
    assert energy["dps"] < energy["exact-of-teacher"]


def test_an_exact_sampler_of_the_prior_that_it_saw_is_never_behind_another_method_that_saw_it(
    suite,
):
    best = {}
    for group in comparison_groups(suite):
        of_teacher = {"exact-of-teacher", "dps"}
        expected = of_teacher if group.metric.endswith("_total") else set(ROWS) - of_teacher
        assert set(group.methods) == expected, group.metric
        best[group.metric] = group.methods[group.best]
    assert best["energy_total"] == best["mean_error_total"] == "exact-of-teacher"
    assert best["energy"] == "exact-of-map"
    tied = {(line.method, line.metric) for line in compare(suite) if line.tied}
    assert ("exact-of-teacher", "energy_total") in tied and ("dps", "energy_total") not in tied
    assert not any(m in of_teacher and not metric.endswith("_total") for m, metric in tied)


def test_no_rank_compares_methods_that_saw_different_priors(suite):
    (ranking,) = rankings(suite, ["energy"])
    assert ranking.methods == ("exact-of-map", "langevin")


def test_the_tables_never_put_an_exact_sampler_of_its_prior_behind_another_method(suite):
    lines, comparisons = summarise(suite), compare(suite)
    (table,), distances = (
        task_tables(suite, lines, comparisons),
        distance_table(suite, lines, comparisons),
    )
    of_teacher = ["exact-of-teacher", "dps"]
    assert list(table.frame.index)[-2:] == of_teacher
    assert {table.roles[method] for method in of_teacher} == {"other prior"}
    bold = {
        column: {method for method in ROWS if table.frame.loc[method, column].tied}
        for column in ("energy", "energy_total")
    }
    assert bold["energy"] == {"exact-of-map"} and bold["energy_total"] == {"exact-of-teacher"}
    own, total, *_ = (cells for _, cells in distances.frame.iterrows())
    assert {name for name in ROWS if own[name].tied} == {"exact-of-map"}
    assert {name for name in ROWS if total[name].tied} == {"exact-of-teacher"}
    assert {name for name in ROWS if own[name].remark == "other prior"} == set(of_teacher)
    (ranks,) = (cells for name, cells in distances.frame.iterrows() if "rank" in str(name))
    assert {name for name in ROWS if ranks[name].mean} == set(ROWS) - set(of_teacher)
    assert float(ranks["exact-of-map"].mean) < float(ranks["langevin"].mean)


class Sees:
    """A method that declares capabilities."""

    def __init__(self, needs: Cap, uses: Cap = Cap.NONE) -> None:
        self.needs, self.uses = needs, uses


def test_the_prior_that_a_method_saw_follows_from_its_declared_capabilities():
    teacher = GMM(torch.ones(1), torch.zeros(1, *SHAPE), torch.eye(4)[None])
    student = Consistency(None, 1, teacher)  # type: ignore[arg-type]
    cases = [
        (Sees(Cap.DECODER | Cap.GRAD), Cap.NONE),
        (Sees(Cap.DENOISER | Cap.GRAD), Cap.DENOISER),
        (Sees(Cap.DECODER, Cap.DENSITY), Cap.DENSITY),
    ]
    for method, expected in cases:
        assert borrowed_caps(method, student) == expected
        assert borrowed_caps(method, teacher) == Cap.NONE
