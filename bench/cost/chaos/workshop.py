"""A folder in which a suite is run, killed and damaged; with its processes, the folders they leave, and its tensors."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.job_costs import WORK_LOG
from bench.core.provenance import ROOT
from bench.core.shipped import shipped
from bench.runtime.lease import FOLDER as LEASES
from bench.runtime.orphans import RUN
from bench.runtime.preload import FOLDER as SERVER
from bench.runtime.preload import PREFIX

MARK = "BENCH_CHAOS"  # environment variable that marks the processes of a workshop
PATIENCE = 600.0  # seconds for a run that nothing disturbs
LIMIT = 30.0  # seconds after a kill in which all its processes and folders have to be gone
ERROR = re.compile(r"^error: .*", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """The end of a run: its exit status and what it printed."""

    status: int
    text: str

    @property
    def errors(self) -> list[str]:
        """Return the lines that tell the user what is wrong."""
        return ERROR.findall(self.text)

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.text


@dataclass(frozen=True)
class Workshop:
    """A folder with the results of a suite, its own temporary files and its own leases.

    suite: a YAML file. profile: a Snakemake profile. variables: further environment variables.
    """

    folder: Path
    suite: Path
    name: str
    cores: int
    profile: str = "profiles/default"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results" / self.name

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def environment(self) -> dict[str, str]:
        """Return the environment of a run: that of this process, without variables of a run around it, and the mark."""
        others = {k: v for k, v in os.environ.items() if k not in (RUN, SERVER, WORK_LOG)}
        self.temporary.mkdir(parents=True, exist_ok=True)
        path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        bins = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        own = {
            MARK: str(self.folder),
            "TMPDIR": str(self.temporary),
            LEASES: f"{self.folder}/leases",
        }
        return {
            **others,
            **own,
            **self.variables,
            "PYTHONPATH": os.pathsep.join(path),
            "PATH": os.pathsep.join(bins),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, **more: Any) -> subprocess.Popen:
        """Start a run in a process group of its own; its output goes to `log`. more: arguments of Popen."""
        command = [sys.executable, "-m", "snakemake", "all", "--cores", str(self.cores)]
        command += ["--snakefile", str(shipped("Snakefile").resolve())]
        command += ["--workflow-profile", str(shipped(self.profile).resolve())]
        command += ["--config", f"suite={self.suite}"]
        with self.log.open("w") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **more,
            )

    @property
    def log(self) -> Path:
        # outside the folder, whose disk may be full
        return self.folder.with_name(f"{self.folder.name}.log")

    def run(self, **more: Any) -> Ended:
        """Run the suite to its end."""
        run = self.start(**more)
        try:
            run.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        return Ended(run.returncode, self.log.read_text(errors="replace"))

    def tensors(self) -> dict[str, str]:
        """Return the hash of each file of tensors, by its path in the results."""
        paths = sorted(self.results.rglob("*.safetensors"))
        return {
            str(path.relative_to(self.results)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
            if path.is_file()
        }

    def files(self) -> set[str]:
        """Return the paths of all files in the results but hidden ones and logs."""
        paths = self.results.rglob("*")
        return {
            str(path.relative_to(self.results))
            for path in paths
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".log"
        }

    def processes(self) -> dict[int, str]:
        """Return the command lines, by number, of all living processes that a run of this workshop started."""
        mark = f"{MARK}={self.folder}".encode()
        return {
            pid: command
            for pid, environment, command in _all_processes()
            if mark in environment and pid != os.getpid()
        }

    def folders_of_servers(self) -> list[Path]:
        return [*self.temporary.glob(f"{PREFIX}*")]

    def seconds_until_clear(self) -> float | None:
        """Return the seconds until no process and no server's folder is left, None after `LIMIT`."""
        return seconds_until(lambda: not self.processes() and not self.folders_of_servers(), LIMIT)

    def kill_all(self) -> None:
        """Kill all processes of this workshop."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def seconds_until(true: Callable[[], bool], limit: float) -> float | None:
    """Return the seconds until a condition holds, None if it does not hold within the limit."""
    begin = time.monotonic()
    while not true():
        if time.monotonic() - begin > limit:
            return None
        time.sleep(0.2)
    return time.monotonic() - begin


def _all_processes() -> Iterator[tuple[int, list[bytes], str]]:
    """Yield number, environment and command line of each living process that may be read."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            if command:  # a zombie has none
                yield int(folder.name), environment, command.strip()
