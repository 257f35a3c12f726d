"""Commands of the profile for Slurm: `submit` a job and print its `status`, without Slurm's accounting.

A batch writes its exit status to a file, since Slurm forgets finished jobs after some minutes.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

FOLDER = Path(".snakemake/slurm")  # logs, and exit statuses of batches
ACTIVE = ("CONFIGURING", "COMPLETING", "PENDING", "REQUEUED", "RESIZING", "RUNNING", "SIGNALING")
ACTIVE += ("STAGE_OUT", "STOPPED", "SUSPENDED", "REQUEUE_HOLD", "SPECIAL_EXIT")
LINES = 15  # of a failed job's log


def submit(name: str, *arguments: str) -> None:
    """Submit a script of Snakemake, the last of the arguments, and print the number of its job.

    name: of the rule or the batch; a clock has its node alone. The other arguments go to sbatch, except `--gpus=0`.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    *options, script = arguments
    record = shlex.quote(f"{FOLDER.absolute()}/")
    work = f'sh {shlex.quote(script)}; status=$?; echo $status > {record}"$SLURM_JOB_ID".status; exit $status'
    command = ["sbatch", "--parsable", f"--job-name={name[:60]}", f"--output={FOLDER}/%j.log"]
    command += [option for option in options if option != "--gpus=0"]
    command += ["--exclusive"] if name.startswith("clock") else []
    done = subprocess.run([*command, f"--wrap={work}"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: sbatch: {done.stderr.strip()}")
    print(done.stdout.strip().partition(";")[0])  # a federation adds the cluster's name


def status(job: str) -> None:
    """Print `running`, `success` or `failed`, and for a failed job the end of its log on standard error."""
    result = status_of(job)
    if result == "failed":
        log = FOLDER / f"{job}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else ["it wrote none"]
        # other jobs of the batch may have gone on for long after the one that failed
        errors = [line for line in lines[:-LINES] if line.startswith("error:")]
        told = [f"Job {job} of Slurm failed; {log}:", *errors[-LINES:], *lines[-LINES:]]
        print(*told, sep="\n", file=sys.stderr)
    print(result)


def status_of(job: str) -> str:
    """Return the status of a job by the file that it left, or without one by its state in Slurm."""
    left = FOLDER / f"{job}.status"
    if left.exists() and (text := left.read_text().strip()):
        return "success" if text == "0" else "failed"
    command = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]
    done = subprocess.run(command, capture_output=True, text=True)
    state = done.stdout.strip()
    if state in ACTIVE or (done.returncode != 0 and "Invalid job id" not in done.stderr):
        return "running"  # or Slurm does not answer for the moment
    return "success" if state == "COMPLETED" else "failed"


if __name__ == "__main__":
    {"submit": submit, "status": status}[sys.argv[1]](*sys.argv[2:])
