"""Start Snakemake on a suite, from any working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.shipped import shipped, suite_file

NUM_CORES = os.cpu_count() or 1


def start(
    suite: str, cores: int, options: list[str], target: str = "all", **how: Any
) -> subprocess.CompletedProcess:
    """Run Snakemake on a suite in the working directory; how: further arguments of `subprocess.run`."""
    own = any(option.startswith(("--workflow-profile", "--profile")) for option in options)
    command = [sys.executable, "-m", "snakemake", target]
    if not own or cores != NUM_CORES:  # otherwise the user's profile decides
        command += ["--cores", str(cores)]
    command += ["--snakefile", str(shipped("Snakefile"))]
    if not own:
        command += ["--workflow-profile", str(shipped("profiles/default"))]
    command += ["--config", f"suite={suite_file(suite)}", *options]
    # jobs are started as `python -m ...`, and that python has to be this one
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(command, env=os.environ | {"PATH": path}, **how)


def dry_run(suite: str, cores: int = 1) -> subprocess.CompletedProcess:
    """Plan a suite without running it; `stdout` of the result is what Snakemake printed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return start(suite, cores, ["--dry-run"], **pipes)


def is_up_to_date(suite: str) -> bool:
    """Return whether a run of a suite of config/ would have nothing to do; False where there is no such suite."""
    try:
        done = dry_run(suite)
    except UserError:
        return False
    return done.returncode == 0 and "Nothing to be done" in (done.stdout or "")
