"""Whatever a method does to its process empties only its own cells: its run has the reason, and its job ends well."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from helpers.drop_in import drop_in_method  # noqa: F401 (a fixture)
from helpers.in_process import run_job
from helpers.two_tasks import SHAPE, M, S, root_of_two_tasks, run_spec  # noqa: F401 (a fixture)

from bench.core.artefacts import read_header, read_json, read_tensors, write_json
from bench.core.retries import retry_file
from bench.core.specs import Budget
from bench.stages import sample as sample_stage

METHOD = """
import asyncio, faulthandler, os, sys, time
from dataclasses import dataclass
from typing import ClassVar
import torch
from bench.core.types import Cap
__all__ = ["Dropped"]

@dataclass(frozen=True)
class Dropped:
    needs: ClassVar[Cap] = Cap.RESIDUAL
    kind: ClassVar[str] = "guidance"

    def sample(self, prior, problem, y, num_samples, *, rng):
        {code}
        return y[:, None] + 0.1 * rng.per_sample.randn(prior.shape)
"""
# code, reason ("" where the samples are good; {raised}: file and line), whether it is tried again, fields of the spec
RUNS = {
    "killed": ("os.kill(os.getpid(), 9)", "killed by signal 9", True, {}),
    "crash": ("faulthandler.disable(); os.abort()", "killed by signal 6", False, {}),
    "exits": ("os._exit(0)", "ended its process with exit status 0", False, {}),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt: no message{raised}", False, {}),
    "cancelled": ("raise asyncio.CancelledError", "CancelledError: no message{raised}", False, {}),
    "surrogate": (
        "raise ValueError('a\\ud800 $b$')",
        "ValueError: a\\ud800 $b${raised}",
        False,
        {},
    ),
    "memory": ("raise MemoryError", "MemoryError: no message{raised}", True, {}),
    "hangs": ("time.sleep(60)", "exceeded 0.5 s", True, {"limits": {"seconds": 0.5}}),
    "large": (
        "x = torch.ones(2**28); time.sleep(60)",
        "exceeded 0.9 GiB of memory",
        True,
        {"limits": {"memory_gib": 0.9}},
    ),
    "leaves": ("os.chdir('/')", "", False, {}),
    "closes": ("os.closerange(0, 4096)", "", False, {}),
    "closes_stdout": ("sys.stdout.close(); sys.stderr = None", "", False, {}),
    "signals": ("os.kill(os.getppid(), 15)", "", False, {}),
    "kills_parent": (
        "os.kill(os.getppid(), 9); time.sleep(60)",
        "killed by signal 9",
        True,
        {},
    ),
    "too_large_to_store": (
        "return 1e200 + y[:, None].expand(-1, num_samples, *y.shape[1:])",
        "ValueError: no sample is finite",
        False,
        {},
    ),
    "prints": ("os.system('echo loading'); print('x' * 10**5)", "", False, {}),
}


def run(root: Path, name: str, **changes: object) -> Path:
    spec = root / f"specs/runs/{name}.json"
    write_json(spec, run_spec(root, name, **changes))
    assert run_job("sample", str(spec)) == 0
    return root / f"runs/atoms-saturate/{name}/seed0"


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_the_reason_of_its_end(root, drop_in, monkeypatch, name):
    code, reason, is_tried_again, changes = RUNS[name]
    source = METHOD.replace("{code}", code)
    line = source.splitlines().index(f"        {code}") + 1
    reason = reason.replace("{raised}", f" (methods/{name}.py, line {line})")
    drop_in(name, source)
    monkeypatch.chdir(root.parent)
    folder = run(Path(root.name), name, **changes)  # relative, as in a suite
    tensors, header = read_tensors(folder / "samples.safetensors")
    assert (header["status"], header["reason"]) == ("failed" if reason else "ok", reason)
    assert header["kind"] == "guidance" and header["num_measurements"] == M
    assert tensors["x"].shape == (M, 0 if reason else S, *SHAPE)
    assert read_json(folder / "cost.json")["rows"] == M * S
    assert retry_file(folder / "samples.safetensors").exists() == is_tried_again


FULL = "(_ for _ in ()).throw(OSError(28, 'full'))"
LIMITS = "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); resource.setrlimit = lambda *_: None"
# code, words of the reason, whether it is tried again
UNABLE = {
    "limits_files": (f"import resource; {LIMITS}", "cannot be written (file too large)", True),
    "raises": (f"os.replace = lambda *_: {FULL}", "cannot be written (no space left", True),
    "forgets": ("os.replace = lambda *_: None", "cost.json: is missing", False),
    "truncates": (
        "swap = os.replace; os.replace = lambda a, b: (os.truncate(a, 9), swap(a, b))",
        "cost.json: is not valid JSON",
        False,
    ),
}


@pytest.mark.parametrize("name", UNABLE)
def test_a_method_whose_process_cannot_write_loses_its_own_run(root, drop_in, name):
    code, words, is_tried_again = UNABLE[name]
    drop_in(name, METHOD.replace("{code}", code))
    folder = run(root, name)
    header = read_header(folder / "samples.safetensors")
    assert header["status"] == "failed" and words in header["reason"]
    assert retry_file(folder / "samples.safetensors").exists() == is_tried_again
    assert read_json(folder / "cost.json")["rows"] == M * S


def test_files_of_an_earlier_run_do_not_pass_for_those_of_this_one(root, drop_in):
    drop_in("stale", METHOD.replace("{code}", ""))
    folder = run(root, "stale")
    for name in [name for name in sys.modules if name.endswith(".stale")]:
        del sys.modules[name]
    drop_in("stale", METHOD.replace("{code}", "os.replace = lambda *_: None"))
    assert read_header(run(root, "stale") / "samples.safetensors")["reason"].endswith(
        "ended without writing cost.json"
    )
    assert folder.exists()


def test_a_disk_that_is_full_for_all_ends_the_job_in_one_line(root, drop_in, monkeypatch, capfd):
    drop_in("innocent", METHOD.replace("{code}", ""))
    write_json(spec := root / "specs/runs/innocent.json", run_spec(root, "innocent"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", full)
    assert run_job("sample", str(spec)) == 1
    said = capfd.readouterr().err.splitlines()
    assert "cannot be written (no space left on device)" in said[-1] and "Traceback" not in said


def test_a_budget_of_seconds_also_ends_work_without_network_calls():
    words = "needs more than the budget of 3 s"
    assert sample_stage.grace_of(Budget(seconds=3.0), 1) == (16.0, words)
    assert sample_stage.grace_of(Budget(nfe=3.0), 1) == sample_stage.grace_of(None, 1) == (None, "")


def test_a_run_that_succeeds_after_all_is_whole(root, drop_in):
    drop_in("later", METHOD.replace("{code}", "os.kill(os.getpid(), 9)"))
    assert read_header(run(root, "later") / "samples.safetensors")["status"] == "failed"
    sys.modules.pop("methods.later", None)
    drop_in("later", METHOD.replace("{code}", ""))
    for name in [name for name in sys.modules if name.endswith(".later")]:
        del sys.modules[name]
    assert read_header(run(root, "later") / "samples.safetensors")["status"] == "ok"


def test_a_job_whose_spec_was_changed_meanwhile_writes_nothing(root, drop_in, capfd):
    spec = root / "specs/runs/replaced.json"
    code = f"open({str(spec)!r}, 'a').write(' ')"
    drop_in("replaced", METHOD.replace("{code}", code))
    write_json(spec, run_spec(root, "replaced"))
    assert run_job("sample", str(spec)) == 1
    assert not (root / "runs/atoms-saturate/replaced").is_dir() or not any(
        (root / "runs/atoms-saturate/replaced/seed0").iterdir()
    )
    assert "replaced.json has changed meanwhile" in capfd.readouterr().err


TRAINS = METHOD.replace("num_samples, *, rng)", "num_samples, *, rng, state)").replace(
    "{code}", "pass"
)


def test_a_training_that_is_killed_leaves_a_state_with_the_reason(root, drop_in):
    train = "\n    def train(self, prior, problem, *, rng):\n        os.kill(os.getpid(), 9)\n"
    drop_in("pupil", TRAINS + train)
    given = run_spec(root, "pupil", "gmm-denoise")
    spec = {key: given[key] for key in given if key not in ("num_samples", "rows_per_chunk")}
    spec |= {"dataset": "digits", "operator": "denoise", "sigma_y": 0.5}
    write_json(root / "specs/train/pupil.json", spec)
    assert run_job("train", str(root / "specs/train/pupil.json")) == 0
    folder = root / "runs/gmm-denoise/pupil/seed0"
    assert read_header(folder / "state.safetensors")["reason"] == "killed by signal 9"
    write_json(root / "specs/runs/pupil.json", given | {"trains": True})
    assert run_job("sample", str(root / "specs/runs/pupil.json")) == 0
    header = read_header(folder / "samples.safetensors")
    assert (header["status"], header["reason"]) == ("failed", "killed by signal 9")


def test_a_method_that_trains_unseen_by_its_suite_is_not_run_untrained(root, drop_in):
    hidden = "\nsetattr(Dropped, 'tr' + 'ain', lambda self, prior, problem, *, rng: {})\n"
    drop_in("hidden", METHOD.replace("{code}", "") + hidden)
    header = read_header(run(root, "hidden") / "samples.safetensors")
    assert header["status"] == "failed" and "has `train`, which its suite" in header["reason"]
