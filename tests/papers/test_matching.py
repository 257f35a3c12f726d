"""Numbers of the papers are matched with ours if the protocols agree, else with the first aspect that differs."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.published_numbers import NUMBERS
from helpers.repository import REPOSITORY
from helpers.synthetic_results import write_results

from bench.core.artefacts import read_csv, write_tensors
from bench.core.layout import PUBLISHED
from bench.core.results import Summary
from bench.papers.matching import match_numbers, protocol_of_number
from bench.papers.published import PublishedNumber, read_papers
from bench.papers.published_tables import csv_of, published_frame, published_tables
from bench.stages import published
from bench.stats.results import RunRecord, SuiteResults, TaskResults, load
from bench.stats.summary import summarise


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> SuiteResults:
    return load(write_results(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def lines(digits) -> list[Summary]:
    return summarise(digits)


def _number(**changes: str) -> PublishedNumber:
    """One of the paper's, but as if made on the digits by the protocol of a row of the synthetic suite."""
    number = next(
        n
        for n in NUMBERS
        if (n.table, n.method, n.metric, n.operator) == ("Table 6", "DPS", "PSNR", "blur")
    )
    made = {
        "dataset": "digits",
        "side": "8",
        "operator": "inpaint-box",
        "parameters": "box=4",
        "num_images": "16",
    }
    made |= {
        "sigma_stated": "0.05",
        "range_applied": "[0, 1]",
        "sigma_y": "0.10",
        "checkpoint": "gmm of digits",
    }
    made |= {"nfe": "200.0", "spec": "psnr_mean", "spec_reason": ""}
    return replace(number, **{**made, **changes})


