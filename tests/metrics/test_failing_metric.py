"""A metric that raises an error empties its own columns, for the samples at which it raises."""

from __future__ import annotations

from pathlib import Path

from helpers.tiny_task import evaluated, write_task

from bench.core.artefacts import read_json, write_json

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
