"""Fork jobs from a process that has imported the libraries: importing torch takes three seconds, a fork a tenth.

At most as many jobs run at once as there are cores, since more would push each other's data out of the caches.

The workflow starts one such server beside itself (`start`) and calls each job through a client, `python -m
bench.runtime.preload -m bench.stages.<rule> <spec>`, which hands its arguments, environment and standard streams to the
server. Without a server, on another machine or without the workflow, the client becomes `python -m bench.stages.<rule>
<spec>` itself.

Only libraries are imported before the fork; each job imports the project's modules itself. Client and job end together:
a job sends its exit status to its client, and kills itself when its client was killed. Both end when their workflow was
killed (`bench/runtime/orphans.py`).
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import hashlib
import importlib
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bench.runtime.orphans import PAUSE, watch

FOLDER = "BENCH_PRELOADED"  # environment variable: where the server listens
LIBRARIES = (
    "torch",
    "diffusers.models.unets.unet_2d",
    "torchmetrics.functional.image",
    "torch_fidelity",
    "safetensors.torch",
    "matplotlib.backends.backend_pdf",
    "matplotlib.style.core",
    "PIL.WebPImagePlugin",
    "pandas.io.formats.csvs",
    "pandas.io.formats.style",
    "pydantic.dataclasses",
    "pydantic.type_adapter",
    "jinja2",
    "tabulate",
    "yaml",
)
# prefix of the workflow's commands, in which `python` then calls the client
SHELL = 'python() {{ command python -m bench.runtime.preload "$@"; }}; '
STREAMS = (0, 1, 2)
BEGUN = b"b"  # sent by a job once it has received its whole task; before that, the client may do the task itself
# in the path of the temporary folder: an address has at most 104, and the server's folder and name take the rest
MOST_BYTES = 53
# set while libraries are imported: if one looked for GPUs, all jobs would inherit its answer and could not use CUDA
QUIET = {"CUDA_VISIBLE_DEVICES": "", "PYTORCH_NVML_BASED_CUDA_CHECK": "1", "MPLBACKEND": "agg"}
NEW = 5.0  # seconds after which a folder without a lock is abandoned: its maker locks it soon after making it
PREFIX = "bench-server-"  # of the folders of servers, among the temporary files


def start(without: Sequence[str] = ()) -> None:
    """Start a server that lives as long as this process, and put its address into the environment of the jobs.

    The server imports nothing before its first job. without: packages among LIBRARIES that it leaves out, because no
    job of this workflow is expected to need them; a job that does imports them itself.
    """
    if sys.platform == "win32" or FOLDER in os.environ:
        return
    place = _place()
    if place is None:
        return
    _remove_abandoned(place)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "bench.runtime.preload", "serve", folder, *without]
    # in a session of its own, the server gets no signal that is meant for the workflow; its standard input is a pipe
    # that ends when this process has ended, however it ended
    end, _kept_open = os.pipe()
    held = _held(folder)
    server = subprocess.Popen(command, stdin=end, start_new_session=True, pass_fds=[held])
    os.close(end)
    threading.Thread(target=_remove_after, args=(server, folder), daemon=True).start()
    os.environ[FOLDER] = folder


def _remove_after(server: subprocess.Popen, folder: str) -> None:
    """Remove the folder of a server that was killed: once its workflow is killed, too, no process would do so."""
    server.wait()
    for _ in range(2):
        shutil.rmtree(folder, ignore_errors=True)
        # a job that has lost its server lives that long, and may write bytecode there
        time.sleep(2 * PAUSE)


def _place() -> str | None:
    """Return a folder of temporary files whose path is short enough for the address of a server; None for none."""
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(os.fsencode(place)) <= MOST_BYTES and os.access(place, os.W_OK | os.X_OK):
            return place
    return None


def _held(folder: str | Path) -> int:
    """Return a lock on a server's folder, held until both this process and the server have ended."""
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def _remove_abandoned(place: str) -> None:
    """Remove the folders of servers that were killed together with their workflow."""
    for folder in Path(place).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it is in use, or another user's
            if time.time() - folder.stat().st_mtime > NEW:
                os.close(_held(folder))
                shutil.rmtree(folder)


