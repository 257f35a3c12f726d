"""A suite's folder under results/: one run at a time, only whole artefacts, specs that change when the suite does."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.core.artefacts import ArtefactError, check, read_header, read_json
from bench.core.errors import UserError
from bench.core.specs import DataSpec, PriorSpec, RunSpec, TaskSpec
from bench.plan.suite import Suite
from bench.plan.suite_specs import specs_of

ToTry = DataSpec | PriorSpec | TaskSpec | RunSpec
TEMPORARY = re.compile(r"^\..+\.[a-z0-9_]{8}$")  # what write_bytes leaves behind when it is killed


def lock_folder(root: str) -> None:
    """Take the folder until this process ends, however it ends: a killed run leaves temporary files, but no lock."""
    Path(root).mkdir(parents=True, exist_ok=True)
    # stays open: the system drops the lock with the process
    lock = os.open(f"{root}/.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{root}: another run is at work here; wait for it to end") from None
    for path in Path(root).rglob(".*"):
        if TEMPORARY.match(path.name):
            path.unlink(missing_ok=True)


def check_artefacts(root: str) -> None:
    """Raise ArtefactError, naming the file, when an artefact was truncated or edited."""
    paths = sorted(
        path
        for path in Path(root).rglob("*")
        if path.suffix in (".safetensors", ".csv", ".json")
        and not _is_foreign(path.relative_to(root))
    )
    with ThreadPoolExecutor() as pool:  # hashes are computed outside of the interpreter's lock
        list(pool.map(_check_settled, paths))
    for manifest in sorted(Path(root).glob("priors/*/*.safetensors")):
        _check_foreign(manifest)


def _check_settled(path: Path) -> None:
    """Check a file, twice where another run may be writing it; one that has gone in between is no fault."""
    try:
        _check(path)
    except ArtefactError:
        time.sleep(0.2)
        if path.exists():
            _check(path)


def _check(path: Path) -> None:
    if path.suffix == ".csv" and not Path(f"{path}.info.json").exists():
        raise ArtefactError(
            f"{path}: its record {path.name}.info.json is gone; delete it and run the same command again"
        )
    check(path)


def _check_foreign(manifest: Path) -> None:
    """Check the files that the header of a prior lists, by their path beside it, against their sha256."""
    for name, expected in read_header(manifest).get("files", {}).items():
        file = manifest.parent / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            what = "does not match the sha256" if file.is_file() else "is missing, but listed"
            raise ArtefactError(
                f"{file}: {what} in {manifest}; delete {manifest.name} and run the same command again"
            )


def write_specs(suite: Suite) -> None:
    """Write the specs that are new or changed, after their data sets, priors, operators and methods were tried out."""
    changed = {
        path: spec for path, spec in specs_of(suite) if content_on_disk(path) != spec.content()
    }
    others = [
        spec
        for kind in (DataSpec, PriorSpec, TaskSpec)
        for spec in changed.values()
        if isinstance(spec, kind)
    ]
    runs = {
        json.dumps([spec.method, spec.settings], sort_keys=True): spec
        for spec in changed.values()
        if isinstance(spec, RunSpec)
    }
    _try_constructors(suite, [*others, *runs.values()])
    for path, spec in changed.items():
        spec.write(path)


def _try_constructors(suite: Suite, specs: list[ToTry]) -> None:
    """Try the constructors in a process of its own: it imports torch and the methods, which this one does not."""
    if not specs:
        return
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "specs.json"), Path(folder, "answer.json")
        question.write_text(json.dumps([_to_try(suite, spec) for spec in specs]))
        command = [sys.executable, "-m", "bench.plan.constructors", str(question), str(answer)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        faults = json.loads(answer.read_text()) if answer.exists() else []
    # no answer: a module ends the process that imports it, and its runs will tell
    for key, what in faults[:1]:
        raise UserError(f"{suite.file}: {key}: {what}")


def _to_try(suite: Suite, spec: ToTry) -> tuple[str, str, dict]:
    """Return where in the suite's file a spec comes from, its kind, and what its constructors get."""
    content = dataclasses.asdict(spec)
    if isinstance(spec, DataSpec):
        return f"datasets.{spec.dataset}", "dataset", content
    if isinstance(spec, PriorSpec):
        return f"priors.{spec.prior}", "prior", content
    if isinstance(spec, TaskSpec):
        return f"tasks.{spec.task}", "task", content | {"size": suite.size(spec.dataset)}
    of_task = spec.method in suite.content["tasks"][spec.task].get("settings", {})
    key = f"tasks.{spec.task}.settings.{spec.method}" if of_task else f"methods.{spec.method}"
    return key, "method", content


def _is_foreign(path: Path) -> bool:
    """Return whether a file is in another library's format, without our hash: priors/<prior>/pipeline/ of diffusers."""
    return path.parts[0] == "priors" and path.parts[2:3] == ("pipeline",)


def content_on_disk(path: str) -> dict | None:
    """Return the content of a spec on disk, without its hash; None where there is none."""
    if not Path(path).exists():
        return None
    return {key: value for key, value in read_json(path).items() if key != "sha256"}
