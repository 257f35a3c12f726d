"""Where the job server listens, who finds it, and what its clients do when it is gone."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.runtime import preload

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_link_to_an_environment_is_that_environment(tmp_path, monkeypatch):
    own = preload._address("/tmp")
    (tmp_path / "link").symlink_to(sys.prefix)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "link"))
    assert preload._address("/tmp") == own
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert preload._address("/tmp") != own


def test_a_long_path_of_temporary_files_is_quietly_done_without(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(preload.tempfile, "gettempdir", lambda: str(long))
    assert preload._place() == "/tmp"


@pytest.mark.parametrize("begins", [False, True])
def test_a_job_that_the_server_did_not_begin_is_done_by_its_client(tmp_path, begins):
    """A server that is killed while clients wait; a job that was begun is not done twice."""
    (tmp_path / "some_job.py").write_text("print('done')\n")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(preload._address(tmp_path)))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        if begins:
            header, streams, _, _ = socket.recv_fds(connection, 8, len(preload.STREAMS))
            for stream in streams:
                os.close(stream)
            preload._received(connection, struct.unpack("<Q", header)[0])
            connection.sendall(preload.BEGUN)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    environment = {**os.environ, preload.FOLDER: str(tmp_path), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "bench.runtime.preload", "-m", "some_job"]
    job = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60
    )
    thread.join()
    listener.close()
    assert (job.returncode, job.stdout) == ((1, "") if begins else (0, "done\n"))


def test_imports_of_the_server_see_no_gpu_and_leave_the_environment(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(preload, "LIBRARIES", ("first", "second"))
    monkeypatch.setenv("MPLBACKEND", "module://nowhere")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def imported(name: str) -> None:
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"] + os.environ["MPLBACKEND"])
        raise ValueError  # as matplotlib does for a backend that there is not

    monkeypatch.setattr(preload.importlib, "import_module", imported)
    monkeypatch.setattr(preload, "_end_without_workflow", lambda *_: None)  # here there is none
    monkeypatch.setattr(preload, "_draw_something", lambda: None)
    preload._import_libraries(str(tmp_path), ())
    assert seen == ["agg", "agg"]
    assert os.environ["MPLBACKEND"] == "module://nowhere"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
