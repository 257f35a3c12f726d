"""Conformance reports a method that kills, ends or blocks its process, and names that no suite can use."""

from __future__ import annotations

import sys

import pytest
from helpers.conforming_method import FIRST, GOOD, TRAIN, TRAINABLE, refusals_of, written

from bench.conformance import check
from bench.conformance.__main__ import main
from bench.conformance.contained import check_contained

DRAWS = "it draws samples"
ENDS = {  # the first line of `sample`, the check that fails, its words
    "killed": ("__import__('os').kill(__import__('os').getpid(), 9)", "killed by signal 9"),
    "exits": ("__import__('os')._exit(0)", "ended its process with exit status 0"),
    "endless": ("exec('while True: pass')", "exceeded 2 s"),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_check_that_ends_the_process_has_failed(tmp_path, capfd, name):
    code, words = ENDS[name]
    path = written(tmp_path, name, GOOD.replace(FIRST, f"{FIRST}; {code}"))
    results = check_contained(path, seconds=2.0)
    said = capfd.readouterr().out.splitlines()
    assert results[0].status == "ok" and f"  {results[0]}" == said[0]
    assert results[-1].status == "FAIL" and results[-1].words.startswith(words)
    assert len(said) == len(results)


def test_a_good_method_conforms_in_a_process_of_its_own(tmp_path, capfd):
    results = check_contained(written(tmp_path, "good", GOOD))
    assert refusals_of(results) == []
    assert len(capfd.readouterr().out.splitlines()) == len(results) > 20


def test_the_command_line_goes_on_to_the_next_file(tmp_path, capfd):
    code = "__import__('os').kill(__import__('os').getpid(), 9)"
    bad = written(tmp_path, "bad", GOOD.replace(FIRST, f"{FIRST}; {code}"))
    good = written(tmp_path, "good", GOOD)
    with pytest.raises(SystemExit) as end:
        main("--seconds", "30", str(bad), str(good))
    printed = capfd.readouterr().out
    assert end.value.code == 1 and printed.strip().endswith("conforms")
    assert "killed by signal 9; no more was checked" in printed


TOUCHES = {
    "chdir": ("__import__('os').chdir('/')", "the working folder"),
    "closes": ("__import__('os').close(0)", "file descriptor 0"),
    "environment": ("__import__('os').environ.update(A='1')", "the environment"),
    "threads": ("torch.set_num_threads(3)", "torch's number of threads"),
    "garbage": ("__import__('gc').disable()", "Python's collection of garbage"),
    "denormals": ("torch.set_flush_denormal(True)", "the flushing of denormal numbers"),
    "mask": ("__import__('os').umask(0o007)", "the mask of permissions"),
}


@pytest.mark.parametrize("name", TOUCHES)
def test_what_it_changes_around_it_is_named(tmp_path, name):
    code, what = TOUCHES[name]
    path = written(tmp_path, name, GOOD.replace(FIRST, f"{FIRST}; {code}"))
    (refusal,) = refusals_of(check(path))
    assert "global state untouched" in refusal and what in refusal


def test_a_lower_priority_is_named(tmp_path):
    code = "__import__('os').nice(1)"  # in a process of its own, since few users may raise it again
    path = written(tmp_path, "polite", GOOD.replace(FIRST, f"{FIRST}; {code}"))
    (refusal,) = refusals_of(check_contained(path))
    assert "the priority of the process" in refusal


def test_an_interrupt_is_an_error_of_the_method(tmp_path):
    path = written(tmp_path, "interrupts", GOOD.replace(FIRST, "raise KeyboardInterrupt"))
    (refusal,) = refusals_of(check(path))
    assert DRAWS in refusal and "KeyboardInterrupt" in refusal


NAMES = ["-x", "reference", "a" * 120, "_x", "été"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_suite_can_use_are_refused(tmp_path, name):
    assert any(name in refusal for refusal in refusals_of(check(written(tmp_path, name, GOOD))))


@pytest.mark.parametrize("name", ["DAPS", "my-method", "2steps", "a.b"])
def test_names_that_a_suite_can_use(tmp_path, name):
    legal = refusals_of(check(written(tmp_path, name, GOOD)))
    assert legal == [] if name != "a.b" else legal


UNSEEN = {
    "annotated": ('__all__ = ["Good"]', '__all__: list[str] = ["Good"]', ""),
    "computed": ('__all__ = ["Good"]', '__all__ = ["Go" + "od"]', "finds no class"),
    "taken": ("    rate: float", "    limits: int = 3\n    rate: float", "the field limits"),
}


@pytest.mark.parametrize("form", UNSEEN)
def test_what_a_suite_does_not_see_is_refused(tmp_path, form):
    old, new, words = UNSEEN[form]
    refusals = refusals_of(check(written(tmp_path, form, GOOD.replace(old, new))))
    assert len(refusals) == bool(words) and all(words in refusal for refusal in refusals)


def test_a_train_function_that_only_importing_shows_is_refused(tmp_path):
    hidden = TRAINABLE.replace(TRAIN.removesuffix("    def sample"), "").replace(
        "    def sample",
        "    exec('def train(self, prior, problem, *, rng): return {}')\n    def sample",
    )
    refusals = refusals_of(check(written(tmp_path, "hidden", hidden)))
    assert any("does not see `train`" in refusal for refusal in refusals)


def test_a_helper_that_a_suite_does_not_see_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "shadow.py").write_text("RATE = 1.0\n")
    load = "__import__('sys').path.insert(0, __file__.rpartition('/')[0]); __import__('importlib').import_module"
    path = written(tmp_path, "loads", GOOD.replace(FIRST, f"{FIRST}; {load}('shadow')"))
    (refusal,) = refusals_of(check(path))
    assert "it imports shadow.py in a way that a suite does not see" in refusal
