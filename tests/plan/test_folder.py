"""A suite's folder: a broken artefact is named, and only one run at a time uses the folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.suite_file import (
    folder_of_two_methods,  # noqa: F401 (a fixture)
    suite_file,
)

from bench import plan
from bench.core.artefacts import ArtefactError, write_csv, write_json, write_tensors
from bench.core.errors import UserError
from bench.plan.folder import _refuse_survivors, check_artefacts, check_files, lock_folder
from bench.plan.rules import Rules

REPOSITORY = Path(__file__).resolve().parents[2]
EDM = {"family": "edm", "dataset": "digits"}


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.csv.info.json", "a.safetensors"])
@pytest.mark.parametrize("harm", ["edit", "cut"])
def test_a_broken_artefact_is_named(tmp_path, name, harm):
    write_json(tmp_path / "deep/a.json", {"x": 1})
    write_csv(tmp_path / "deep/a.csv", "x\n1\n", {})
    write_tensors(tmp_path / "deep/a.safetensors", {"x": [1.0, 2.0]}, {})
    written = [tmp_path / f"deep/a.{kind}" for kind in ("json", "csv", "safetensors")]
    check_files(written)
    path = tmp_path / "deep" / name
    data = path.read_bytes()
    path.write_bytes(data[:-2] if harm == "cut" else data.replace(b"1", b"2", 1) + b"2")
    made = "a.csv" if name == "a.csv.info.json" else "it"  # a record is made with its csv
    with pytest.raises(
        ArtefactError,
        match=rf"a\.(json|csv|csv\.info\.json|safetensors): .*delete {made} and run",
    ):
        check_files(written)


@pytest.mark.parametrize("harm", ["edit", "delete", "none"])
def test_files_in_a_foreign_format_are_checked_by_the_manifest(folder, harm):
    rules = Rules(plan.load(suite_file(folder, **{"priors/edm": EDM})))
    names = ("pipeline/model_index.json", "pipeline/unet/w.safetensors")
    prior = Path(rules.suite.root, "priors/edm")
    files = {name: prior / name for name in names}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    check_artefacts(rules)  # no manifest yet: a run was killed, and its files are nobody's
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    write_tensors(prior / "edm.safetensors", {}, {"files": digests})
    write_json(prior / "card.json", {})
    broken = files["pipeline/unet/w.safetensors"]
    {"edit": lambda: broken.write_text("{ }"), "delete": broken.unlink, "none": lambda: None}[
        harm
    ]()
    if harm == "none":
        return check_artefacts(rules)
    with pytest.raises(ArtefactError) as caught:
        check_artefacts(rules)
    assert str(caught.value).startswith(f"{broken}: ") and "delete edm.safetensors and run" in str(
        caught.value
    )


def test_a_csv_without_its_record_is_named(tmp_path):
    write_csv(tmp_path / "a.csv", "x\n1\n", {})
    (tmp_path / "a.csv.info.json").unlink()
    with pytest.raises(ArtefactError, match=r"a\.csv: its record .* is gone"):
        check_files([tmp_path / "a.csv"])


def test_a_folder_belongs_to_one_living_process(tmp_path):
    root = str(tmp_path / "suite")
    code = f"from bench.plan.folder import lock_folder; lock_folder({root!r}); print('mine', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "mine\n"
    with pytest.raises(UserError, match="another run is at work"):
        lock_folder(root)
    left_behind = tmp_path / "suite/.metrics.csv.ab_cd012"
    left_behind.touch()
    of_the_user = tmp_path / "suite/.vscode.settings"
    of_the_user.touch()
    other.kill()
    other.wait()
    lock_folder(root)
    assert not left_behind.exists() and of_the_user.exists()


@pytest.mark.parametrize("harm", ["edit", "delete"])
def test_a_card_is_made_anew_with_its_prior(folder, harm):
    rules = Rules(plan.load(suite_file(folder)))
    prior = rules.suite.layout.prior("gmm", "gmm")
    write_tensors(prior, {}, {"files": {}})
    card = prior.with_name("card.json")
    write_json(card, {"seconds": 1})
    check_artefacts(rules)
    card.unlink() if harm == "delete" else card.write_text("{}")
    with pytest.raises(ArtefactError, match=f"{card}: .*; delete gmm.safetensors and run"):
        check_artefacts(rules)
    prior.unlink()  # as the line says
    check_artefacts(rules)


def test_files_that_the_suite_does_not_name_are_not_touched(folder):
    rules = Rules(plan.load(suite_file(folder)))
    for name in ("notes.csv", ".ipynb_checkpoints/a.json", "runs/mine.safetensors", "a.json/b"):
        path = Path(rules.suite.root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of the user")
    check_artefacts(rules)


@pytest.fixture
def written(folder) -> tuple[Rules, Path]:
    """The rules of a suite with its specs, and the file of a run that was made from them."""
    rules = Rules(plan.load(suite_file(folder)))
    for path, spec in rules.specs.items():
        spec.write(path)
    made = rules.suite.layout.run("gmm-saturate", "toy", 0).samples
    write_tensors(made, {}, run_header())
    return rules, made


def run_header(**changes: object) -> dict:
    facts = {"task": "gmm-saturate", "method": "toy", "module": "toy", "settings": {}, "seed": 0}
    return facts | changes


def test_a_run_that_is_of_its_spec_is_kept(written):
    check_artefacts(written[0])


@pytest.mark.parametrize("change", [{"settings": {"num_steps": 3}}, {"seed": 1}])
def test_a_file_overwritten_by_a_process_of_an_earlier_run_is_refused(written, change):
    rules, made = written
    write_tensors(made, {}, run_header(**change))
    with pytest.raises(ArtefactError, match=f"{made}: was written by a job of an earlier run"):
        check_artefacts(rules)
    made.unlink()  # as the line says
    check_artefacts(rules)


def test_a_run_of_settings_that_were_changed_since_is_to_be_made_anew_and_no_fault(written):
    rules, made = written
    write_tensors(made, {}, run_header(settings={"num_steps": 3}))
    earlier = made.stat().st_mtime_ns - 10**9
    os.utime(made, ns=(earlier, earlier))
    check_artefacts(rules)


def test_a_run_of_another_prior_is_refused_where_it_is_the_younger(written):
    rules, made = written
    prior = rules.suite.layout.prior("gmm", "gmm")
    write_tensors(prior, {}, {"family": "gmm"})
    write_tensors(made, {}, run_header(prior_sha256="0" * 64))
    with pytest.raises(ArtefactError, match="prior_sha256 is 000"):
        check_artefacts(rules)


def test_a_run_of_another_training_is_refused_where_it_is_the_younger(written):
    rules, made = written
    state = made.with_name("state.safetensors")
    write_tensors(state, {}, run_header())
    headers = {made: run_header(state_sha256="0" * 64), state: {"sha256": "1" * 64}}
    with pytest.raises(ArtefactError, match="state_sha256 is 000"):
        _refuse_survivors(rules.suite, _younger(made, state), Path("no spec"), headers)
    headers[made]["state_sha256"] = None  # its process ended without writing its result
    _refuse_survivors(rules.suite, made, Path("no spec"), headers)


def _younger(made: Path, than: Path) -> Path:
    later = than.stat().st_mtime_ns + 10**9
    os.utime(made, ns=(later, later))
    return made


def test_everything_on_which_tasks_depend_is_a_target(folder):
    targets = Rules(plan.load(suite_file(folder, **{"priors/unused": EDM}))).targets
    root = Path("results/mine")
    for name in ("data/digits.safetensors", "priors/gmm/gmm.safetensors"):
        assert str(root / name) in targets
    assert not any("unused" in target for target in targets)


@pytest.mark.parametrize("make", ["link", "file"])
def test_a_file_that_replaces_the_folder_is_named_in_one_line(tmp_path, make):
    root = tmp_path / "suite"
    root.symlink_to(tmp_path / "nowhere") if make == "link" else root.touch()
    with pytest.raises(UserError, match=f"{root}: a file, or a link that leads nowhere"):
        lock_folder(str(root))
