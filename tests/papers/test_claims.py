"""The ledger of claims: each one on results where it is true, false or absent, with the same verdict in all places."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.claimed import NUM, Row, suite, with_effect
from helpers.repository import REPOSITORY
from helpers.synthetic_results import edit_spec, write_results

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
from bench.papers.claims.effects import Effect, Farther, Growth, WorthPerRow
from bench.papers.claims.evidence import Evidence
from bench.papers.claims.intervals import Interval
from bench.papers.claims.ledger import (
    CLAIMS,
    PUBLISHED,
    format_effect,
    ledger,
    ledger_frame,
    read_ledger,
    verdicts_of,
)
from bench.stages import claims
from bench.stats.results import SuiteResults

TESTED = {claim.id: claim for claim in CLAIMS if claim.test}
VERDICTS = (SUPPORTED, NOT_SUPPORTED, UNTESTABLE)


def entry(id: str, results: SuiteResults) -> Entry:
    return assess(TESTED[id], Evidence(results))


def beside_margin(claim: Claim, is_true: bool) -> float:
    """A value on the claim's side of its margin, or on the other."""
    is_higher = (claim.side == "above") == is_true
    return (
        claim.margin * (1.3 if is_higher else 0.7)
        if claim.margin
        else 0.3 * (1 if is_higher else -1)
    )


@pytest.mark.parametrize("id", TESTED)
def test_a_claim_is_supported_where_it_is_true_and_not_where_it_is_false(id):
    claim = TESTED[id]
    true, false = (entry(id, with_effect(claim, beside_margin(claim, x))) for x in (True, False))
    assert true.verdict == SUPPORTED, true
    assert false.verdict == NOT_SUPPORTED and false.why.startswith("contradicted"), false
    for actual, expected in ((true, True), (false, False)):
        assert actual.low < actual.effect < actual.high
        assert actual.effect == pytest.approx(beside_margin(claim, expected), rel=0.08)


@pytest.mark.parametrize("id", TESTED)
def test_a_claim_with_a_missing_row_or_task_names_it(id):
    claim = TESTED[id]
    results = with_effect(claim, beside_margin(claim, True))
    for name in claim.rows:
        others = {row: Row({"energy": 1.0}) for row in results.methods if row != name}
        actual = entry(id, suite(others | {f"{name}-other": Row({"energy": 1.0})}, claim.tasks))
        assert actual.verdict == UNTESTABLE and actual.effect is None
        assert re.match(
            rf"needs {re.escape(claim.rows[0])}|needs {re.escape(name)} on ", actual.why
        )
    elsewhere = suite({name: Row({"energy": 1.0}) for name in claim.rows}, ("gmm-other",))
    assert entry(id, elsewhere).why == (
        f"needs {claim.rows[0]} on {claim.tasks[0]}, a task that the suite made does not have"
    )


@pytest.mark.parametrize("id", TESTED)
def test_a_row_that_cannot_run_leaves_a_claim_untested(id):
    rows = {name: Row(status="n/a") for name in TESTED[id].rows}
    actual = entry(id, suite(rows, TESTED[id].tasks))
    assert actual.verdict == UNTESTABLE and "n/a (needs it)" in actual.why


def test_a_trained_row_with_one_seed_has_no_verdict():
    rows = {"aps-paper": Row({"energy": 0.1}, {"train_seconds": 9.0}), "dps": Row({"energy": 1.0})}
    tasks = TESTED["aps-quality"].tasks
    assert entry("aps-quality", suite(rows, tasks)).verdict == SUPPORTED
    actual = entry("aps-quality", suite(rows, tasks, seeds=(0,)))
    assert actual.verdict == UNTESTABLE and "two training seeds or more of aps-paper" in actual.why


@pytest.mark.parametrize("ends", [(1.0, 1.0), (math.nan, math.nan)])
def test_an_effect_without_an_interval_gets_no_verdict(ends):
    class Counted:
        rows, statistic = ("dps",), "counted"

        def measure(self, evidence, tasks):
            return Effect(Interval(1.0, *ends), "one task")

    claim = Claim(
        "a", "dps", "text", "P", "says", "holds", Counted(), ("gmm-denoise",), 2.0, "below"
    )
    actual = assess(claim, Evidence(suite({"dps": Row()}, ("gmm-denoise",))))
    assert (actual.verdict, actual.effect) == (UNTESTABLE, None) and "no interval" in actual.why


