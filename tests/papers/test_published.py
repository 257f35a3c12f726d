"""Numbers of the papers: the content of results/published, and the entries that are refused there.

Sums and single values are fixed here as well, so that a number in those files cannot slip without a test that says so.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.metric_values import COLUMNS
from helpers.published_numbers import NUMBERS
from helpers.repository import REPOSITORY

from bench.core.errors import UserError
from bench.core.layout import PUBLISHED
from bench.core.registry import find, plugin_of
from bench.papers.published import MARKS, read_numbers, read_papers

# (paper, table, metric): how many numbers, and their sum
SUMS = {
    ("dps", "Table 1", "FID"): (29, 2852.13),
    ("dps", "Table 1", "LPIPS"): (29, 11.758),
    ("dps", "Table 2", "FID"): (29, 2786.34),
    ("dps", "Table 2", "LPIPS"): (29, 14.016),
    ("dps", "Table 3", "FID"): (4, 503.81),
    ("dps", "Table 3", "LPIPS"): (4, 2.314),
    ("dps", "Table 4", "FID"): (4, 426.14),
    ("dps", "Table 4", "LPIPS"): (4, 2.02),
    ("dps", "Table 5", "LPIPS"): (6, 2.375),
    ("dps", "Table 6", "PSNR"): (29, 544.69),
    ("dps", "Table 6", "SSIM"): (29, 18.527),
    ("dps", "Table 7", "PSNR"): (29, 521.15),
    ("dps", "Table 7", "SSIM"): (29, 16.731),
    ("dps", "Fig. 11b", "seconds per image"): (10, 1213.591),
    ("dps", "text", "seconds per image"): (2, 695),
    ("ods", "Table 3", "E[log p(y|x)]"): (7, -27.59),
    ("ods", "Table 3", "FID"): (7, 425.8),
    ("ods", "Table 4", "log r"): (6, -3.07),
    ("ods", "Table 4", "CLIP diversity"): (6, 1.79),
    ("ods", "Tables 5 and 12", "reward"): (15, 14.5),
    ("ods", "Tables 5 and 12", "CLIP diversity"): (15, 2.6),
    ("ods", "Tables 5 and 12", "ELBO"): (10, 140.7),
    ("ods", "Table 6", "E[log r_div]"): (3, -1.543),
    ("ods", "Table 6", "pairwise TM-score"): (3, 1.3068),
    ("ods", "Table 7", "reward"): (33, -137.587),
    ("ods", "Table 7", "FID"): (33, 2648.697),
    ("ods", "Table 8", "reward"): (44, -166.07),
    ("ods", "Table 8", "FID"): (44, 2037.61),
    ("ods", "Table 9", "log prob"): (6, -21.54),
    ("ods", "Table 9", "FID"): (6, 360.94),
    ("ods", "Table 9", "ELBO"): (4, -209.32),
    ("ods", "Table 10", "reward"): (15, -4.55),
    ("ods", "Table 10", "CLIP diversity"): (15, 4.63),
    ("ods", "Table 11", "reward"): (15, -10.81),
    ("ods", "Table 11", "CLIP diversity"): (15, 4.33),
    ("ods", "Table 13", "reward"): (5, 5.09),
    ("ods", "Table 13", "CLIP diversity"): (5, 0.65),
    ("ods", "Table 14", "FID"): (3, 109.21),
    ("ods", "text", "hours"): (7, 38),
}
# paper, table, method, part of the task or the settings, metric, value
SPOTS = [
    ("dps", "Table 1", "DPS", "SR 4x", "FID", "39.35"),
    ("dps", "Table 1", "MCG", "Motion", "LPIPS", "0.702"),
    ("dps", "Table 1", "ADMM-TV", "Inpainting, random", "FID", "181.5"),
    ("dps", "Table 2", "DDRM", "Inpainting, box", "LPIPS", "0.245"),
    ("dps", "Table 2", "PnP-ADMM", "Gaussian", "FID", "100.6"),
    ("dps", "Table 3", "HIO", "Phase", "FID", "96.40"),
    ("dps", "Table 3", "ER", "Phase", "LPIPS", "0.738"),
    ("dps", "Table 4", "BKS-styleGAN2", "Non-uniform", "LPIPS", "0.407"),
    ("dps", "Table 5", "DPS", "linear decay from 0.3", "LPIPS", "0.251"),
    ("dps", "Table 5", "DPS", "1/sigma^2", "LPIPS", "0.727"),
    ("dps", "Table 6", "DPS", "SR 4x", "PSNR", "25.67"),
    ("dps", "Table 6", "Score-SDE", "Gaussian", "SSIM", "0.109"),
    ("dps", "Table 6", "PnP-ADMM", "Motion", "PSNR", "24.65"),
    ("dps", "Table 7", "DPS", "Motion", "SSIM", "0.634"),
    ("dps", "Table 7", "MCG", "SR 4x", "PSNR", "13.39"),
    ("dps", "Fig. 11b", "BKS-styleGAN2", "unknown", "seconds per image", "891.8"),
    ("ods", "Table 7", "HMC", "ship", "FID", "94.45"),
    ("ods", "Table 7", "ODS", "mean over", "reward", "-3.847"),
    ("ods", "Table 8", "Adjoint Matching", "truck", "FID", "12.34"),
    ("ods", "Table 8", "prior", "frog", "reward", "-6.06"),
    ("ods", "Table 9", "RTB", "mean over", "ELBO", "-147.69"),
    ("ods", "Table 10", "ODS", "A young Asian girl", "CLIP diversity", "0.21"),
    ("ods", "Table 11", "HMC", "An old man", "reward", "-1.24"),
    ("ods", "Tables 5 and 12", "CFG", "horse face", "reward", "1.26"),
    ("ods", "Tables 5 and 12", "ODS", "meteor", "ELBO", "23.20"),
    ("ods", "Table 6", "RW-MCMC", "protein", "pairwise TM-score", "0.4181"),
    ("ods", "Table 13", "DPOK", "unknown", "reward", "1.23"),
    ("ods", "Table 14", "ODS, distilled", "car", "FID", "33.85"),
]


# What is transcribed --------------------------------------------------------------------------------------------------


def test_sums_are_those_of_the_printed_tables():
    groups: dict[tuple, list[float]] = {}
    for n in NUMBERS:
        groups.setdefault((n.paper, n.table, n.metric), []).append(float(n.value))
    assert groups.keys() == SUMS.keys()
    for group, (count, total) in SUMS.items():
        assert (len(groups[group]), sum(groups[group])) == (
            count,
            pytest.approx(total, abs=1e-6),
        ), group


@pytest.mark.parametrize(("paper", "table", "method", "what", "metric", "value"), SPOTS)
def test_spot_checks(paper, table, method, what, metric, value):
    place = (paper, table, method, metric)
    actual = [
        n
        for n in NUMBERS
        if (n.paper, n.table, n.method, n.metric) == place and what in f"{n.task} {n.settings}"
    ]
    assert [n.value for n in actual] == [value]


def test_spreads_are_printed_for_two_tables():
    spreads = {(n.paper, n.table): [] for n in NUMBERS if n.spread}
    for n in NUMBERS:
        if n.spread:
            spreads[n.paper, n.table].append(n.spread)
    assert spreads == {
        ("dps", "Table 5"): ["0.045", "0.038", "0.044", "0.045", "0.108", "0.065"],
        ("ods", "Table 6"): ["0.014", "0.0044", "0.073", "0.0057", "0.225", "0.0706"],
    }


def test_printed_means_are_those_of_their_rows():
    """To the rounding of the printed digits, but for the two methods that papers.csv names."""
    differing = []
    for table in ("Table 7", "Table 8", "Table 10", "Table 11"):
        rows = [n for n in NUMBERS if (n.paper, n.table) == ("ods", table)]
        for printed in (n for n in rows if n.task.startswith("mean over")):
            column = (printed.method, printed.metric, printed.prior)
            values = [
                float(n.value)
                for n in rows
                if (n.method, n.metric, n.prior) == column and n is not printed
            ]
            assert len(values) == (10 if table in ("Table 7", "Table 8") else 4)
            # 0.005 each of the mean and of its rounded terms
            if abs(np.mean(values) - float(printed.value)) > 0.0101:
                differing.append((table, printed.method, printed.metric))
    assert differing == [
        ("Table 7", "HMC", "reward"),
        ("Table 7", "HMC", "FID"),
        ("Table 8", "Adjoint Matching", "reward"),
        ("Table 8", "Adjoint Matching", "FID"),
    ]


def test_only_marks_that_may_be_published():
    assert {n.mark for n in NUMBERS} <= {"P", "C", "R"} == set(MARKS)
    for file in (REPOSITORY / PUBLISHED).glob("*.csv"):
        assert not re.search(r"(?m),[SUB],", file.read_text()), file


def test_papers_without_a_number_have_a_reason():
    counts = Counter(n.paper for n in NUMBERS)
    assert [paper.paper for paper in read_papers(REPOSITORY / PUBLISHED)] == [
        "dps",
        "cps",
        "ods",
        "aps",
    ]
    for paper in read_papers(REPOSITORY / PUBLISHED):
        assert counts[paper.paper] or paper.remark.startswith("No number qualifies")


def test_modules_and_metric_ids_exist():
    assert {n.spec for n in NUMBERS if n.spec} <= {metric.id for metric in COLUMNS}
    for module in {n.module for n in NUMBERS if n.module}:
        assert find("method", plugin_of("method", module))


def test_noise_of_dps_is_in_data_units():
    """0.05 where images are in [-1, 1]: the released code adds it there, whatever range the text speaks of."""
    noise = {
        (n.sigma_stated, n.range_stated, n.range_applied, n.sigma_y)
        for n in NUMBERS
        if n.paper == "dps"
    }
    assert noise == {("0.05", "[0, 1]", "[-1, 1]", "0.05"), ("unknown",) * 4}


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(REPOSITORY / PUBLISHED, tmp_path / "published")


def _edit(folder: Path, row: int, **changes: str) -> None:
    rows = list(csv.DictReader(io.StringIO((folder / "dps.csv").read_text())))
    rows[row] |= changes
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (folder / "dps.csv").write_text(out.getvalue())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mark": "S"}, "mark is S; expected one of P, C, R"),
        ({"mark": ""}, "mark is empty"),
        ({"value": "39,35"}, "value is 39,35; expected a finite number"),
        ({"value": "nan"}, "value is nan"),
        (
            {"num_images": "1000.5"},
            "num_images is 1000.5; expected a positive number, unknown or n/a",
        ),
        ({"nfe": "-1"}, "nfe is -1"),
        ({"checkpoint": ""}, "checkpoint is empty; expected a value, unknown or n/a"),
        ({"spread": "0.1"}, "spread is '0.1' of ''"),
        (
            {"spec": "psnr_sample"},
            "expected either spec, our id of this metric, or in spec_reason why there is none",
        ),
        ({"spec_reason": ""}, "expected either spec"),
        ({"parameters": "4"}, "parameters is 4; expected name=value"),
        ({"source": "arXiv:1"}, "expected dps, arXiv:2209.14687"),
        (
            {"range_applied": "[0, 1]"},
            r"sigma_y is 0.05; expected 0.1, which is 0.05 on \[0, 1\] in data units",
        ),
        ({"range_applied": "[0, 2]"}, r"range_applied is \[0, 2\]; expected one of"),
        ({"sigma_stated": "unknown"}, "sigma_stated is unknown, but sigma_y is 0.05"),
        ({"sigma_y": "unknown"}, "sigma_y is unknown, but a sigma or a range is given"),
        ({"task": "SR 4x "}, "expected no space at its ends"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_a_faulty_row_is_refused_by_line_and_field(copied, changes, words):
    _edit(copied, 3, **changes)
    with pytest.raises(UserError, match=rf"dps.csv, line 5: .*{words}"):
        read_numbers(copied)


def test_files_that_are_not_what_they_should_be(copied):
    lines = (copied / "dps.csv").read_text().splitlines(keepends=True)
    (copied / "dps.csv").write_text("".join([*lines, lines[2]]))
    with pytest.raises(UserError, match=f"line {len(lines) + 1}: is the same number as line 3"):
        read_numbers(copied)
    (copied / "dps.csv").write_text(
        "".join([*lines[:4], lines[4].replace("39.35", "39,35").rstrip("\n") + ",\n"])
    )
    with pytest.raises(UserError, match="line 5: expected 28 fields"):
        read_numbers(copied)
    (copied / "dps.csv").write_text(lines[0].replace("mark", "trust"))
    with pytest.raises(UserError, match="line 1: expected the columns paper,source,table"):
        read_numbers(copied)
    (copied / "dps.csv").write_text(lines[0])
    (copied / "mcg.csv").write_text("".join(lines))
    with pytest.raises(UserError, match="mcg.csv: no such paper in .*papers.csv"):
        read_numbers(copied)
    (copied / "papers.csv").unlink()
    with pytest.raises(UserError, match="papers.csv: is missing; it is committed"):
        read_numbers(copied)


def test_the_installed_numbers_are_read_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_papers() == read_papers(REPOSITORY / PUBLISHED)
    (tmp_path / PUBLISHED).mkdir(parents=True)
    with pytest.raises(UserError, match="papers.csv: is missing"):
        read_papers()
