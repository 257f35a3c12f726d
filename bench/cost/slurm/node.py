"""A Slurm of one node on this machine, with its own folder, its own key and no accounting. It needs root.

Debian and Ubuntu: apt-get install --no-install-recommends slurm-wlm munge
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import UserError

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
CONFIGURATION = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 \
RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# /dev/null stands for a GPU, since only its lease is tried
GPUS = "AutoDetect=off\nNodeName={host} Name=gpu File=/dev/null\n"


@contextlib.contextmanager
def one_node(folder: Path, cores: int) -> Iterator[dict[str, str]]:
    """Run a Slurm on this machine, with its files in a folder; yield the environment in which its commands find it."""
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    if absent or os.geteuid() != 0:
        raise UserError(
            f"a Slurm of one node needs root and {', '.join(absent or PROGRAMS)}: apt-get install slurm-wlm munge"
        )
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    started: list[subprocess.Popen] = []
    try:
        _configure(folder, cores)
        for command in _daemons(folder):
            started.append(subprocess.Popen(command, env=environment, **_quiet(folder)))
            time.sleep(1)
        _wait_until_up(environment)
        yield environment
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], env=environment, **_quiet(folder))
        for daemon in reversed(started):
            daemon.terminate()
            daemon.wait(30)


def _configure(folder: Path, cores: int) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    facts = {"host": platform.node().partition(".")[0], "folder": folder, "cores": cores}
    facts["memory"] = int(0.8 * pages / 2**20)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**facts))
    (folder / "gres.conf").write_text(GPUS.format(**facts))
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))


def _daemons(folder: Path) -> Iterator[list[str]]:
    paths = {
        "socket": "socket",
        "key-file": "key",
        "pid-file": "pid",
        "log-file": "log",
        "seed-file": "seed",
    }
    options = [f"--{option}={folder}/munge.{name}" for option, name in paths.items()]
    yield ["munged", "--foreground", "--force", *options]
    yield ["slurmctld", "-D"]
    yield ["slurmd", "-D"]


def _wait_until_up(environment: dict[str, str]) -> None:
    told = ""
    for _ in range(60):
        command = ["sinfo", "--noheader", "--format=%T"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        told = f"{done.stdout} {done.stderr}".strip()
        if told in ("idle", "mixed"):
            return
        time.sleep(1)
    raise UserError(f"the node of Slurm does not come up: {told}")


def _quiet(folder: Path) -> dict:
    log = (folder / "daemons.log").open("a")
    return {"stdout": log, "stderr": log}
