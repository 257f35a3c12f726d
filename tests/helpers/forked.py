"""Commands forked from a process that has imported the libraries: imports take seconds, a fork a hundredth of one.

Only libraries are imported before the fork; what belongs to the project each command imports anew, from its own folder
or PYTHONPATH. A test of what is imported, or of signals, has to start an interpreter of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "snakemake.cli",
    "snakemake.executors.local",
    "snakemake.executors.dryrun",
    "snakemake.scheduling.milp",
    "jsonschema",
    "pydantic",
    "typer",
    "pandas",
    "torch",
    "scipy.stats",
    "sklearn.mixture",
)
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(list(LIBRARIES))


def run_module(
    words: Sequence[str],
    folder: Path = REPOSITORY,
    environment: Mapping[str, str] | None = None,
    seconds: float = 900,
) -> subprocess.CompletedProcess:
    """Return what `python -m WORDS` does and prints in a folder; TimeoutExpired after so many seconds."""
    with tempfile.TemporaryDirectory() as printed:
        files = [f"{printed}/{name}" for name in ("stdout", "stderr")]
        given = dict(os.environ if environment is None else environment)
        process = SERVER.Process(target=become, args=(list(words), str(folder), given, *files))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(words), seconds)
        out, err = (Path(file).read_text() for file in files)
    return subprocess.CompletedProcess(list(words), process.exitcode, out, err)


def run_command(command: Sequence[str], **_: object) -> subprocess.CompletedProcess:
    """Do what `subprocess.run` would do with `python -m ...`, also where a client of the server of jobs is called."""
    words = list(command[command.index("-m") + 1 :])
    return run_module(words[2:] if words[0] == "bench.runtime.preload" else words, Path.cwd())


def is_of_tests(path: str) -> bool:
    """Return whether a place of modules is this repository's, and not its virtual environment's."""
    return path in ("", ".") or (
        path.startswith(str(REPOSITORY)) and not path.startswith(sys.prefix)
    )


def become(words: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    """Do in this process what `python -m WORDS` would do; its exit status is that of the process."""
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    ours = [name for name in sys.modules if name.partition(".")[0] in ("bench", "methods")]
    for name in ours:
        del sys.modules[name]
    of_tests = [path for path in sys.path if is_of_tests(path)]
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in sys.path if path not in of_tests]
    sys.path[:] = [folder, *filter(None, given), *kept]
    sys.argv, sys.dont_write_bytecode = list(words), "PYTHONDONTWRITEBYTECODE" in environment
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
