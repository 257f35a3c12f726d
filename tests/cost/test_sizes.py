"""The estimates of `bench.cost sizes` follow from its measurements."""

from __future__ import annotations

import pytest

from bench.core.registry import names
from bench.cost import sizes
from bench.cost.sizes_table import table
from bench.runtime.run_method import load_method


def cells_of(load: sizes.Load, more: int) -> dict[str, sizes.Cell]:
    """Cells of a machine on which everything is linear."""

    def cell(draws: int, batch: int, pairs: int, others: int) -> sizes.Cell:
        seconds = 1 + 0.5 * draws + 0.1 * batch + 0.25 * batch * pairs + 2.0 * batch * others
        return sizes.Cell(seconds, 100 + 7 * draws + 3 * batch + 11 * batch * bool(others))

    return {
        "first": cell(load.draws, load.batch, 1, 0),
        "draws": cell(3 * load.draws, load.batch, 1, 0),
        "batch": cell(load.draws, 2 * load.batch, 1, 0),
        "pairs": cell(load.draws, load.batch, 1 + more, 0),
        "others": cell(load.draws, load.batch, 0, 1),
    }


def test_a_whole_training_is_reckoned_from_short_ones():
    load, whole = sizes.Load(8, 4, 1, 0), sizes.Load(512, 32, 100, 10)
    cells = cells_of(load, 3)
    expected = 1 + 0.5 * 512 + 0.1 * 32 + 0.25 * 3200 + 2.0 * 320
    assert sizes.reckoned_seconds(whole, load, 3, cells) == pytest.approx(expected)
    expected = 100 + 7 * 24 + 3 * 32 + 28 * 10 * (512 - 8) + 11 * 32
    assert sizes.reckoned_peak(whole, load, 10, cells) == pytest.approx(expected)


def test_growth_is_compared_with_the_larger_of_pixels_and_network():
    network = {32: sizes.Cell(1.0, 0), 64: sizes.Cell(5.0, 0)}
    words = sizes.format_growth("aps", "train_seconds", {32: 2.0, 64: 12.0}, network)
    assert "32 to 64 pixels: train_seconds x 6.0, pixels x 4, network x 5.0: 1.20" in words
    assert "(at most 1.25: met)" in words


def test_the_whole_load_is_a_possible_setting():
    for module, one in sizes.TRAINED.items():
        method = load_method(module, one.settings(one.whole))
        assert method.num_iterations == one.whole.pairs + one.whole.others
    ods = load_method("ods", sizes.ods_settings(sizes.Load(8, 6, 3, 1)))
    assert ods.batch == 6 and ods.warm_start == 0.75
    rtb = load_method("rtb", sizes.TRAINED["rtb"].settings(sizes.TRAINED["rtb"].whole))
    assert rtb.num_groups * rtb.group_size == rtb.num_pairs == 48 and rtb.warm_start == 0.85


def test_every_method_has_a_row():
    assert {row.split("-")[0] for row, _ in sizes.rows()} == set(names("method"))


@pytest.mark.parametrize(("module", "steps", "own"), [("daps", 20, 200), ("mpgd", 25, 100)])
def test_seconds_are_scaled_from_the_run_that_was_measured(monkeypatch, module, steps, own):
    def measured(task: sizes.Task) -> sizes.Cell:
        assert sum(load_method(module, task.settings).nfe(None, 4)) == steps
        return sizes.Cell(8.0, 5)

    monkeypatch.setattr(sizes, "in_new_process", measured)
    found = sizes.measure_sampling(module, 32, {})
    assert found["rows_per_sample"] == own
    assert found["seconds_per_sample"] == pytest.approx(8.0 / 4 * own / steps)


def test_the_table_has_seconds_memory_and_growth_of_every_row():
    content = {
        "settings": {},
        "network": {"32": {"seconds": 1.0, "peak": 2**20}, "64": {"seconds": 3.0, "peak": 2**21}},
        "dps": {
            "32": {"seconds_per_sample": 2.0, "sample_peak": 0, "rows_per_sample": 20},
            "64": {"seconds_per_sample": 8.0, "sample_peak": 0, "rows_per_sample": 20},
        },
        "aps": {"32": {"seconds_per_sample": 2.0, "sample_peak": 0, "train_seconds": 5.0, "train_peak": 0}},
        "oracle": {"reason": "needs EXACT"},
    }  # fmt: skip
    assert list(table(content))[2:] == [
        "| the network, forward and backward | 1 | 1 s, 1 MB | 3 s, 2 MB | 3.0 (0.75) |",
        "| `dps`, a sample | 20 | 2 s, 0 MB | 8 s, 0 MB | 4.0 (1.00) |",
        "| `aps`, whole training |  | 5 s, 0 MB |  |  |",
        "| `aps`, a sample |  | 2 s, 0 MB |  |  |",
        "| `oracle` | |  |  | n/a (needs EXACT) |",
    ]


def test_a_training_and_a_sample_are_measured():
    settings = sizes.aps_settings(sizes.Load(8, 2, 1, 0))
    assert "scales.0.filters" in sizes.work_of(sizes.Task("aps", 16, "train", settings))()
    x = sizes.work_of(sizes.Task("dps", 16, "sample", sizes.short_settings("dps", {})))()
    assert x.shape == (1, 4, 3, 16, 16)
