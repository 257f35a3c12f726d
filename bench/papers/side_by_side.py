"""The table of a paper's numbers and ours, row by row, for a suite that follows the paper, with what still differs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bench.core.papers import REHEARSAL_NOTE, PaperSpec, PlannedRow
from bench.core.results import Summary
from bench.papers.protocols import format_number, protocol_of_number
from bench.papers.published import UNKNOWN, PublishedNumber
from bench.papers.published_tables import format_interval, format_printed, markdown_of

ALIKE = ("dataset", "operator", "sigma_y", "prior")  # aspects that have to be the same
PAPERS_ROW = "-paper"  # the ending of rows with the settings of their paper
COLUMNS = ("task", "row", "metric", "ours", "published", "where", "settings of the paper")
COLUMNS += ("what differs",)
RULE = (
    "The table has the numbers of the paper whose dataset and size of the images, operator and its parameters, sigma_y "
    "and weights of the prior are those of a task here, and whose method has a row here. The last column says what "
    "differs nevertheless; our metric is the one that the suite measures and that is nearest to the paper's"
)
NONE_ALIKE = "No printed number of the paper has the protocol of a task here"
# the paper's name of a metric -> prefixes of the nearest metrics here; the first that is measured is shown
NEAREST = {
    "PSNR": ("psnr@stretched_sample", "psnr_sample"),
    "SSIM": ("ssim-g1.5_sample",),
    "LPIPS": ("lpips-vgg-v0.1@stretched_sample", "lpips-vgg-v0.1@[-1,1]_sample", "lpips-vgg"),
    "FID": ("fid-inception", "kid-inception"),
    "E[log p(y|x)]": ("log_reward",),
    "log prob": ("log_reward",),
    "reward": ("log_reward",),
    "ELBO": ("elbo",),
    "seconds": ("seconds_per_sample",),
}
# replaces FID where a measurement is a class
OF_CLASSES = ("class_frechet",)
# in the settings of a paper: a step size that changes along the chain, as in no row here
SCHEDULE = re.compile(r"step size (?!constant)([^,]+)")
# a difference of metrics that does not apply to those of bench/metrics/stretched.py
STRETCHED = "min-max normalised"


def side_by_side(
    numbers: Sequence[PublishedNumber], spec: PaperSpec, lines: Sequence[Summary]
) -> pd.DataFrame:
    """Return the table of a suite that follows a paper, in the order of its tasks and rows."""
    by_row: dict[tuple[str, str], dict[str, Summary]] = {}
    for line in lines:
        by_row.setdefault((line.task, line.method), {})[line.metric] = line
    of_paper = [number for number in numbers if number.paper == spec.paper]
    rows = [
        _cells(number, row, by_row.get((row.task, row.method), {}), bool(spec.rehearsal_of))
        for row in spec.rows
        for number in of_paper
        if _is_alike(number, row, spec.rows)
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS])


def side_by_side_markdown(frame: pd.DataFrame, spec: PaperSpec) -> str:
    """Return the section of published.md: the table, and what the paper does not say."""
    parts = [f"## {spec.paper}, row by row"]
    parts += [f"**{REHEARSAL_NOTE}.**"] if spec.rehearsal_of else []
    parts += [f"{RULE}.", f"{NONE_ALIKE}." if frame.empty else markdown_of(frame)]
    if spec.unknown:
        listed = "\n".join(f"- `{place}`: {text}" for place, text in spec.unknown.items())
        parts.append(f"What the paper does not say, and what this suite uses:\n\n{listed}")
    return "\n\n".join(parts) + "\n"


def _is_alike(number: PublishedNumber, row: PlannedRow, rows: Sequence[PlannedRow]) -> bool:
    """Return whether a number has the protocol of a row; of several such rows, only that with the paper's settings."""
    theirs = protocol_of_number(number)
    if any(theirs[aspect] != row.protocol[aspect] for aspect in ALIKE):
        return False
    same = [x.method for x in rows if x.task == row.task and _is_method(theirs["method"], x)]
    named = [method for method in same if method.endswith(PAPERS_ROW)]
    return row.method in (named or same)


def _is_method(theirs: str, row: PlannedRow) -> bool:
    """Return whether a row is of their method, the name of a plug-in or the beginning of the row's name."""
    return theirs == row.protocol["method"] or f"{row.method}-".startswith(f"{theirs}-")


def _cells(
    number: PublishedNumber, row: PlannedRow, measured: Mapping[str, Summary], is_rehearsal: bool
) -> tuple[str, ...]:
    ours = next((measured[id] for id in _ids(number, measured)), None)
    value = f"{format_interval(ours)} ({ours.metric})" if ours else "not measured here"
    where = f"{number.table}, {number.method} [{number.mark}]"
    told = "; ".join(_differences(number, row, measured, ours, is_rehearsal))
    cells = (format_printed(number), where, number.settings, told or "nothing known")
    return row.task, row.method, number.metric, value, *cells


def _ids(number: PublishedNumber, measured: Mapping[str, Summary]) -> Iterator[str]:
    """Yield our metrics for a number, nearest first: that of the same definition, or those of the same name."""
    nearest = OF_CLASSES if number.operator == "class" and number.metric == "FID" else ()
    wanted = [number.spec] if number.spec else [*(nearest or NEAREST.get(number.metric, ()))]
    for start in wanted:
        yield from (metric for metric in measured if metric.startswith(start))


def _differences(
    number: PublishedNumber,
    row: PlannedRow,
    measured: Mapping[str, Summary],
    ours: Summary | None,
    is_rehearsal: bool,
) -> Iterator[str]:
    if is_rehearsal:
        yield "rehearsal: our number means nothing"
    theirs = protocol_of_number(number)
    if theirs["N"] != row.protocol["N"]:
        yield f"N {theirs['N']} against {row.protocol['N']}"
    if schedule := SCHEDULE.search(number.settings):
        yield f"step size {schedule[1]} against a constant one"
    nfe = measured.get("nfe")
    if nfe and nfe.mean is not None and not is_rehearsal:
        spent = format_number(nfe.mean)
        if theirs["NFE"] not in (spent, UNKNOWN):
            yield f"NFE {theirs['NFE']} against {spent}"
    is_stretched = ours is not None and "@stretched" in ours.metric
    if number.spec_reason and not (is_stretched and STRETCHED in number.spec_reason):
        yield f"metric: {number.spec_reason}"
    if number.remark:
        yield number.remark
