"""Copies of the repository to run Snakemake in, with real jobs or with stubs that write their files at once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from helpers.forked import run_module

REPOSITORY = Path(__file__).resolve().parents[2]
SUITE = "config/tiny.yaml"
STUBS = "stubs"  # folder of the command `python` that jobs find in place of the real one
STUB = """
import os, sys, time
from pathlib import Path

sys.path.insert(0, os.getcwd())
from bench.core.artefacts import read_json, write_bytes, write_csv, write_json, write_recorded, write_tensors

module, spec_path, *more = [word for word in sys.argv[1:] if word not in ("-m", "bench.runtime.preload")]
stage = module.removeprefix("bench.stages.")
spec = read_json(spec_path)
root, task = Path(spec["root"]), spec.get("task")
time.sleep(float(os.environ.get("STUB_SECONDS", 0)))
if os.environ.get("STUB_FAILS") == spec_path:
    sys.exit("error: told to fail")
run = f"runs/{task}/{spec.get('method')}/seed{spec.get('seed', 0)}"
summaries = ("summary.csv", "comparisons.csv", "summary.md", "summary.tex")
picture = ("pdf", "png", "csv")
made = {
    "data": lambda: [f"data/{spec['dataset']}.safetensors"],
    "prior": lambda: [f"priors/{spec['prior']}/{spec['family']}.safetensors"],
    "classifier": lambda: [
        f"classifiers/{spec['classifier']}/{name}" for name in (f"{spec['classifier']}.safetensors", "card.json")
    ],
    "observe": lambda: [f"tasks/{task}/{name}.safetensors" for name in ("all_measurements", "observations")],
    "reference": lambda: [f"tasks/{task}/exact.safetensors"],
    "train": lambda: [f"{run}/state.safetensors", f"{run}/training.json"],
    "sample": lambda: [f"{run}/samples.safetensors", f"{run}/cost.json"],
    "clock": lambda: [f"{run}/visits/{more[0]}.json"],
    "pool": lambda: [f"{run}/timing.json"],
    "tune": lambda: [f"tuning/{task}/{spec['method']}/trials.csv"],
    "toy": lambda: [f"figures/{spec['toy']}.{kind}" for kind in picture],
    "evaluate": lambda: [f"tasks/{task}/metrics.csv"],
    "tables": lambda: [f"tables/{name}" for name in summaries],
    "timing": lambda: [f"tables/timing.{kind}" for kind in ("csv", "md")],
    "published": lambda: [f"tables/published.{kind}" for kind in ("csv", "md")],
    "claims": lambda: [f"tables/claims.{kind}" for kind in ("csv", "md")],
    "figure": lambda: [f"figures/{more[0]}.{kind}" for kind in picture],
    "grid": lambda: [f"figures/grid-{task}.{kind}" for kind in picture],
    "report": lambda: ["report.html"],
    "reproduce": lambda: [],
}
for path in [root / name for name in made[stage]()]:
    content = {"settings": {}, "seed": 0, **spec, "by": stage, "threads": os.environ["OMP_NUM_THREADS"]}
    if path.suffix == ".csv":
        write_csv(path, "task,method,metric,mean,low,high,num_failed,reason\\n", content)
    elif path.suffix == ".json":
        write_json(path, content)
    elif path.suffix == ".safetensors":
        import numpy  # late: most jobs write none
        write_tensors(path, {"x": numpy.zeros(2)}, content)
    elif path.suffix == ".html":
        write_recorded(path, b"page", content)
    else:
        write_bytes(path, b"page")
"""
METHOD = (
    "from dataclasses import dataclass\n__all__ = ['M']\n"
    "@dataclass(frozen=True)\nclass M:\n    num_steps: int = 10\n"
)
TRAINABLE = METHOD + "    def train(self, prior, problem, *, rng): ...\n"


def copy_of_the_repository(folder: Path, suite: str = "") -> Path:
    """Return `folder` with all that the workflow needs, and with the text of a suite as config/tiny.yaml."""
    for name in ("bench", "methods", "config", "profiles", "results/published"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "Snakefile", folder)
    if suite:
        write_suite(folder, suite)
    return folder


def write_suite(folder: Path, text: str) -> None:
    (folder / SUITE).write_text(text)


def replace_jobs_by_stubs(folder: Path) -> None:
    """Have each job of this copy write its files at once; constructors are not tried out, which would import torch."""
    stubs = folder / STUBS
    stubs.mkdir()
    (stubs / "job.py").write_text(STUB)
    python = stubs / "python"
    # jobs start in the copy's folder
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" {STUBS}/job.py "$@"\n')
    python.chmod(0o755)
    (folder / "bench/plan/constructors.py").write_text("")


def replace_methods_by_stubs(folder: Path) -> None:
    """Leave the methods `one`, `two` and `ods`, and `pays` that trains."""
    shutil.rmtree(folder / "methods")
    (folder / "methods").mkdir()
    for name in ("one", "two", "ods"):
        (folder / f"methods/{name}.py").write_text(METHOD)
    (folder / "methods/pays.py").write_text(TRAINABLE)


def edit(file: Path) -> None:
    """Change a source file without changing what it does."""
    file.write_text(file.read_text() + "# changed\n")


def command(*arguments: str, suite: str = SUITE) -> list[str]:
    """Return Snakemake's command line for a suite."""
    return [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "all",
        "--config",
        f"suite={suite}",
        *arguments,
    ]


def environment_of(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment in which Snakemake finds this Python, or the copy's stubs where it has some."""
    stubs = folder / STUBS
    path = [
        *([str(stubs)] if stubs.is_dir() else []),
        str(Path(sys.executable).parent),
        os.environ["PATH"],
    ]
    # stubs import no library worth it
    preloaded = {"BENCH_PRELOADED": "nowhere"} if stubs.is_dir() else {}
    return {
        **os.environ,
        "PATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        **preloaded,
        **changes,
    }


def snakemake(
    folder: Path, *arguments: str, suite: str = SUITE, **changes: str
) -> subprocess.CompletedProcess:
    """Run Snakemake in a copy, forked; changes: of the environment."""
    _, _, *words = command(*arguments, suite=suite)
    return run_module(words, folder, environment_of(folder, **changes))


def run_to_the_end(folder: Path, *arguments: str) -> str:
    """Run a copy's suite, and return what was printed; the test fails when the run does."""
    done = snakemake(folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def messages(folder: Path, suite: str = SUITE) -> list[str]:
    """Return the jobs that a run would do, as `sample gmm-denoise dps seed 0`."""
    done = snakemake(folder, "-n", suite=suite)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.findall(r"^Job \d+: (.+)", done.stdout + done.stderr, flags=re.MULTILINE)
    return [message for message in told if not message.endswith("is complete")]


def jobs(folder: Path, suite: str = SUITE) -> dict[str, int]:
    """Return how many jobs of each rule a run would do."""
    return dict(Counter(message.split()[0] for message in messages(folder, suite)))