def test_one_measurement_or_one_visit_decides_nothing():
    one = {name: Row({"energy": 1.0}, num=1) for name in ("hmc-latent", "hmc-data")}
    actual = entry("ods-easier-steps", suite(one, TESTED["ods-easier-steps"].tasks))
    assert actual.verdict == UNTESTABLE and "one measurement" in actual.why
    rows = {
        "aps": Row(seconds={64: 1.0}, visits=(1.0,)),
        "dps": Row(seconds={64: 99.0}, visits=(1.0,)),
    }
    actual = entry("aps-speed", suite(rows, TESTED["aps-speed"].tasks))
    assert actual.verdict == UNTESTABLE and "one visit" in actual.why


def test_an_interval_that_contains_the_margin_leaves_a_claim_undecided():
    actual = entry("aps-quality", with_effect(TESTED["aps-quality"], 1.25))
    assert actual.verdict == NOT_SUPPORTED
    assert actual.why.startswith("undecided: the interval holds 1.25; ")


@pytest.mark.parametrize("id", ["cps-effective", "cps-effective-ours", "cps-effective-ode"])
def test_frozen_chains_and_biased_samples_are_worth_little(id):
    """A chain that stays at its start is worth a draw at most, at the cost of 400 rows a sample against 60."""
    claim = TESTED[id]
    frozen = Row({claim.test.column: 0.9}, {"nfe": 30.5, "nfe_vjp": 29.5})
    dps = Row({claim.test.column: 10.0}, {"nfe": 200.0, "nfe_vjp": 200.0})
    actual = entry(id, suite(dict(zip(claim.rows, (frozen, dps), strict=True)), claim.tasks))
    assert actual.verdict == NOT_SUPPORTED and actual.why.startswith("contradicted")
    assert actual.effect == pytest.approx(0.09 * 400 / 60, rel=0.05)
    biased = Row({claim.test.column: 0.5}, {"nfe": 200.0, "nfe_vjp": 200.0})
    actual = entry(id, suite(dict(zip(claim.rows, (frozen, biased), strict=True)), claim.tasks))
    assert actual.verdict == SUPPORTED  # a biased sample of DPS is not one effective sample either


def test_worth_that_stays_as_it_is_does_not_grow():
    (claim,) = (c for c in CLAIMS if c.id == "cps-growth-rows")
    worth = dict.fromkeys(("worth_energy@8", "worth_energy@64"), 0.9)
    frozen = Row(worth, seconds={8: 1.0, 64: 1.1})
    actual = entry("cps-growth-rows", suite({claim.rows[0]: frozen}, claim.tasks))
    assert actual.effect == pytest.approx(0, abs=0.02) and actual.why.startswith("contradicted")


def test_seconds_that_may_not_have_grown_leave_the_power_of_growth_open():
    claim = TESTED["cps-growth-seconds"]
    worth = {"worth_energy@8": 0.9, "worth_energy@64": 2.7}
    noisy = Row(worth, seconds={8: 1.0, 64: 1.1}, later=(1, 2, 0.5, 1))
    actual = entry(claim.id, suite({claim.rows[0]: noisy}, claim.tasks))
    assert actual.low <= actual.effect <= actual.high == math.inf
    assert actual.why.startswith("undecided")


def test_times_that_scatter_over_visits_widen_an_interval():
    claim = TESTED["aps-speed"]
    steady = {"aps": Row(seconds={64: 1.0}), "dps": Row(seconds={64: 30.0}, visits=(1, 1, 1, 1))}
    unsteady = {
        "aps": Row(seconds={64: 1.0}),
        "dps": Row(seconds={64: 30.0}, visits=(1, 3, 0.3, 1)),
    }
    verdicts = [entry("aps-speed", suite(rows, claim.tasks)).verdict for rows in (steady, unsteady)]
    assert verdicts == [SUPPORTED, NOT_SUPPORTED]


def test_rows_that_do_not_cost_the_same_are_not_compared_at_equal_cost():
    rows = {"ods": Row({"energy": 0.1}), "hmc-latent-n1": Row({"energy": 1.0}, {"nfe": 90.0})}
    actual = entry("ods-equal-cost-1", suite(rows, TESTED["ods-equal-cost-1"].tasks))
    assert actual.verdict == UNTESTABLE and "they take 0.2 to 1" in actual.why


def test_diversity_is_compared_at_comparable_fidelity_only():
    rows = {"cps-released": Row({"diversity_ratio": 1.2, "psnr_mean": 15.0})}
    rows["dps"] = Row({"diversity_ratio": 0.8, "psnr_mean": 20.0})
    actual = entry("cps-diversity", suite(rows, TESTED["cps-diversity"].tasks))
    assert actual.verdict == UNTESTABLE and "differs by -5" in actual.why


