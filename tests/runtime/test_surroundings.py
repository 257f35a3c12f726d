"""A plug-in that closes streams or changes the folder leaves both as they were."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.runtime.surroundings import kept_surroundings

CLOSES = """
import os, sys, tempfile
from bench.runtime.surroundings import kept_surroundings
with kept_surroundings() as changed:
    {code}
with tempfile.TemporaryFile() as file:
    print("said")
    sys.stdout.flush()
    assert file.fileno() > 2 and os.fstat(file.fileno()).st_size == 0
print(*changed, sep=", ", file=sys.stderr)
"""


def after(code: str) -> subprocess.CompletedProcess:
    program = CLOSES.replace("{code}", code)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_a_folder_is_put_back(tmp_path):
    before = os.getcwd()
    with kept_surroundings() as changed:
        os.chdir(tmp_path)
    assert os.getcwd() == before and changed == ["the working folder"]


def test_a_plug_in_that_changes_nothing_is_reported_as_such(capfd):
    with kept_surroundings() as changed:
        print("said")
        os.write(1, b"said\n")
    assert changed == [] and capfd.readouterr().out == "said\nsaid\n"


def test_closed_streams_are_open_again():
    done = after("os.close(1)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "file descriptor 1\n")
    done = after("sys.stdout.close()")
    assert (done.returncode, done.stdout) == (0, "said\n")


def test_where_their_copies_are_closed_too_nothing_is_written_into_other_files():
    done = after("os.closerange(0, 4096)")
    assert done.returncode == 0
