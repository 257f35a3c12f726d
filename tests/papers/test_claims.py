"""The ledger of claims: each one tested on results where it is true, false or absent, and what is said of the rest."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic_results import write_results

from bench.core.artefacts import read_csv
from bench.papers.claims.claim import (
    MARKS,
    NOT_SUPPORTED,
    SUPPORTED,
    UNTESTABLE,
    Claim,
    Entry,
    assess,
)
from bench.papers.claims.effects import Effect, mean_effect
from bench.papers.claims.evidence import Evidence
from bench.papers.claims.ledger import CLAIMS, ledger, ledger_table
from bench.stages import claims
from bench.stats.results import RunRecord, Score, SuiteResults, TaskResults, load

NUM, NUM_SAMPLES = 12, 64
TESTED = [claim for claim in CLAIMS if claim.test]


def suite(
    methods: dict[str, dict],
    timings: tuple = (),
    family: str = "consistency",
    failed: frozenset = frozenset(),
) -> SuiteResults:
    """One task; each method is its metrics, its costs, its settings and whether it is a chain, with noise of 2 %."""
    rng = np.random.default_rng(0)
    scores, runs = [], []
    for name, facts in methods.items():
        for metric, value in facts.get("scores", {}).items():
            for i in range(NUM):
                broken = (name, i) in failed
                noisy = (
                    value + rng.normal()
                    if metric == "psnr_mean"
                    else value * math.exp(0.02 * rng.normal())
                )
                reason = "failed (ValueError: step 3)" if broken else ""
                scores.append(Score(name, 0, i, metric, None if broken else noisy, reason))
        if name != "reference":
            costs = {"nfe": 10.0, "nfe_vjp": 10.0, "seconds": 64.0, "rows": 64}
            costs |= {"train_seconds": 0.0, "train_nfe": 0, "train_nfe_vjp": 0} | facts.get(
                "costs", {}
            )
            header = {
                "status": "ok",
                "joint": facts.get("joint", "independent"),
                "num_chains": facts.get("num_chains"),
            }
            runs.append(RunRecord(name, 0, header, costs | {"settings": facts.get("settings", {})}))
    better = {
        "sw2-128": "lower",
        "psnr_mean": "higher",
        "diversity_ratio": 1.0,
        "ess_bulk": "higher",
    }
    task = TaskResults(
        "gmm-denoise", {"family": family}, {}, tuple(scores), {}, better, tuple(runs)
    )
    names = tuple(name for name in methods if name != "reference")
    return SuiteResults(
        Path("nowhere"), "made", names, (0,), NUM, NUM_SAMPLES, (task,), (), timings
    )


def entry(of: str, results: SuiteResults) -> Entry:
    (actual,) = [x for x in ledger(results) if x.claim.id == of]
    return actual


def timing(method: str, nfe: float, seconds: float, ess: dict | None = None) -> dict:
    """Of 1 sample at a cost of 1, and of 64: network rows forward per sample, and median seconds."""
    curve = [
        {"s": s, "nfe": n, "nfe_vjp": 0.0, "median": t}
        for s, n, t in ((1, 1.0, 1.0), (64, nfe, seconds))
    ]
    return {"task": "gmm-denoise", "method": method, "curve": curve, "ess": ess or {}}


def far(distance: float, **facts: object) -> dict:
    return {"scores": {"sw2-128": distance}, **facts}


def spread(diversity: float, psnr: float = 20.0, nfe: float = 10.0) -> dict:
    return {"scores": {"diversity_ratio": diversity, "psnr_mean": psnr}, "costs": {"nfe": nfe}}


def chain(size: float = 32.0, nfe: float = 10.0) -> dict:
    return {
        "scores": {"ess_bulk": size},
        "costs": {"nfe": nfe, "nfe_vjp": nfe},
        "joint": "chain",
        "num_chains": 16,
    }


def two(one: str, first: dict, other: str, second: dict, **more: object) -> SuiteResults:
    return suite({one: first, other: second}, **more)


def clocked(method: str, nfe: float, seconds: float, ess: dict | None = None) -> SuiteResults:
    return suite(
        {method: chain() if method == "latent_langevin" else {}},
        (timing(method, nfe, seconds, ess),),
    )


def zetas(*distances: float) -> SuiteResults:
    pairs = zip((0.1, 0.3, 1.0), distances, strict=True)
    return suite({f"dps-{z}": far(d, settings={"zeta": z, "num_steps": 20}) for z, d in pairs})


def trained(distance: float, rows: float, hmc: float = 10.0, seconds: float = 1.0) -> SuiteResults:
    """ods after a training of `rows` network rows, and HMC at distance 1 with `hmc` of them per sample."""
    costs = {
        "nfe": 1.0,
        "nfe_vjp": 0.0,
        "train_nfe": rows,
        "train_seconds": seconds,
        "seconds": 0.64,
    }
    ods = far(distance, costs=costs)
    return two(
        "ods",
        ods,
        "hmc-latent",
        far(1.0, costs={"nfe": hmc / 2, "nfe_vjp": hmc / 2, "seconds": 64.0}),
    )


def easier(distance: float) -> SuiteResults:
    return two("hmc-latent", far(distance), "hmc-data", far(1))


def singles(distance: float) -> SuiteResults:
    ods = far(distance, costs={"train_nfe": 1})
    return two("ods", ods, "ods-single", far(1.0, settings={"amortised": False}))


# id -> results where the claim is true, and results where it is false
CASES = {
    "cps-growth-rows": (clocked("latent_langevin", 1 / 16, 1), clocked("latent_langevin", 1, 1)),
    "cps-growth-seconds": (clocked("latent_langevin", 1, 2), clocked("latent_langevin", 1, 60)),
    "dps-growth-rows": (clocked("dps", 1, 1), clocked("dps", 1 / 64, 1)),
    "dps-growth-seconds": (clocked("dps", 1, 64), clocked("dps", 1, 8)),
    "cps-growth-effective": (
        clocked("latent_langevin", 1 / 16, 1, {"1": 1.0, "64": 40.0}),
        clocked("latent_langevin", 1 / 16, 1, {"1": 1.0, "64": 2.0}),
    ),
    "cps-effective": (
        two("latent_langevin", chain(50, 5), "dps", {}),
        two("latent_langevin", chain(5), "dps", {}),
    ),
    "cps-effective-ode": (
        two("latent_langevin", chain(50, 5), "dps", {}, family="gmm"),
        two("latent_langevin", chain(5), "dps", {}, family="gmm"),
    ),
    "cps-diversity-equal-nfe": (
        two("latent_langevin", spread(1.2, nfe=12), "dps", spread(0.8)),
        two("latent_langevin", spread(0.8), "dps", spread(0.9)),
    ),
    "cps-diversity": (
        two("latent_langevin", spread(1.2, nfe=30), "dps", spread(0.8)),
        two("latent_langevin", spread(0.8, nfe=30), "dps", spread(0.9)),
    ),
    "cps-diversity-exact-equal-nfe": (
        two("latent_langevin", spread(1.1), "dps", spread(0.6)),
        two("latent_langevin", spread(1.5), "dps", spread(0.9)),
    ),
    "cps-diversity-exact": (
        two("latent_langevin", spread(1.1, nfe=99), "dps", spread(0.6)),
        two("latent_langevin", spread(1.5, nfe=99), "dps", spread(0.9)),
    ),
    "ods-easier-steps": (easier(0.5), easier(2)),
    "ods-easier-rows": (easier(0.5), easier(2)),
    # 640 rows of HMC for each measurement beside the training over their number and 64
    "ods-equal-cost-1": (trained(0.5, 600), trained(2, 600)),
    "ods-equal-cost-10": (trained(0.5, 6000), trained(2, 6000)),
    "ods-equal-cost-100": (trained(0.5, 60_000), trained(2, 60_000)),
    "ods-equal-cost-1000": (trained(0.5, 600_000), trained(2, 600_000)),
    "ods-break-even-rows": (trained(1, 600), trained(1, 600_000)),
    "ods-break-even-seconds": (trained(1, 600), trained(1, 600, seconds=1e5)),
    "ods-unseen": (singles(1.1), singles(1.5)),
    "aps-quality": (two("aps", far(1.1), "dps", far(1)), two("aps", far(1.5), "dps", far(1))),
    "aps-speed": (
        two("aps", {"costs": {"seconds": 1.0}}, "dps", {"costs": {"seconds": 64.0}}),
        two("aps", {"costs": {"seconds": 32.0}}, "dps", {"costs": {"seconds": 64.0}}),
    ),
    "aps-unseen": (
        two("aps", far(0.3), "unconditional", far(1)),
        two("aps", far(0.7), "unconditional", far(1)),
    ),
    "dps-zeta": (zetas(1, 1.1, 1.2), zetas(1, 1.1, 3)),
}


def test_every_claim_that_can_be_tested_has_its_cases():
    assert CASES.keys() == {claim.id for claim in TESTED}


@pytest.mark.parametrize("of", CASES)
def test_a_claim_is_supported_where_it_is_true_and_not_where_it_is_false(of):
    true, false = (entry(of, results) for results in CASES[of])
    assert true.verdict == SUPPORTED, true
    assert false.verdict == NOT_SUPPORTED and false.why.startswith("contradicted"), false
    for actual in (true, false):
        assert actual.low <= actual.effect <= actual.high


@pytest.mark.parametrize("of", CASES)
def test_what_a_suite_lacks_is_said_in_words(of):
    actual = entry(of, two("oracle", far(1), "unconditional", far(2)))
    assert actual.verdict == UNTESTABLE and actual.effect is None
    assert actual.why.startswith("needs ") and len(actual.why.split()) > 4


def test_an_interval_that_holds_the_margin_leaves_a_claim_undecided():
    actual = entry("aps-quality", two("aps", far(1.25), "dps", far(1)))
    assert actual.verdict == NOT_SUPPORTED
    assert actual.why.startswith("undecided: the interval holds 1.25; aps against dps")


def test_ratios_are_paired_by_measurement():
    """Equal factors on measurements that differ a hundredfold leave an interval of no width."""
    hard = np.logspace(0, 2, NUM)
    ratio = {i: np.log([1.5 * hard[i]]) - np.log([hard[i]]) for i in range(NUM)}
    actual = mean_effect({"a": ratio}, "")
    assert [actual.value, actual.low, actual.high] == pytest.approx([1.5] * 3)


def test_the_interval_covers_what_it_should():
    """95 % of 95 % intervals: 200 trials of 12 normal values hold the truth in 180 to 198 but once in 1000 suites."""
    rng = np.random.default_rng(1)
    trials = [
        mean_effect({"a": {i: rng.normal(size=1) for i in range(NUM)}}, "", float)
        for _ in range(200)
    ]
    assert 180 <= sum(x.low <= 0 <= x.high for x in trials) <= 199


def test_a_failed_measurement_counts_as_the_worst_there():
    results = two("aps", far(1.1), "dps", far(1), failed=frozenset({("aps", 3)}))
    values = Evidence(results).values(results.tasks[0], "aps", "sw2-128")
    assert (
        len(values) == NUM
        and values[3] == pytest.approx(1, rel=0.1)
        and entry("aps-quality", results).effect < 1.12
    )


def test_diversity_is_compared_at_comparable_fidelity_and_equal_cost_only():
    worse = two("latent_langevin", spread(1.2, psnr=15), "dps", spread(0.8))
    assert "differs by more" in entry("cps-diversity-equal-nfe", worse).why
    dearer = two("latent_langevin", spread(1.2, nfe=30), "dps", spread(0.8))
    lacks = "needs a dps whose NFE is within 25 % of that of latent_langevin"
    assert entry("cps-diversity-equal-nfe", dearer).why == lacks


def test_hmc_that_spent_far_less_is_not_called_worse():
    poor = entry("ods-equal-cost-1", trained(0.5, 10_000))
    assert poor.verdict == UNTESTABLE and "the dearest spends" in poor.why
    assert entry("ods-equal-cost-1", trained(2, 10_000)).verdict == NOT_SUPPORTED
    dear = entry("ods-equal-cost-1000", trained(0.5, 600))
    # 640 / (0.6 + 64)
    assert dear.verdict == UNTESTABLE and "the cheapest takes 9.91 times as much" in dear.why


def test_training_that_never_pays_has_no_break_even():
    actual = entry("ods-break-even-rows", trained(1, 600, hmc=0.5))
    assert math.isinf(actual.effect) and actual.verdict == NOT_SUPPORTED
    assert "inf [inf, inf]" in [*ledger_table([actual]).iloc[0]]


def test_hmc_in_data_space_is_not_held_against_the_posterior_of_a_distilled_map():
    results = two("hmc-latent", far(0.5), "hmc-data", far(1))
    assert entry("ods-easier-steps", results).verdict == SUPPORTED
    total = suite(
        {
            "reference": {"scores": {"sw2-128_total": 1.0}},
            "hmc-latent": far(0.5),
            "hmc-data": far(1),
        }
    )
    assert entry("ods-easier-steps", total).verdict == UNTESTABLE


def test_step_sizes_outside_the_advice_do_not_count():
    outside = suite({f"dps-{z}": far(1, settings={"zeta": z}) for z in (0.05, 0.3, 1.0)})
    assert entry("dps-zeta", outside).verdict == UNTESTABLE


def test_one_measurement_decides_nothing():
    claim = Claim("a", "dps", "text", "P", "says", test=lambda _: Effect(1.0, None, None, "one"))
    assert assess(claim, None).verdict == UNTESTABLE


def test_each_source_has_a_mark_and_each_gap_a_reason():
    for claim in CLAIMS:
        assert claim.mark in MARKS and claim.source.count("arXiv 2")
        assert (claim.test is None) == bool(claim.lacks)
        assert claim.lacks.startswith("needs ") or claim.test
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_the_stage_writes_a_table_that_can_be_read(tmp_path):
    spec = write_results(tmp_path)
    claims.main(str(spec))
    text, info = read_csv(tmp_path / "tables" / "claims.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert info["suite"] == "synthetic" and [row["id"] for row in rows] == [c.id for c in CLAIMS]
    assert {row["verdict"] for row in rows} == {SUPPORTED, NOT_SUPPORTED, UNTESTABLE}
    assert all(bool(row["effect"]) == (row["verdict"] != UNTESTABLE) and row["why"] for row in rows)
    page = (tmp_path / "tables" / "claims.md").read_text()
    assert (
        page.startswith("# Suite synthetic: claims of the papers")
        and page.count("\n|") == len(rows) + 2
    )
    assert len(ledger(load(spec))) == len(rows)