def test_a_failed_measurement_counts_as_the_worst_there():
    rows = {
        "hmc-latent": Row({"energy": 0.1}, failed=frozenset({3})),
        "hmc-data": Row({"energy": 1.0}),
    }
    evidence = Evidence(suite(rows, ("gmm-denoise",)))
    values = evidence.values(("gmm-denoise",), tuple(rows), "energy")
    assert values.shape == (1, 2, NUM, 2)
    assert values[0, 0, 3] == pytest.approx(1, rel=0.1) and values[0, 0].max(1).argmax() == 3


def test_a_row_of_one_seed_is_compared_with_each_seed_of_another():
    results = suite({"aps": Row({"energy": 0.5}), "dps": Row({"energy": 1.0})}, ("gmm-denoise",))
    (task,) = results.tasks
    kept = tuple(s for s in task.scores if (s.method, s.seed) != ("dps", 1))
    evidence = Evidence(results)
    one = dict(evidence.columns["gmm-denoise"])
    cell = one["dps", "energy"]
    one["dps", "energy"] = type(cell)(
        "dps", "energy", {i: values[:1] for i, values in cell.values.items()}, {}, {}
    )
    evidence.columns["gmm-denoise"] = one
    values = evidence.values(("gmm-denoise",), ("aps", "dps"), "energy")
    assert len(kept) == 36 and (values[0, 1, :, 0] == values[0, 1, :, 1]).all()


def test_each_source_has_a_mark_and_each_gap_a_reason():
    for claim in CLAIMS:
        assert claim.mark in MARKS and claim.source.count("arXiv 2")
        assert (claim.test is None) == bool(claim.lacks)
        assert claim.lacks.startswith("needs ") if claim.lacks else claim.rows and claim.tasks
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_the_suite_has_the_rows_and_tasks_that_claims_name():
    content = yaml.safe_load((REPOSITORY / "config/claims.yaml").read_text())
    for claim in TESTED.values():
        assert set(claim.tasks) <= content["tasks"].keys(), claim.id
        assert set(claim.rows) <= content["methods"].keys(), claim.id
        for row in claim.rows:
            where = content["restrict"].get(row, {}).get("tasks", content["tasks"])
            assert set(claim.tasks) <= set(where), (claim.id, row)
            if isinstance(claim.test, Growth) or getattr(claim.test, "cost", "rows") == "seconds":
                assert row in content["clock"]["methods"] and set(claim.tasks) <= set(
                    content["clock"]["tasks"]
                )
    assert content["claims"] is True


def ledger_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(read_csv(folder / "claims.csv")[0])))


def test_the_stage_writes_a_table_that_can_be_read(tmp_path):
    spec = write_results(tmp_path)
    claims.main(str(spec))
    rows = ledger_of(tmp_path / "tables")
    assert [row["id"] for row in rows] == [c.id for c in CLAIMS]
    assert {row["verdict"] for row in rows} <= {*VERDICTS}
    assert all(bool(row["effect"]) == (row["verdict"] != UNTESTABLE) and row["why"] for row in rows)
    page = (tmp_path / "tables" / "claims.md").read_text()
    assert page.startswith("# Suite synthetic: claims of the papers")
    assert page.count("\n|") == len(rows) + 2


CLAIM_ROWS = {claim.id: claim.rows for claim in CLAIMS}


@pytest.fixture
def published(tmp_path) -> Path:
    """A ledger with one supported claim, one contradicted and one undecided, as the stage would publish it."""
    spec = write_results(tmp_path / "claims")
    claims.main(str(spec))
    return tmp_path / "claims" / "tables"