def test_a_number_of_the_same_protocol_is_compared_with_ours(digits, lines):
    (match,) = match_numbers([_number()], digits, lines)
    (ours,) = match.ours  # of dps and dps-n1000 the one with 200 calls
    assert match.difference is None and (ours.task, ours.method) == ("gmm-inpaint-box", "dps")
    (pair,) = published_tables(read_papers(REPOSITORY / PUBLISHED), [match]).matched.itertuples(
        index=False, name=None
    )
    assert pair[:3] == ("gmm-inpaint-box", "dps", "psnr_mean") and pair[4:6] == (
        "24.25",
        "DPS, Table 6, DPS [P]",
    )
    assert float(pair[3].split(" [")[0]) == pytest.approx(ours.mean, abs=0.05)
    (row,) = csv.DictReader(io.StringIO(csv_of(published_frame([match]))))
    assert (row["value"], row["our_method"], row["reason"]) == ("24.25", "dps", "")
    assert float(row["mean"]) == pytest.approx(ours.mean, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "ffhq", "side": "256"}, "dataset ffhq 256 x 256 against digits 8 x 8"),
        ({"side": "16"}, "dataset digits 16 x 16 against digits 8 x 8"),
        (
            {"parameters": "box=5"},
            "operator inpaint-box (box 5) against inpaint-box (box 4), phase (oversample 2), ",
        ),
        ({"sigma_y": "0.05"}, "sigma_y 0.05 against 0.1"),
        ({"checkpoint": "ffhq_10m.pt"}, "prior ffhq_10m against gmm of digits"),
        (
            {"checkpoint": "unknown"},
            "prior diffusion model of FFHQ (weights unknown) against gmm of digits",
        ),
        (
            {"module": "", "method": "DDRM"},
            "method DDRM against oracle, unconditional, dps, latent_langevin, 2 more",
        ),
        ({"num_images": "1000"}, "N 1000 against 16"),
        ({"nfe": "unknown"}, "NFE unknown against 200, 1000"),
        ({"spec": "", "spec_reason": "window unknown"}, "metric PSNR (window unknown)"),
        ({"spec": "ssim-g0.5_mean"}, "metric ssim-g0.5_mean is not measured here"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_the_first_aspect_that_differs_is_named(digits, lines, changes, words):
    (match,) = match_numbers([_number(**changes)], digits, lines)
    assert match.ours == () and str(match.difference).startswith(words)


def test_a_failed_row_of_ours_is_listed_with_its_reason(digits, lines):
    changes = {"operator": "phase", "parameters": "oversample=2.00", "nfe": "n/a"}
    lines = [
        replace(x, mean=None) if x.metric == "nfe" and x.method == "dps-n1000" else x for x in lines
    ]
    actual = published_tables(
        read_papers(REPOSITORY / PUBLISHED), match_numbers([_number(**changes)], digits, lines)
    )
    assert actual.matched.iloc[0, 3].startswith("failed (")


def test_the_digits_suite_has_one_line_per_paper(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    published.main(str(digits.root / "specs" / "suite.json"))
    page = (digits.root / "tables" / "published.md").read_text()
    assert "No published number was made by the protocol of a row of this suite." in page
    # below the head
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert [(line[0].lstrip("| ").split(",")[0], line[1]) for line in lines] == [
        ("DPS", "266"),
        ("CPS", "0"),
        ("ODS", "322"),
        ("APS", "0"),
    ]
    assert lines[0][2:] == [
        "Tables 1, 2, 3, 4, 5, 6, 7; Fig. 11b; text",
        "dataset ffhq 256 x 256, imagenet 256 x 256, unknown against digits 8 x 8 |",
    ]
    rows = list(csv.DictReader(io.StringIO(read_csv(digits.root / "tables" / "published.csv")[0])))
    assert len(rows) == len(NUMBERS) and all(row["reason"] for row in rows)


def _large_suite(root: Path) -> tuple[SuiteResults, list[Summary]]:
    """DPS at 256 x 256 with the weights of the paper's prior, as a finished suite would have it."""
    header = {
        "dataset": "ffhq",
        "operator": "blur",
        "parameters": {"kernel_size": 61, "std": 3.0},
        "sigma_y": 0.05,
    }
    header |= {"prior": "ffhq", "family": "edm"}
    x_true = np.zeros((1, 3, 256, 256), np.float32)
    write_tensors(root / "tasks/ffhq-blur/observations.safetensors", {"x_true": x_true}, header)
    write_tensors(
        root / "priors/ffhq/edm.safetensors", {}, {"settings": {"pipeline": "weights/ffhq_10m"}}
    )
    run = RunRecord("dps", 0, {"num_measurements": 1000, "module": "dps"}, {})
    task = TaskResults("ffhq-blur", header, {}, {}, (), {}, (run,))
    values = {"psnr_sample": 24.0, "nfe": 1000.0}
    lines = [
        Summary("ffhq-blur", "dps", metric, value, value, value, 0, "")
        for metric, value in values.items()
    ]
    return SuiteResults(root, "large", ("dps",), (0,), 1000, 4, (task,), ()), lines


def test_a_suite_of_large_images_is_compared_to_the_last_aspect(tmp_path):
    suite, lines = _large_suite(tmp_path)
    matches = match_numbers(NUMBERS, suite, lines)
    last = [v.number for v in matches if v.difference and v.difference.aspect == "metric"]
    assert {(n.paper, n.table, n.method, n.task) for n in last} == {
        ("dps", "Table 1", "DPS", "Gaussian deblurring"),
        ("dps", "Table 6", "DPS", "Gaussian deblurring"),
    }
    assert not any(v.ours for v in matches)  # a metric that agrees is all that is missing
    agreeing = [replace(n, spec="psnr_sample", spec_reason="") for n in last if n.metric == "PSNR"]
    (match,) = match_numbers(agreeing, suite, lines)
    assert [x.mean for x in match.ours] == [24.0]
    reasons = {
        row[3]
        for row in published_tables(
            read_papers(REPOSITORY / PUBLISHED), matches
        ).unmatched.itertuples(index=False)
    }
    assert "N 100 against 1000" in reasons  # of Table 5
    assert len(reasons) <= 12


def test_protocols_are_in_our_words():
    phase = next(n for n in NUMBERS if (n.paper, n.table) == ("dps", "Table 3"))
    assert protocol_of_number(phase) == {
        "dataset": "ffhq 256 x 256",
        "operator": "phase (oversample 2)",
        "sigma_y": "0.05",
        "prior": "ffhq_10m",
        "method": "dps",
        "N": "1000",
        "NFE": "1000",
    }
