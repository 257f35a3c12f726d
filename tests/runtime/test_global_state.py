"""Changes that a plug-in makes to its process are undone and named."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys

import numpy as np
import pytest
import torch

from bench.runtime.global_state import GLOBAL_STATE, SETTINGS, kept_state
from bench.runtime.run_method import attempt


def meddle() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True)
    os.environ["MEDDLED"] = "1"
    os.umask(0o777)
    torch.set_float32_matmul_precision("medium")
    torch.autograd.set_detect_anomaly(True)
    torch.backends.cudnn.benchmark = True
    torch.set_flush_denormal(True)
    np.seterr(over="raise")
    gc.disable()
    sys.setrecursionlimit(sys.getrecursionlimit() + 1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 60)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def test_settings_are_as_before_and_all_that_had_changed_is_named():
    generator = torch.get_rng_state()
    gc.enable()  # a test before this one may have left it off
    with pytest.raises(KeyboardInterrupt), kept_state() as changed:
        meddle()
        torch.manual_seed(0)
        np.random.seed(0)
        raise KeyboardInterrupt
    others = {"Python's global random generator", "the priority of the process"}
    assert set(changed) == set(GLOBAL_STATE) - others
    assert torch.equal(torch.get_rng_state(), generator) and "MEDDLED" not in os.environ
    assert torch.ones(1).dtype == torch.float32 and torch.ones(1).device.type == "cpu"


def test_settings_that_a_run_changes_are_restored_for_the_next():
    before = {name: GLOBAL_STATE[name][0]() for name in SETTINGS}
    assert attempt(meddle).status == "ok"
    assert {name: GLOBAL_STATE[name][0]() for name in SETTINGS} == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_choice_of_algorithms_that_only_warns_is_a_change():
    with kept_state() as changed:
        torch.use_deterministic_algorithms(True, warn_only=True)
    assert changed == ["torch's choice of algorithms"]
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
