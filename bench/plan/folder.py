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
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.core.artefacts import ArtefactError, Json, read_facts, read_header, read_json
from bench.core.errors import UserError
from bench.core.layout import RunFiles
from bench.core.retries import retry_file
from bench.core.specs import RUN_FACTS, DataSpec, PriorSpec, RunSpec, Spec, SuiteSpec, TaskSpec
from bench.plan.metrics import named_columns, parameters_of
from bench.plan.products import STAGES
from bench.plan.rules import Rules
from bench.plan.suite import Suite
from bench.plan.suite_specs import specs_of
from bench.runtime.orphans import sign

# specs whose plug-ins are tried out, as those of runs are
BUILT = (DataSpec, PriorSpec, TaskSpec)
ToTry = DataSpec | PriorSpec | TaskSpec | RunSpec
Asked = tuple[str, str, dict]  # key in the suite's file, kind, what the constructor gets
CHECKED = (".safetensors", ".csv", ".json")
DEFAULTS = {"settings": {}, "seed": 0}  # of a spec, which are left out of its file
# names of the files that a killed write leaves behind
TEMPORARY = re.compile(r"\..+\.(safetensors|json|csv|html|png|pdf|md|tex)\.[a-z0-9_]{8}")


def lock_folder(root: str) -> int:
    """Lock the folder until this process ends, however it ends; return the open file that is the lock.

    Temporary files that a killed run has left are removed.
    """
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(
            f"{root}: a file, or a link that leads nowhere, is in the place of a folder; remove it"
        ) from None
    # stays open: the system drops the lock with the process
    lock = os.open(f"{root}/.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{root}: another run is at work here; wait for it to end") from None
    sign(lock, Path(f"{root}/.lock"))
    for path in Path(root).rglob(".*"):
        if TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
    return lock


def check_artefacts(rules: Rules) -> None:
    """Raise ArtefactError, naming the file, when an artefact of a suite was truncated or edited, or is another run's.

    Damaged tables and figures are not refused but made again (`products.damaged_products`). All other files in the
    suite's folder are the user's.
    """
    named = {*rules.made(*(rules.all.keys() - set(STAGES))), *rules.specs}
    found = (path for name in named for path in (Path(name), retry_file(name)))
    headers = check_files(path for path in found if path.suffix in CHECKED and path.exists())
    for path in sorted(rules.made("prior")):
        if "files" in (headers.get(Path(path)) or {}):
            _check_foreign(Path(path))
    for stage in ("train", "sample"):
        for case in rules.all[stage].cases:
            made = Path(rules.all[stage].outputs[0].format(**case))
            if headers.get(made):
                _refuse_survivors(rules.suite, made, Path(rules.spec_path(stage, case)), headers)


def check_files(paths: Iterable[Path]) -> dict[Path, Json | None]:
    """Return the headers of files, None for one that has gone; ArtefactError, naming the first broken one."""
    paths = sorted(paths)
    with ThreadPoolExecutor() as pool:  # hashes are computed outside the interpreter's lock
        return dict(zip(paths, pool.map(_check_settled, paths), strict=True))


def _refuse_survivors(
    suite: Suite, made: Path, spec: Path, headers: Mapping[Path, Json | None]
) -> None:
    """Raise ArtefactError when a surviving job of an earlier run has overwritten the outputs of a later one.

    Such a file is younger than the spec and the inputs on disk, and was not made from them.
    """
    header, told = headers[made] or {}, headers.get(spec) or {}
    expected = {name: told.get(name, DEFAULTS.get(name)) for name in RUN_FACTS}
    pairs = [(spec, name, value) for name, value in expected.items() if told]
    files = suite.layout.task(str(told.get("task")))
    prior = suite.layout.prior(str(told.get("prior")), str(told.get("family")))
    for name, path, its in (
        ("observations_sha256", files.measurements, "observations_sha256"),
        ("prior_sha256", prior, "sha256"),
        ("state_sha256", RunFiles(made.parent).state, "sha256"),
    ):
        if header.get(name) and headers.get(path):
            pairs.append((path, name, (headers[path] or {}).get(its)))
    for path, name, value in pairs:
        if header.get(name) != value and path.stat().st_mtime_ns < made.stat().st_mtime_ns:
            raise ArtefactError(
                f"{made}: was written by a job of an earlier run: {name} is {str(header.get(name))[:40]}, not "
                f"{str(value)[:40]} as in {path}; delete it and run the same command again"
            )


