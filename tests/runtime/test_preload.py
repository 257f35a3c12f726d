"""Jobs forked from a process that has imported torch behave as if each had been started in a new process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.runtime import orphans, preload

REPOSITORY = Path(__file__).resolve().parents[2]
JOB = """
import json, os, signal, sys, time
if __name__ == "__main__":
    what = sys.argv[1]
    if what == "tell":
        preloaded = "torch" in sys.modules
        import torch
        facts = {"arguments": sys.argv[1:], "folder": os.getcwd(), "told": os.environ.get("TOLD"), "name": __name__}
        facts |= {"file": __file__, "threads": torch.get_num_threads(), "input": sys.stdin.read()}
        print(json.dumps(facts))
        print("preloaded" if preloaded else "imported", file=sys.stderr)
    elif what == "cuda":
        import torch
        try:
            torch.zeros(1, device="cuda")
        except Exception as error:
            print(type(error).__name__, error)
    elif what == "line":
        sys.exit("error: one line")
    elif what == "status":
        sys.exit(3)
    elif what == "raise":
        raise ValueError("what went wrong")
    elif what == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "sleep":
        open(sys.argv[2], "w").write(str(os.getpid()))
        time.sleep(60)
"""
SIGN = """
import os, sys
from pathlib import Path
from bench.runtime import orphans
lock = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
orphans.sign(lock, Path(sys.argv[1]))
print(os.environ[orphans.RUN], flush=True)
input()
"""
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
SERVE = (
    "import os; from bench.runtime import preload; preload.start(); "
    "print(os.environ[preload.FOLDER], flush=True); input()"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "some_job.py").write_text(JOB)
    plain = {name: value for name, value in os.environ.items() if name != preload.FOLDER}
    return {**plain, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "TOLD": "something"}


@pytest.fixture(scope="module")
def served(environment) -> dict[str, str]:
    """The environment of jobs that have a server; at the end its starter is killed, and it goes with it."""
    starter = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    folder = starter.stdout.readline().decode().strip()
    wait_until(lambda: any(Path(folder).iterdir()))
    yield {**environment, preload.FOLDER: folder}
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_until(lambda: not Path(folder).exists())


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def client(environment: dict[str, str], *arguments: str, **more: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "bench.runtime.preload", "-m", "some_job", *arguments]
    pipes = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, **{**pipes, **more})


def outcome(environment: dict[str, str], *arguments: str, text: str = "") -> tuple[int, str, str]:
    job = client(environment, *arguments)
    out, err = job.communicate(text, timeout=120)
    return job.returncode, out, err


def test_a_forked_job_has_the_environment_of_a_new_process(served, environment):
    (ours, forked, how), (theirs, alone, else_how) = (
        outcome(env, "tell", "a b", "é", text="read me") for env in (served, environment)
    )
    assert ours == theirs == 0 and json.loads(forked) == json.loads(alone)
    assert (how, else_how) == ("preloaded\n", "imported\n")  # the point of it


def test_without_a_gpu_a_forked_job_fails_like_a_new_process(served, environment):
    """And not that CUDA cannot be started in a forked process, which would be no reason of the user's."""
    assert outcome(served, "cuda") == outcome(environment, "cuda")


def test_threads_are_those_of_the_job_and_not_of_the_server(served):
    _, out, _ = outcome({**served, "OMP_NUM_THREADS": "2"}, "tell")
    assert json.loads(out)["threads"] == 2


@pytest.mark.parametrize(
    ("what", "status", "words"), [("line", 1, "error: one line\n"), ("status", 3, "")]
)
def test_a_forked_job_ends_like_a_new_process(served, environment, what, status, words):
    assert outcome(served, what) == outcome(environment, what) == (status, "", words)


def test_a_job_that_raises_shows_where(served):
    status, _, words = outcome(served, "raise")
    assert (
        status == 1
        and words.startswith("Traceback")
        and words.endswith("ValueError: what went wrong\n")
    )


def test_a_job_that_cannot_begin_shows_why(served):
    status, _, words = outcome({**served, "OMP_NUM_THREADS": "many"}, "status")
    assert status == 1
    assert words.startswith("Traceback") and "ValueError: invalid literal for int()" in words
    assert "killed or crashed" not in words