def serve(folder: str, *without: str) -> None:
    """Fork a job for each connection, as many at once as there are cores, until standard input ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(_address(folder)))
    listener.listen(512)
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    # wakes the server when a job has ended
    signal.signal(signal.SIGCHLD, lambda *_: None)
    num_cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    num_jobs = 0
    try:
        while True:
            ready = select.select(
                [0, wakes, *([listener] if num_jobs < num_cores else [])], [], []
            )[0]
            if 0 in ready:
                return
            if wakes in ready:
                os.read(wakes, 4096)
                num_jobs -= _num_ended()
            if listener in ready:
                _fork_job(listener, folder, without)
                num_jobs += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fork_job(listener: socket.socket, folder: str, without: tuple[str, ...]) -> None:
    connection, _ = listener.accept()
    _import_libraries(folder, without)
    if os.fork() == 0:
        listener.close()
        _work(connection)
    connection.close()


@cache  # once
def _import_libraries(folder: str, without: tuple[str, ...]) -> None:
    """Import the libraries that jobs share, unaffected by the user's environment, which each job applies itself.

    On a busy machine this takes half a minute. If the workflow is killed meanwhile, the server ends, too.
    """
    imported = threading.Event()
    watcher = threading.Thread(target=_end_without_workflow, args=(folder, imported))
    watcher.start()
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    for name in (name for name in LIBRARIES if name.partition(".")[0] not in without):
        with contextlib.suppress(Exception):  # the job that needs the library will report it
            importlib.import_module(name)
    for first_use in (_draw_something, _check_something):
        with contextlib.suppress(Exception):
            first_use()
    _share_bytecode(folder)
    for name, value in before.items():
        os.environ.pop(name)
        os.environ.update({} if value is None else {name: value})
    imported.set()
    watcher.join()  # no thread may run during a fork
    gc.freeze()  # spares the jobs a search through the libraries' objects


def _draw_something() -> None:
    """Draw two words in both formats: fonts, and what cuts them to size, are then read once, and not by every job."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), layout="constrained")
    figure.subplots().set_title("a")
    figure.suptitle("a", fontweight="bold")
    with mpl.rc_context({"pdf.fonttype": 42}):
        for suffix in ("png", "pdf"):
            figure.savefig(io.BytesIO(), format=suffix)


def _check_something() -> None:
    """Check a value by its type: pydantic looks through all packages for its plug-ins when it does so first."""
    from pydantic import TypeAdapter

    TypeAdapter(int).validate_python(1)


def _share_bytecode(folder: str) -> None:
    """Have jobs keep the bytecode of modules in the server's folder, where Python may not write it beside them.

    Each job would otherwise compile all modules of the project anew.
    """
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(Path(folder) / "bytecode")


def _end_without_workflow(folder: str, imported: threading.Event) -> None:
    while not imported.is_set():
        if select.select([0], [], [], 0.2)[0]:
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)


def _num_ended() -> int:
    """Return how many jobs have ended since the last call."""
    num = 0
    with contextlib.suppress(ChildProcessError):  # no job is left
        while os.waitpid(-1, os.WNOHANG)[0]:
            num += 1
    return num


def call(arguments: list[str]) -> None:
    """Have the server run `python <arguments>` or, where there is no server, become that process."""
    connection = _connected()
    if connection is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    watch()
    job = json.dumps(
        {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    ).encode()
    try:
        socket.send_fds(connection, [struct.pack("<Q", len(job))], STREAMS)
        connection.sendall(job)
        has_begun = connection.recv(1) == BEGUN
    except OSError:  # the server was killed while this client waited for it
        has_begun = False
    if not has_begun:
        os.execv(sys.executable, [sys.executable, *arguments])
    status = b""
    with contextlib.suppress(OSError):
        status = connection.recv(1)
    if not status:
        sys.exit(
            f"error: the process of python {' '.join(arguments)} was killed or crashed; is there enough memory?"
        )
    sys.exit(status[0])


def _address(folder: str) -> Path:
    """Return the address of this Python environment's server; at the address of another one, no server listens.

    Links to an environment are resolved, so that they have its address.
    """
    environment = f"{os.path.realpath(sys.prefix)} {sys.version}"
    return Path(folder) / hashlib.sha256(environment.encode()).hexdigest()[:12]


def _connected() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX) if FOLDER in os.environ else None
    try:
        if connection is not None:
            connection.connect(str(_address(os.environ[FOLDER])))
        return connection
    except OSError:
        return None


def _work(connection: socket.socket) -> None:
    """Become, in a forked process, the job that the client asks for; never return."""
    status = 1
    try:
        try:
            header, streams, _, _ = socket.recv_fds(connection, 8, len(STREAMS))
            job = json.loads(_received(connection, struct.unpack("<Q", header)[0]))
            connection.sendall(BEGUN)
            _take_over(streams, job)
            threading.Thread(target=_die_with, args=(connection,), daemon=True).start()
            status = _run(job["arguments"])
        except BaseException:  # before the job began, in its folder or environment
            traceback.print_exc()
            sys.stderr.flush()
        connection.sendall(bytes([status]))
    finally:
        os._exit(status)


def _received(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return bytes(data)


def _take_over(streams: list[int], job: dict) -> None:
    for ours, theirs in zip(STREAMS, streams, strict=True):
        os.dup2(theirs, ours)
        os.close(theirs)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    # torch reads the variable only when it is imported, which was in the server
    if "torch" in sys.modules and "OMP_NUM_THREADS" in os.environ:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def _die_with(connection: socket.socket) -> None:
    connection.recv(1)  # the client sends nothing more, so this returns when it is gone
    os.kill(os.getpid(), signal.SIGKILL)


def _run(arguments: list[str]) -> int:
    """Run `python -m <module> ...` in this process, and return its exit status."""
    _, module, *rest = arguments
    sys.argv = [module, *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status: object = 0
    except SystemExit as end:
        status = end.code
    except BaseException:  # as the interpreter itself would do
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return 0 if status is None else status & 0xFF if isinstance(status, int) else 1


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
        # at an orderly end of the interpreter, imported libraries complain about memory that is still in use
        os._exit(0)
    else:
        call(sys.argv[1:])