def _check_settled(path: Path) -> Json | None:
    """Return the header of a file, checked twice where another run may be writing it; None where it has gone since."""
    try:
        return _check(path)
    except ArtefactError:
        time.sleep(0.2)
        return _check(path) if path.exists() else None


def _check(path: Path) -> Json:
    if path.suffix == ".csv" and not Path(f"{path}.info.json").exists():
        raise ArtefactError(
            f"{path}: its record {path.name}.info.json is gone; delete it and run the same command again"
        )
    return read_facts(path)


def _check_foreign(manifest: Path) -> None:
    """Check the files that the header of a prior lists, by their path beside it, against their sha256, and its card."""
    card = manifest.with_name("card.json")
    if not card.exists() or not _is_intact(card):
        what = "was truncated or edited" if card.exists() else "is missing"
        raise ArtefactError(
            f"{card}: {what}; delete {manifest.name} and run the same command again"
        )
    for name, expected in read_header(manifest).get("files", {}).items():
        file = manifest.parent / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            what = "does not match the sha256" if file.is_file() else "is missing, but listed"
            raise ArtefactError(
                f"{file}: {what} in {manifest}; delete {manifest.name} and run the same command again"
            )


def _is_intact(path: Path) -> bool:
    try:
        return bool(read_facts(path))
    except ArtefactError:
        return False


def write_specs(suite: Suite) -> None:
    """Write the specs that are new or changed, after what they name was tried out."""
    for path, spec in sound_specs(suite).items():
        spec.write(path)


def sound_specs(suite: Suite) -> dict[str, Spec]:
    """Return the specs that are new or changed. UserError, one line, for parameters that a constructor refuses.

    Data sets, priors, operators and methods are tried out, and the columns that lead the tables are looked for.
    """
    changed = {
        path: spec for path, spec in specs_of(suite) if content_on_disk(path) != spec.content()
    }
    asked = [_to_try(suite, spec) for spec in changed.values() if isinstance(spec, BUILT)]
    runs = {
        json.dumps([spec.method, spec.settings], sort_keys=True): spec
        for spec in changed.values()
        if isinstance(spec, RunSpec)
    }
    asked += [_to_try(suite, spec) for spec in runs.values()]
    if any(isinstance(spec, SuiteSpec) for spec in changed.values()):
        asked += [
            (key, "columns", {"columns": columns, "metrics": parameters_of(suite.content)})
            for key, columns in named_columns(suite.content).items()
            if not suite.beside  # published rows may have other columns
        ]
    _try_constructors(suite, asked)
    return changed


def _try_constructors(suite: Suite, asked: list[Asked]) -> None:
    """Try the constructors in a process of its own: it imports torch and the methods, which this one does not."""
    if not asked:
        return
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "specs.json"), Path(folder, "answer.json")
        question.write_text(json.dumps(asked))
        # forked like a job, if there is a server of jobs, which has imported torch
        module = ["-m", "bench.runtime.preload", "-m", "bench.plan.constructors"]
        command = [sys.executable, *module, str(question), str(answer)]
        nowhere = subprocess.DEVNULL
        subprocess.run(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
        faults = json.loads(answer.read_text()) if answer.exists() else []
    for key, what in faults[:1]:
        raise UserError(f"{suite.file}: {key}: {what}")


def _to_try(suite: Suite, spec: ToTry) -> Asked:
    """Return the key of a spec in the suite's file, its kind, and the content for its constructors."""
    content = dataclasses.asdict(spec)
    if isinstance(spec, DataSpec):
        return f"datasets.{spec.dataset}", "dataset", content
    if isinstance(spec, PriorSpec):
        return f"priors.{spec.prior}", "prior", content | {"size": suite.size(spec.dataset)}
    if isinstance(spec, TaskSpec):
        return f"tasks.{spec.task}", "task", content | {"size": suite.size(spec.dataset)}
    of_task = spec.method in suite.content["tasks"][spec.task].get("settings", {})
    key = f"tasks.{spec.task}.settings.{spec.method}" if of_task else f"methods.{spec.method}"
    return key, "method", content


def content_on_disk(path: str) -> dict | None:
    """Return the content of a spec on disk, without its hash; None where there is none."""
    if not Path(path).exists():
        return None
    return {key: value for key, value in read_json(path).items() if key != "sha256"}
