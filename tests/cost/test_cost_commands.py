"""The output of `python -m bench.cost` follows from its measurements; no test depends on the machine's speed."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time

import pytest
import torch

from bench.core.artefacts import check, read_json
from bench.core.job_costs import WORK_LOG, JobCost, read_log
from bench.cost import batching, growth, orchestration, overhead, peers, repeatability
from bench.cost.__main__ import wanted
from bench.cost.common import Options, at_least, at_most, format_range
from bench.cost.comparisons import Batching, Overhead
from bench.cost.record import record
from bench.cost.subjects import DIGITS, new_unet, untrained
from bench.priors._gmm_fit import fit_gmm
from bench.runtime import job as cli

ORPHAN = """
import os, time
if os.fork() == 0:
    while time.process_time() < 0.2:
        pass
"""


@pytest.fixture(scope="module")
def prior():
    return untrained(new_unet(**DIGITS))


def test_a_limit_is_met_up_to_its_value():
    assert (
        at_most(1.05, 1.05) == "at most 1.05: met"
        and at_most(1.06, 1.05) == "at most 1.05: NOT met"
    )
    assert at_least(10.0, 10) == "at least 10: met" and at_least(9.9, 10) == "at least 10: NOT met"
    assert format_range([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"


def test_unknown_question_in_one_line():
    assert wanted(["peers"]) == ["peers"] and wanted([])[0] == "overhead"
    with pytest.raises(
        cli.UserError, match="bench.cost weight: expected one of overhead, batching"
    ):
        wanted(["weight"])


def test_the_record_has_the_numbers_and_the_printed_lines(tmp_path):
    record(tmp_path, "overhead", {"ratio": 1.5}, ["Overhead 1.50."])
    check(tmp_path / "overhead.json")
    actual = read_json(tmp_path / "overhead.json")
    assert actual["ratio"] == 1.5 and actual["provenance"]["threads"] == 1
    assert "```\nOverhead 1.50.\n```\n" in (tmp_path / "overhead.md").read_text()


def test_overhead_names_its_limit():
    result = Overhead([1.0, 3.0, 1.2], [1.0, 2.0, 1.0], 5, 4)
    words = overhead.format_overhead("dps", "digits, 4 rows", result, 1.15)
    assert (
        "5 forward and 4 backward calls bare 1.00 (1.00 to 2.00); overhead 1.20 (at most 1.15: NOT met)"
        in words
    )
    assert "in 3 repeats 1.00 to 1.50" in words


def test_overhead_with_own_networks_is_over_all_calls():
    result = Overhead([1.2], [1.0], 5, 0, [0.1], 4)
    words = overhead.format_overhead("rtb", "digits, 4 rows", result, 1.15)
    assert (
        "overhead 1.20, with the 4 calls of its own networks, bare 0.10 (0.10 to 0.10): 1.09"
        in words
    )
    assert "1.09 (at most 1.15: met), in 1 repeats" in words


def test_a_method_without_network_calls_is_na(prior):
    said, on = [], overhead.Setup("digits", prior, 1, 2, 1)
    for module, reason in (("unconditional", "makes no network call"), ("oracle", "needs EXACT")):
        assert reason in overhead.measure_method(module, on, said.append)["reason"]
    assert said[0].startswith("unconditional    digits: n/a (makes no network call")


def test_hmc_is_measured_in_both_spaces(prior):
    said, rows = [], dict(overhead.rows_of_methods())
    mixture = fit_gmm(torch.rand(40, 1, 4, 4).double(), num_components=2, shrinkage=1.0, floor=0.1)
    for row, on in (("hmc-latent", prior), ("hmc-data", mixture)):
        setup = overhead.Setup("here", on, 1, 1, 1)
        assert overhead.measure_method(row, setup, said.append, settings=rows[row])["num_calls"] > 0
    assert (
        "hmc" not in rows
        and "needs DENSITY"
        in overhead.measure_method(
            "hmc-data",
            overhead.Setup("digits", prior, 1, 1, 1),
            said.append,
            settings=rows["hmc-data"],
        )["reason"]
    )


def test_the_calls_of_a_method_are_all_there(prior):
    said = []
    on = overhead.Setup("digits", prior, 1, 1, 1)
    result = overhead.measure_method("dps", on, said.append, 1.15, {"num_steps": 21})
    assert (result["num_calls"], result["num_backward"], len(result["method"])) == (21, 21, 1)
    assert said[0].startswith("dps              digits, 1 rows:")


def test_a_trained_method_is_measured_without_its_training(prior):
    method = overhead.ready("aps", prior, overhead.inpainting(prior.shape), {"num_iterations": 2})
    assert method.state and method.sample.__self__ is method


def test_every_short_setting_is_one_of_its_method():
    for module in overhead.names("method"):
        tiny = getattr(overhead.load_method(module, {}), "tiny", {})
        assert overhead.load_method(module, overhead.SHORT.get(module, tiny))


def test_batching_names_its_limits():
    words = batching.format_batching("digits", Batching(2e-5, 1.0, 21.0, 256))
    assert "Batching is 21.0 x faster (at least 10: met)" in words
    assert "differ by at most 2.0e-05 (at most 1e-05: NOT met)" in words


def timing(*seconds: tuple[float, float, float]) -> dict:
    cells = [
        {"m": 1, "s": s, "low": x[0], "median": x[1], "high": x[2]}
        for s, x in enumerate(seconds, start=1)
    ]
    return {"task": "gmm-denoise", "method": "dps", "curve": cells, "throughput": cells[-1]}


def test_times_agree_where_their_spreads_meet():
    first, second = (
        timing((1.0, 1.1, 1.2), (2.0, 2.1, 2.2)),
        timing((1.2, 1.3, 1.4), (2.3, 2.4, 2.5)),
    )
    cells = repeatability.cells_of(first, second)
    assert [cell.agrees for cell in cells] == [True, False]
    words = repeatability.format_cells(cells)
    assert words[-1] == "1 of 2 cells agree within their spread: 0.50 (at least 0.9: NOT met)."
    assert words[0].startswith("gmm-denoise dps, m = 1, s = 1") and words[1].endswith("DIFFER")


def test_a_suite_without_a_clock_is_one_line():
    with pytest.raises(cli.UserError, match="--suite nothing: no results/nothing/specs/clock"):
        repeatability.measure(Options(suite="nothing"), print)


def test_peers_are_compared_with_the_bare_passes():
    seconds = {"bare": [1.0, 2.0, 3.0], "ours": [2.2, 2.0, 9.0]}
    costs = peers.costs_of(seconds, {"bare": 21, "ours": 42})
    assert costs["bare"].ratio == 1 and costs["ours"].ratio == pytest.approx(1.1)
    assert costs["ours"].calls_per_step == 2


@pytest.fixture(scope="module")
def case(prior):
    return peers.Case(
        prior.map.pipeline.unet, prior, torch.zeros(2, *prior.shape), torch.ones(1, *prior.shape)
    )


@pytest.mark.parametrize("name", ["bare", "ours", "azula", "deepinv"])
def test_contenders_make_as_many_network_passes(case, name):
    if name in peers.PEERS:
        pytest.importorskip(name)
    work = peers.CONTENDERS[name](case, peers.Size(DIGITS, 1, 2, 1.05))
    assert peers.counted(work, case.unet) == peers.STEPS


def test_a_peer_that_is_not_installed_is_na(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    monkeypatch.setattr(
        peers,
        "in_turns",
        lambda size, names, repeats: dict.fromkeys(names, peers.Cost([1.0], 1.0, 2)),
    )
    said = []
    actual = peers.compare(peers.SIZES[1], 1, said.append)
    assert actual["azula"] == 'package azula is not installed: pip install "posterior-bench[peers]"'
    assert (
        said[0].startswith("32 x 32 x 3, 16 rows, 21 steps")
        and "n/a (package deepinv is not" in said[-1]
    )
    assert (
        "  ours                          1.00 (1.00 to 1.00)  1.00 (at most 0.9: NOT met), 2.00 passes a step"
        in said
    )


def test_growth_is_stated_relative_to_1x():
    cells = [
        growth.Cell(2.0, 2**21),
        growth.Cell(3.0, 2**21),
        growth.Cell(8.0, 2**23),
        growth.Cell(16.0, 2**24),
    ]
    assert growth.format_cells(cells)[0] == "1x: 2.00 CPU-s, 2 MB"
    assert growth.format_cells(cells)[2] == "4x: seconds x 4.00, memory x 4.00"


@pytest.mark.parametrize("module", sorted(growth.METHODS))
def test_growth_runs_its_methods(module):
    assert growth.draw(module, growth.Size(1, 1, 8)) >= 0


def test_share_of_orchestration():
    log = {"sample a": 50.5, "evaluate b": 20.0, "sample c": 9.5, "draw d": 5}
    costs = [JobCost(job, 2 * cpu, 100.0, cpu) for job, cpu in log.items()]
    result = orchestration.result_of(100.0, costs)
    assert (
        result.commands == {"sample": 60.0, "evaluate": 20.0, "draw": 5.0}
        and result.num_commands == 4
    )
    assert result.share == pytest.approx(0.2)
    *lines, last = orchestration.format_orchestration("smoke", 2, result)
    assert "others         15.0 CPU-s  *" in lines[-1]
    assert (
        "training and metrics (*): 20.0 % (at most 20: met); without data, tables and figures: 15.0 %."
        in last
    )


def test_a_suite_gets_a_folder_of_its_own():
    assert "\nname: cost-smoke\n" in orchestration.renamed("smoke", "cost-smoke")
    with pytest.raises(cli.UserError, match="--suite smole: config/smole.yaml does not exist"):
        orchestration.renamed("smole", "x")


def orphan_counted() -> float:
    return orchestration.cpu_seconds_of(
        lambda: subprocess.run([sys.executable, "-S", "-c", ORPHAN])
    )


@pytest.mark.skipif(sys.platform != "linux", reason="on Linux only")
def test_a_process_that_outlives_its_parent_is_counted():
    with multiprocessing.get_context("fork").Pool(1) as pool:  # a process without other children
        assert pool.apply(orphan_counted) >= 0.2


def test_a_command_writes_down_its_work(tmp_path, monkeypatch):
    log = tmp_path / "work"
    monkeypatch.setenv(WORK_LOG, str(log))
    monkeypatch.setattr(
        sys, "argv", ["bench/stages/sample.py", "results/x/specs/runs/a/b/seed0.json"]
    )
    cli.run(lambda spec: time.process_time(), leased=False)
    (cost,) = read_log(log).values()
    assert (cost.job, cost.stage, cost.method) == ("sample runs/a/b/seed0", "sample", "b")
    assert cost.cpu_seconds >= 0 and cost.seconds >= 0 and cost.mib > 1 and cost.error == ""


def test_a_command_that_fails_writes_down_why(tmp_path, monkeypatch):
    log = tmp_path / "work"
    monkeypatch.setenv(WORK_LOG, str(log))
    monkeypatch.setattr(sys, "argv", ["bench/stages/evaluate.py", "x/specs/evaluate/box.json"])
    for fault, ends in ((cli.UserError("mend it"), SystemExit), (ValueError("a\nb"), ValueError)):
        with pytest.raises(ends):
            cli.run(lambda spec, fault=fault: raise_it(fault), leased=False)
        (cost,) = read_log(log).values()
        assert cost.error in ("mend it", "ValueError: a b") and cost.job == "evaluate evaluate/box"


def raise_it(fault: Exception) -> None:
    raise fault