def test_a_verdict_is_the_same_in_the_ledger_its_page_and_the_page_of_another_suite(
    published, tmp_path
):
    by_id = {row["id"]: row["verdict"] for row in ledger_of(published)}
    markdown = (published / "claims.md").read_text()
    for id, verdict in by_id.items():
        (line,) = (line for line in markdown.splitlines() if line.startswith(f"| {id} |"))
        assert [x for x in VERDICTS if f"| {x} |" in line] == [verdict]
    own = published.parent
    other = tmp_path / "other"
    edit_spec(write_results(other), claims=False)
    for verdicts in (verdicts_of(own), verdicts_of(other, published)):
        shown = dict(zip(verdicts.table["id"], verdicts.table["verdict"], strict=True))
        assert shown.items() <= by_id.items() and verdicts.suite == "synthetic"
        named = dict(zip(verdicts.table["id"], verdicts.table["rows"], strict=True))
        for id in shown:
            line = next(x for x in markdown.splitlines() if x.startswith(f"| {id} |"))
            rows = CLAIM_ROWS[id]
            assert bool(rows) == (id in TESTED), id
            assert named[id] == ", ".join(rows) and all(row in line for row in rows), id
    assert verdicts_of(own).are_own and not verdicts_of(other, published).are_own
    assert not verdicts_of(other, tmp_path / "nowhere").commit


def test_documents_print_the_verdicts_of_the_published_ledger():
    """Wherever a page names a claim and a verdict in one line, the verdict is that of the ledger; none without one."""
    by_id: dict[str, str] = dict.fromkeys(TESTED, "")
    if (path := REPOSITORY / PUBLISHED / "claims.csv").exists():
        frame, _ = read_ledger(path)
        by_id = dict(zip(frame["id"], frame["verdict"], strict=True))
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    for line in (line for page in pages for line in page.read_text().splitlines()):
        named = [id for id in re.findall(r"`([a-z]+-[a-z0-9-]+)`", line) if id in by_id]
        said = [x for x in (NOT_SUPPORTED, UNTESTABLE, SUPPORTED) if f"**{x}**" in line]
        assert not (named and said) or [by_id[id] for id in named] == said, line


def test_published_pages_print_rows_effects_and_verdicts_of_the_published_ledger():
    frame, _ = read_ledger(REPOSITORY / PUBLISHED / "claims.csv")
    lines = {row.id: row for row in frame.itertuples()}
    of_claim = r'<th scope="row">([a-z0-9-]+)</th>((?:<td class="words">[^<]*</td>){5})</tr>'
    for page in (REPOSITORY / "results/reference").glob("*/report.html"):
        printed = dict(re.findall(of_claim, page.read_text()))
        assert {id for id, line in lines.items() if line.verdict != UNTESTABLE} == set(printed)
        for id, cells in printed.items():
            line = lines[id]
            expected = [line.rows, line.tasks, format_effect(line), line.verdict]
            assert re.findall(">([^<]+)</td>", cells)[1:] == expected, (page, id)


def test_effects_in_the_document_are_those_of_the_published_ledger():
    frame, _ = read_ledger(REPOSITORY / PUBLISHED / "claims.csv")
    effects = dict(zip(frame["id"], frame["effect"], strict=True))
    text = (REPOSITORY / "docs/claims.md").read_text()
    quoted = re.findall(r"`([a-z]+-[a-z0-9-]+)`,\s+(\d+\.\d+)", text)
    assert len(quoted) > 10
    for id, number in quoted:
        assert f"{effects[id]:.{len(number.split('.')[1])}f}" == number, id
    counts = frame["verdict"].value_counts()
    said = f"Of its {len(frame)} claims {counts[SUPPORTED]} are supported, {counts[NOT_SUPPORTED]} are not"
    assert said in text and f"{counts[UNTESTABLE]} are not testable" in text


def test_only_the_suite_of_claims_publishes_a_ledger():
    folder = REPOSITORY / "results" / "reference"
    ledgers = {path.parent.name for path in folder.glob("*/claims.csv")}
    assert ledgers - {"costs"} <= {"claims"}  # in `costs`: what the jobs of that suite took


def test_an_effect_is_printed_with_its_interval():
    frame = ledger_frame(ledger(with_effect(TESTED["aps-quality"], 1.1)))
    (row,) = (row for row in frame.itertuples() if row.id == "aps-quality")
    assert re.fullmatch(r"1\.\d+ \[1\.0\d+, 1\.1\d+\]", format_effect(row))
    assert {type(test) for test in (Farther("a", "b"), WorthPerRow("a", "b"))} <= {
        type(claim.test) for claim in TESTED.values()
    }


def test_values_are_paired_by_measurement():
    """Equal factors on measurements that differ a hundredfold leave a narrow interval."""
    from bench.papers.claims.intervals import ratio_of_means

    hard = np.logspace(0, 2, NUM)[:, None]
    noise = 1 + 1e-3 * np.random.default_rng(0).normal(size=(NUM, 1))
    ratio = ratio_of_means(1.5 * hard * noise, hard)
    assert 1.49 < ratio.low < 1.5 < ratio.high < 1.51