def test_a_job_that_crashes_fails_with_a_message_and_no_other_job_does(served):
    status, _, words = outcome(served, "crash")
    assert status == 1
    assert (
        words
        == "error: the process of python -m some_job crash was killed or crashed; is there enough memory?\n"
    )
    assert outcome(served, "status")[0] == 3


def test_a_job_dies_with_its_client(served, tmp_path):
    job = client(served, "sleep", str(tmp_path / "pid"))
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    pid = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{pid}").exists()
    job.kill()
    job.communicate()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_job_and_its_client_end_when_their_run_was_killed(served, tmp_path):
    run = subprocess.Popen([sys.executable, "-c", SIGN, str(tmp_path / "lock")], **PIPES)
    signed = run.stdout.readline().strip()
    job = client({**served, orphans.RUN: signed}, "sleep", str(tmp_path / "pid"))
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    pid = int((tmp_path / "pid").read_text())
    run.kill()  # and nobody waits for it: it stays a zombie
    wait_until(lambda: not Path(f"/proc/{pid}").exists() and job.poll() is not None, 10)
    run.communicate()


def test_a_workflow_removes_the_folder_of_its_server_that_was_killed(environment):
    """At once, so that nothing is left if the workflow is killed, too."""
    with tempfile.TemporaryDirectory(prefix="s") as short:  # a socket's address has a limit
        own = {**environment, "TMPDIR": short}
        starter = subprocess.Popen([sys.executable, "-c", SERVE], cwd=REPOSITORY, env=own, **PIPES)
        folder = Path(starter.stdout.readline().strip())
        wait_until(lambda: any(folder.iterdir()))
        for pid in server_of(folder):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not folder.exists())
        assert starter.poll() is None
        starter.kill()
        starter.communicate()
        assert not any(Path(short).iterdir())


def test_a_server_that_has_imported_the_libraries_ends_without_complaints(environment):
    """What it prints would be the last words of a run."""
    with tempfile.TemporaryDirectory(prefix="s") as short:
        command, own = [sys.executable, "-c", SERVE], {**environment, "TMPDIR": short}
        pipes = {**PIPES, "stderr": subprocess.PIPE}
        starter = subprocess.Popen(command, cwd=REPOSITORY, env=own, **pipes)
        folder = starter.stdout.readline().strip()
        wait_until(lambda: any(Path(folder).iterdir()))
        assert outcome({**own, preload.FOLDER: folder}, "status")[0] == 3
        # of bindings in C++; the first drawing on a machine may say that fonts are looked for
        assert "leaked" not in starter.communicate("\n")[1]


def test_the_folder_of_a_server_that_was_killed_is_removed_by_the_next_start(environment, tmp_path):
    """Here both were killed, the workflow first. The folder of a living server is kept."""
    with tempfile.TemporaryDirectory(prefix="s") as short:  # a socket's address has a limit
        own = {**environment, "TMPDIR": short}
        first, second = (
            subprocess.Popen([sys.executable, "-c", SERVE], cwd=REPOSITORY, env=own, **PIPES)
            for _ in range(2)
        )
        folders = [Path(starter.stdout.readline().strip()) for starter in (first, second)]
        wait_until(lambda: all(any(folder.iterdir()) for folder in folders))
        (server,) = server_of(folders[0])
        # stopped, it does not see the end of its workflow, for which it would remove the folder
        os.kill(server, signal.SIGSTOP)
        wait_until(lambda: state_of(server) == "T")
        first.kill()
        first.wait()
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: state_of(server) in "ZX")  # before that, it may still hold its lock
        assert folders[0].exists()
        os.utime(folders[0], (0, 0))
        third = subprocess.Popen([sys.executable, "-c", SERVE], cwd=REPOSITORY, env=own, **PIPES)
        third.stdout.readline()
        assert not folders[0].exists() and folders[1].exists()
        for starter in (second, third):
            starter.communicate()  # its end of input ends it
        wait_until(lambda: not any(Path(short).iterdir()))


def state_of(pid: int) -> str:
    """Return the letter of /proc for the state of a process, X for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def server_of(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_jobs_run_without_a_server_that_is_gone(environment, tmp_path):
    assert outcome({**environment, preload.FOLDER: str(tmp_path / "nowhere")}, "status")[0] == 3
