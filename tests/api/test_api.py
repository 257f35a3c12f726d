"""The public API: tasks are opened or made, samples are drawn, evaluated and compared with published rows."""

from __future__ import annotations

import inspect
import os
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import bench
from bench.api.tasks import cache_folder
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.types import Cap
from bench.stages import sample as sample_stage

SUITE = """
name: small
seeds: [0]
num_measurements: 3
num_samples: 4
num_reference: 16
rows_per_chunk: 5
datasets: {digits: {}}
priors: {gmm: {family: gmm, dataset: digits, num_components: 2, shrinkage: 30, floor: 0.05}}
tasks: {gmm-denoise-prior: {operator: denoise, sigma_y: 0.5}}
methods: {dps: {num_steps: 21}, unconditional: {}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder outside of the checkout, with a suite of its own and a cache of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "small.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSTERIOR_BENCH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def task(folder):
    return bench.load_task("gmm-denoise-prior", suite="small.yaml")


def test_a_task_is_made_once_in_any_folder(task, folder):
    assert task.y.shape == task.x_true.shape == (3, 1, 8, 8) and task.reference.x_a.shape == (
        3,
        16,
        1,
        8,
        8,
    )
    assert cache_folder() == folder / "cache" and "gmm-denoise-prior" in str(task)
    path = Layout(folder / "cache/small").task("gmm-denoise-prior").measurements
    before = path.stat().st_mtime_ns
    again = bench.load_task("gmm-denoise-prior", suite="small.yaml")
    assert path.stat().st_mtime_ns == before and torch.equal(again.y, task.y)
    assert bench.load_prior("gmm", suite="small.yaml").shape == (1, 8, 8)


def test_samples_are_those_of_the_workflow(task, folder):
    from bench.api.tasks import load_suite, run_stage
    from bench.core.artefacts import read_tensors

    x, cost = bench.sample("dps", task, 4, settings={"num_steps": 21}, with_cost=True)
    assert (
        x.shape == (3, 4, 1, 8, 8) and (cost.nfe, cost.nfe_vjp) == (21, 21) and cost.train_nfe == 0
    )
    plan, root = load_suite("small.yaml"), Path("cache/small")
    files = Layout(root).run("gmm-denoise-prior", "dps", 0)
    spec = plan.layout.spec("runs", "gmm-denoise-prior", "dps", "seed0")
    run_stage(sample_stage.main, plan, spec, root, files.samples)
    assert torch.allclose(read_tensors(files.samples)[0]["x"], x, atol=1e-6)


def test_an_evaluation_has_a_value_or_a_reason_in_each_line(task):
    x = bench.sample("unconditional", task, 4)
    frame = bench.evaluate(task, x)
    assert list(frame.columns) == ["metric", "measurement", "value", "reason"]
    assert ((frame["reason"] == "") == frame["value"].notna()).all()
    x[1, 0] = torch.nan
    of_broken = bench.evaluate(task, x).set_index(["metric", "measurement"])
    assert "failed (1 of 4 samples" in of_broken.loc[("psnr_mean", "1"), "reason"]
    with pytest.raises(UserError, match="samples of gmm-denoise-prior: got shape"):
        bench.evaluate(task, x[:, :, :, :4])


@pytest.mark.parametrize("num_samples", [1, 2])
def test_columns_that_need_more_samples_than_there_are_say_so(task, num_samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = bench.evaluate(task, task.reference.x_a[:, :num_samples])
    reasons = frame[frame["value"].isna()].groupby("metric")["reason"].agg(set)
    assert not [
        reason for of_metric in reasons for reason in of_metric if "nearly one image" in reason
    ]
    few = {f"n/a (needs more samples of each measurement than {num_samples})"}
    need_two = {"energy", "diversity_ratio", "std_ratio", "stein_ratio"}
    assert {metric for metric in need_two if reasons.get(metric) == few} == (
        need_two if num_samples == 1 else set()
    )
    assert reasons["c2st-energy"] == few
    assert {"worth_energy", "mean_error", "psnr_mean"}.isdisjoint(reasons.index)


@pytest.mark.parametrize(
    ("least", "most", "mend"), [(0, 1, "2 * x - 1"), (0, 255, "x / 127.5 - 1")]
)
def test_images_on_another_scale_are_noticed(task, least, most, mend):
    x = task.reference.x_a[:, :2].clamp(-1, 1)
    with pytest.warns(UserWarning, match=re.escape(f"should it be {mend}?")):
        bench.evaluate(task, least + (most - least) * (x + 1) / 2)


def test_published_rows_are_listed_with_mine(task):
    published = bench.leaderboard("default")
    assert {"gmm-inpaint-box", "gmm-phase"} <= set(published["task"])
    x = bench.sample("unconditional", task, 4)
    board = bench.leaderboard("default", mine={"mine": x}, task=task)
    rows = board[board["metric"] == "sw2-128"].set_index("method")
    assert {"mine", "reference", "dps"} <= set(rows.index)
    assert rows.loc["mine", "low"] <= rows.loc["mine", "mean"] <= rows.loc["mine", "high"]


def test_a_task_that_the_suite_lacks_is_one_line(folder):
    with pytest.raises(
        UserError, match="no task gmm-denoise-prio; expected one of gmm-denoise-prior"
    ):
        bench.load_task("gmm-denoise-prio", suite="small.yaml")


def test_wrong_names_and_arguments_are_one_line(task, folder):
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "two.py").write_text('__all__ = ["A", "B"]\nA = B = int\n')
    shape = r"got shape \(3, 1, 8, 8\), expected a tensor or an array \(m, num_samples, 1, 8, 8\)"
    misspelt = {"settings": {"num_step": 3}}
    without = replace(task, problem=replace(task.problem, posterior=None))
    for words, call in {
        "config/nothing.yaml: is neither .*; .* one of .*default": lambda: bench.load_task(
            "x", "nothing"
        ),
        "no prior gm; expected one of gmm": lambda: bench.load_prior("gm", suite="small.yaml"),
        "no method dsp in .*; expected one of .*dps": lambda: bench.sample("dsp", task, 4),
        "parameters of method dps: .*'num_step'; it has .*num_steps": lambda: bench.sample(
            "dps", task, 4, **misspelt
        ),
        "settings of dps, {'num_steps': 'many'}: ": lambda: bench.sample(
            "dps", task, 4, settings={"num_steps": "many"}
        ),
        "nowhere.py: no such file": lambda: bench.sample("nowhere.py", task, 4),
        r"__all__ is \['A', 'B'\] in .*/two.py": lambda: bench.sample(folder / "two.py", task, 4),
        r"is not valid Python: .*broken.py, line 1": lambda: bench.sample(
            folder / "broken.py", task, 4
        ),
        "method is the class Mine; expected an object: Mine": lambda: bench.sample(Mine, task, 4),
        "method is a int; expected an object": lambda: bench.sample(3, task, 4),
        "settings are for a method's name": lambda: bench.sample(
            Mine(), task, 4, settings={"shift": 1}
        ),
        "num_samples is 0; expected a whole number": lambda: bench.sample("dps", task, 0),
        "task is a str; expected a Task": lambda: bench.sample("dps", "gmm-denoise-prior", 4),
        "Oracle needs EXACT, which gmm-denoise-prior does not have": lambda: bench.sample(
            "oracle", without, 4
        ),
        "samples of gmm-denoise-prior: got str": lambda: bench.evaluate(task, "x"),
        r"got torch.uint8, .* images in \[-1, 1\]; .* x / 127.5 - 1": lambda: bench.evaluate(
            task, task.reference.x_a[:, :4].byte()
        ),
        shape: lambda: bench.evaluate(task, task.x_true),
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Mine:
    """A method as a notebook defines one."""

    needs: ClassVar[Cap] = Cap.NONE
    shift: float = 0.5

    def sample(self, prior, problem, y, num_samples, *, rng):
        return rng.per_sample.randn(prior.shape) + self.shift


def test_a_method_is_an_object_a_name_or_a_file(task, folder):
    source = "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom bench.core.types import Cap\n"
    (folder / "in_file.py").write_text(f'{source}__all__ = ["Mine"]\n{inspect.getsource(Mine)}')
    x = bench.sample(Mine(0.25), task, 4)
    assert torch.equal(bench.sample(folder / "in_file.py", task, 4, settings={"shift": 0.25}), x)
    assert x.dtype == torch.float32 and bench.sample("unconditional", task, 4).shape == x.shape


@dataclass(frozen=True)
class Meddling(Mine):
    """Leaves other settings of torch, and another environment, than it found."""

    def sample(self, prior, problem, y, num_samples, *, rng):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(0)
        os.environ["MEDDLED"] = "1"
        return super().sample(prior, problem, y, num_samples, rng=rng)


def test_a_method_leaves_no_trace_in_the_process_that_calls_it(task):
    generator = torch.get_rng_state()
    x = bench.sample(Meddling(), task, 2)
    assert torch.equal(x, bench.sample(Mine(), task, 2))
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled() and "MEDDLED" not in os.environ
    assert torch.equal(torch.get_rng_state(), generator)


def test_a_chain_of_as_many_states_as_samples_is_drawn(task):
    x = bench.sample("latent_langevin", task, 4, settings={"num_chains": 4})
    assert x.shape == (3, 4, 1, 8, 8) and x.isfinite().all()


def test_arrays_are_samples_too(task):
    x = bench.sample("unconditional", task, 4)
    of_array = bench.evaluate(task, x.double().numpy())
    assert of_array["value"].equals(bench.evaluate(task, x)["value"])
