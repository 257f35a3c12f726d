"""A metric that raises an error empties its own columns, for the samples at which it raises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.tiny_task import evaluated, write_task

from bench.core.artefacts import read_json, write_json
from bench.core.errors import UserError

METRIC = '''
from dataclasses import dataclass
from bench.core.metric import Column, Metric
__all__ = ["Raises"]

@dataclass(frozen=True)
class Raises(Metric):
    """Raises an error for some samples."""
    above: float = 0.0  # of a mean

    def columns(self, context):
        return Column("raises", "it", None), Column("raises_all", "all", None, extent="task")

    def compute(self, samples, truth):
        if samples.shape[1] == 8:
            return {"raises": samples.flatten(1).mean(1)}
        raise KeyError("no $such$ key\\nin two lines")

    def summarise(self, x, values, context):
        return {"raises_all": 1.0}
'''


def rows_of(tmp_path: Path, monkeypatch, source: str) -> dict[tuple[str, str, str], dict[str, str]]:
    monkeypatch.setenv("POSTERIOR_BENCH_PLUGINS", str(tmp_path))
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/raises.py").write_text(source)
    path = write_task(tmp_path / "suite")
    write_json(path, read_json(path) | {"metrics": {"raises": {}}})
    return {(row["method"], row["observation"], row["metric"]): row for row in evaluated(path)}


def test_its_columns_have_the_error_and_all_others_have_numbers(tmp_path, monkeypatch):
    rows = rows_of(tmp_path, monkeypatch, METRIC.replace("samples.shape[1] == 8", "False"))
    for method in ("reference", "oracle"):
        assert rows[method, "0", "energy"]["value"]
        assert (
            rows[method, "0", "raises"]["reason"]
            == "failed (Raises: KeyError: 'no $such$ key\\nin two lines')"
        )
    assert rows["oracle", "all", "raises_all"]["value"] == "1"


PLAIN = METRIC.replace("samples.shape[1] == 8", "True")
VALUES, NUMBERS = '{"raises": samples.flatten(1).mean(1)}', '{"raises_all": 1.0}'
OF_MINE = ("raises", "raises_all")
MALFORMED = {
    '{"raises": samples.mean()}': "compute() returned () for 'raises', expected a tensor (3,)",
    '{"raises": samples.flatten(2).mean(2)}': "compute() returned (3, 8) for 'raises'",
    '{"raises": "good"}': "compute() returned str for 'raises'",
    '{"raises": samples.flatten(1).mean(1) + 1j}': "compute() returned torch.complex128",
    '{"energy": samples.flatten(1).mean(1)}': "compute() returned 'energy', which is none of its",
    "None": "compute() returned NoneType, expected a dict by column",
    "{}": "failed (its metric returns no value for this column)",
}


def others(rows: dict) -> dict:
    """Return the lines of all columns but the metric's own, without the time of their making."""
    return {key: row for key, row in rows.items() if key[2] not in OF_MINE}


@pytest.fixture(name="without", scope="module")
def lines_without_the_metric(tmp_path_factory) -> dict:
    path = write_task(tmp_path_factory.mktemp("without"))
    return {(row["method"], row["observation"], row["metric"]): row for row in evaluated(path)}


@pytest.mark.parametrize(("returned", "reason"), MALFORMED.items())
def test_what_is_no_value_for_each_measurement_is_the_reason_in_its_cells(
    returned, reason, tmp_path, monkeypatch, without
):
    rows = rows_of(tmp_path, monkeypatch, PLAIN.replace(VALUES, returned))
    assert reason in rows["oracle", "0", "raises"]["reason"]
    assert rows["oracle", "all", "raises_all"]["value"] == "1"
    assert others(rows) == without


@pytest.mark.parametrize(
    ("number", "reason"),
    [("nan", "n/a (the metric gave NaN)"), ("inf", "n/a (value overflows)")],
)
def test_a_value_that_is_no_number_says_which(number, reason, tmp_path, monkeypatch):
    returned = VALUES.replace("}", f".abs() * float('{number}')" + "}")
    assert returned != VALUES
    rows = rows_of(tmp_path, monkeypatch, PLAIN.replace(VALUES, returned))
    assert rows["oracle", "0", "raises"]["reason"] == reason


@pytest.mark.parametrize("returned", ["None", "{}", '{"raises_all": "x"}', '{"raises_all": x}'])
def test_what_is_no_number_for_the_task_is_the_reason_in_its_cell(
    returned, tmp_path, monkeypatch, without
):
    rows = rows_of(tmp_path, monkeypatch, PLAIN.replace(NUMBERS, returned))
    assert rows["oracle", "all", "raises_all"]["reason"].startswith("failed (")
    assert rows["oracle", "0", "raises"]["value"]
    assert others(rows) == without


@pytest.mark.parametrize(
    "deed",
    [
        "samples.zero_(); truth.x_true.zero_(); truth.reference.zero_()",
        "import torch; torch.set_default_dtype(torch.float16); torch.set_grad_enabled(False)",
        "import os; os.chdir('/')",
    ],
)
def test_other_metrics_do_not_see_what_it_does(deed, tmp_path, monkeypatch, without):
    source = PLAIN.replace(f"return {VALUES}", f"{deed}; return {VALUES}")
    assert others(rows_of(tmp_path, monkeypatch, source)) == without
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("function", "columns"),
    [("why_empty(self, truth)", OF_MINE), ("real_images(self, context)", ("raises_real",))],
)
def test_its_other_functions_are_guarded_too(function, columns, tmp_path, monkeypatch, without):
    source = PLAIN + f"\n    def {function}:\n        raise KeyError('why')\n"
    real = 'Column("raises_real", "real", None, extent="real images"), Column("raises", '
    rows = rows_of(tmp_path, monkeypatch, source.replace('Column("raises", ', real))
    reasons = {
        row["reason"]
        for key, row in rows.items()
        if key[0] in ("oracle", "reference") and key[2] in columns
    }
    reasons = {why for why in reasons if not why.startswith("n/a (reference not admitted")}
    assert reasons == {"failed (Raises: KeyError: 'why')"}


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (('"raises"', '"energy"'), "its column energy is one of the metric energy_distance, too"),
        (('"it", None', '"it", "bigger"'), "column raises: better is 'bigger'"),
        (('Column("raises"', 'Column("a,b\\n"'), "a column is named 'a,b\\n'"),
        (("return Column", "raise KeyError(1); return Column"), "columns() fails: KeyError: 1"),
        (("return Column(", "return None; ("), "columns() returned NoneType"),
    ],
)
def test_columns_that_cannot_be_are_refused_in_one_line(wrong, line, tmp_path, monkeypatch):
    with pytest.raises(UserError) as refused:
        rows_of(tmp_path, monkeypatch, PLAIN.replace(*wrong))
    assert f"metric raises: {line}" in str(refused.value)
