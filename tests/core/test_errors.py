"""Any error becomes one line, and errors caused by the machine are recognised."""

from __future__ import annotations

import copy
import errno
import subprocess

import pytest
import torch

from bench.core.artefacts import ArtefactError
from bench.core.errors import Broken, UserError, is_shortage, one_line, printable


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Renamed(type):
    @property
    def __name__(cls) -> str:
        raise RuntimeError


class Nameless(Exception, metaclass=Renamed):
    pass


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (RuntimeError(), "RuntimeError: no message"),
        (RuntimeError("\n \n"), "RuntimeError: no message"),
        (ValueError("a\ud800b\x00c\x1b[0m"), "ValueError: a\\ud800b\\x00c\\x1b[0m"),
        (Unspeakable(), "Unspeakable: its message cannot be read"),
        (type("E<b>|$x$\n\x1b[0m", (ValueError,), {})("a"), "E<b>|$x$\\n\\x1b[0m: a"),
        (type("E" * 10_000, (ValueError,), {})("a"), f"{'E' * 97}...: a"),
        (Nameless("a"), "Nameless: a"),
    ],
)
def test_an_error_is_one_printable_line(error, line):
    assert one_line(error) == line


def test_a_long_message_is_cut():
    assert len(printable("x" * 10**6)) == 300 and printable("x" * 10**6).endswith("...")


@pytest.mark.parametrize("kind", [UserError, Broken, ArtefactError])
def test_names_in_an_error_for_the_user_neither_break_its_line_nor_command_a_terminal(kind):
    error = kind("a\nb\x1b[2Jc\u2028d\ud800: not a name")
    assert str(error) == "a\\nb\\x1b[2Jc\\u2028d\\ud800: not a name"
    # a copy is rebuilt from what pickle would store; neither it nor a second escape changes the message
    assert str(copy.copy(error)) == str(error) == str(kind(error))


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (RuntimeError("can't start new thread"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (ValueError("out of memory, I say"), False),
        (RuntimeError("shapes differ"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `create`"), True),
        (RuntimeError("unable to open shared memory: Too many open files (24)"), True),
        (RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed."), True),
        (subprocess.CalledProcessError(-9, ["tool"]), True),
        (subprocess.CalledProcessError(1, ["tool"]), False),
        (ConnectionResetError(errno.ECONNRESET, "reset"), True),
        (OSError([1], "an errno that is no number"), False),
        (ExceptionGroup("several", [KeyError("a"), MemoryError()]), True),
        (Unspeakable(), False),
    ],
)
def test_shortages_of_the_machine_are_distinguished_from_errors_of_the_method(error, is_so):
    assert is_shortage(error) is is_so


@pytest.mark.parametrize("hides", [False, True])
def test_a_shortage_that_a_method_turns_into_another_error_is_recognised(hides):
    with pytest.raises(ValueError, match="sampler failed") as caught:
        try:
            raise MemoryError
        except MemoryError as error:
            raise ValueError("sampler failed") from (None if hides else error)
    assert is_shortage(caught.value)


def test_errors_that_are_each_other_s_cause_are_looked_at_once():
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert not is_shortage(first)
