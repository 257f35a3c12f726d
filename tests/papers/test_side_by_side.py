"""A paper's numbers and ours, row by row: which are compared, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.published_numbers import NUMBERS

from bench.core.papers import REHEARSAL_NOTE, PaperSpec, PlannedRow
from bench.core.results import Summary
from bench.papers.side_by_side import side_by_side, side_by_side_markdown

PROTOCOL = {
    "dataset": "ffhq 256 x 256",
    "operator": "blur (kernel_size 61, std 3)",
    "sigma_y": "0.05",
    "prior": "ffhq_10m",
    "method": "dps",
    "N": "1000",
}


def spec(*methods: str, rehearsal_of: str = "", **changes: str) -> PaperSpec:
    rows = tuple(PlannedRow("blur", method, PROTOCOL | changes) for method in methods)
    unknown = {"tasks.blur.std": "said nowhere"}
    return PaperSpec(root="r", paper="dps", rows=rows, unknown=unknown, rehearsal_of=rehearsal_of)


def line(method: str, metric: str, mean: float) -> Summary:
    return Summary("blur", method, metric, mean, mean - 1, mean + 1, 0, "")


def test_numbers_are_compared_with_the_row_with_the_papers_settings():
    lines = [line("dps-paper", "psnr@stretched_sample", 24.0), line("dps-paper", "nfe", 1000)]
    frame = side_by_side(NUMBERS, spec("dps", "dps-paper"), lines)
    assert set(frame["row"]) == {"dps-paper"} and {"Table 1", "Table 6"} <= {
        where.split(",")[0] for where in frame["where"]
    }
    (psnr,) = frame[frame["metric"] == "PSNR"].to_dict("records")
    assert psnr["published"] == "24.25" and psnr["ours"].startswith("24.0 [23")
    assert psnr["what differs"] == "nothing known"  # the metric of the released script
    fid = frame[frame["metric"] == "FID"].iloc[0]
    assert fid["ours"] == "not measured here" and "Inception" in fid["what differs"]


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "ffhq 64 x 64"},
        {"operator": "blur (kernel_size 9, std 3)"},
        {"sigma_y": "0.1"},
        {"prior": "imagenet256"},
        {"method": "ddrm"},
    ],
    ids=str,
)
def test_another_protocol_is_not_compared(changes):
    assert side_by_side(NUMBERS, spec("one", **changes), []).empty


def test_differences_are_named():
    lines = [line("dps-paper", "psnr_sample", 24.0), line("dps-paper", "nfe", 100)]
    frame = side_by_side(NUMBERS, spec("dps-paper", N="100"), lines)
    told = frame[frame["metric"] == "PSNR"]["what differs"].iloc[0]
    assert told.startswith("N 1000 against 100; NFE 1000 against 100; metric: psnr_sample, but")


def test_a_number_with_a_step_size_that_changes_says_so():
    frame = side_by_side(NUMBERS, spec("dps-paper"), [])
    of_table = frame[frame["where"].str.startswith("Table 5")]
    told = of_table.set_index("settings of the paper")["what differs"]
    (same,) = [what for settings, what in told.items() if "step size constant" in str(settings)]
    assert "step size" not in same.removesuffix("ablation of the step size")
    decays = told[told.index.str.contains("linear decay from 0.3")]
    assert decays.str.contains("step size linear decay from 0.3 against a constant one").all()
    assert len(of_table) > len(decays) == 1


def test_a_rehearsal_says_so_in_every_row_and_above():
    rehearsed = spec("dps-paper", rehearsal_of="papers/dps_ffhq256")
    frame = side_by_side(NUMBERS, rehearsed, [line("dps-paper", "psnr_sample", 3.0)])
    assert frame["what differs"].str.startswith("rehearsal: our number means nothing").all()
    text = side_by_side_markdown(frame, rehearsed)
    assert REHEARSAL_NOTE in text and "- `tasks.blur.std`: said nowhere" in text


def test_a_paper_without_numbers_says_so():
    empty = side_by_side(NUMBERS, replace(spec("dps-paper"), paper="cps"), [])
    assert "No printed number of the paper" in side_by_side_markdown(empty, spec("dps-paper"))


def test_every_sampler_of_the_papers_table_of_classes_that_has_a_row_here_is_beside_it():
    shared = {
        "dataset": "cifar10 32 x 32",
        "operator": "class (beta 4, classifier cifar10-vgg13_bn)",
        "sigma_y": "n/a",
        "prior": "icfm_cifar10",
        "N": "1000",
    }
    rows = tuple(
        PlannedRow("classes", name, shared | {"method": name.partition("-")[0]})
        for name in ("ods-paper", "rtb")
    )
    of_ods = PaperSpec(root="r", paper="ods", rows=rows, unknown={}, rehearsal_of="")
    frame = side_by_side(NUMBERS, of_ods, [])
    found = frame[frame["where"].str.startswith("Table 9,") & (frame["row"] == "rtb")]
    assert list(found["published"]) == ["-4.20", "90.77", "-147.69"]
    assert "how it was estimated is not said" in found["what differs"].iloc[2]
