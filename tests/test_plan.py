"""The plan: what a suite's file may say, how it is told off, and which files belong to which command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench import plan
from bench.artefacts import ArtefactError, write_csv, write_json
from bench.cli import UserError
from bench.plan.folder import check_artefacts, claim, write_specs

REPOSITORY = Path(__file__).resolve().parent.parent
TASK = "tasks/gmm-saturate"
DENOISE = {"operator": "denoise", "sigma_y": 1}
METHOD = """
from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = ["Toy"]


@dataclass(frozen=True)
class Toy:
    needs: ClassVar[int] = 0
    num_steps: int = 10
    zeta: float = 1.0
    drift: Literal["prior", "flat"] = "prior"
    step: float | None = None

    def __post_init__(self):
        if self.num_steps < 1:
            raise ValueError(f"num_steps must be positive, got {self.num_steps}")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository of its own, with the real schema, the real harness, and two methods."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    (tmp_path / "bench").symlink_to(REPOSITORY / "bench")
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/__init__.py").touch()
    (tmp_path / "methods/toy.py").write_text(METHOD)
    (tmp_path / "methods/broken.py").write_text("import nothing_of_that_name\n__all__ = ['X'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suite_file(folder: Path, **changes: object) -> dict:
    """Write my.yaml, the smoke suite with changes (`a/b` reaches inside); return Snakemake's config for it."""
    content = yaml.safe_load((folder / "config/smoke.yaml").read_text()) | {
        "name": "mine",
        "methods": {"toy": {}, "toy-n5": {"num_steps": 5}},
    }
    for name, value in changes.items():
        *path, last = name.split("/")
        entry = content
        for key in path:
            entry = entry.setdefault(key, {})
        entry[last] = value
        if value is None:
            del entry[last]
    Path("my.yaml").write_text(yaml.safe_dump(content))
    return {"suite": "my.yaml"}


FAULTS = [  # changes, where and what the line says first, what else it says
    ({"num_sample": 8}, "num_sample: unknown key", "did you mean num_samples?"),
    ({"num_samples": None}, "num_samples: missing", "a whole number"),
    ({"num_samples": "8"}, "num_samples: expected a whole number", 'got "8"'),
    ({"num_samples": 8.0}, "num_samples: expected a whole number", "got 8.0"),
    ({"num_measurements": 301}, "num_measurements: expected a whole number", "at most 300"),
    ({"num_reference": 4}, "num_reference: expected at least num_samples = 8", "got 4"),
    ({"seeds": []}, "seeds: expected a list, not empty", "got []"),
    ({"seeds": [1, 1]}, "seeds: expected no value twice", "[1, 1]"),
    ({"methods": {}}, "methods: expected a mapping, not empty", "got {}"),
    ({"name": "smoke"}, "name: 'smoke' is the suite of config/smoke.yaml", "choose another"),
    ({"name": "reference"}, "name: results/reference holds committed results", "choose another"),
    ({f"{TASK}/sigma_y": -1}, "tasks.gmm-saturate.sigma_y: expected a number, above 0", "got -1"),
    ({f"{TASK}/sigma_y": float("nan")}, "tasks.gmm-saturate.sigma_y: expected a number", "nan"),
    ({f"{TASK}/sigma_y": "1e-3"}, "tasks.gmm-saturate.sigma_y", "write 1.0e-3"),
    ({f"{TASK}/operator": "saturat"}, "tasks.gmm-saturate.operator: expected one of", "did you mean saturate?"),
    ({f"{TASK}/gian": 3}, "tasks.gmm-saturate.gian: unknown key", "did you mean gain?"),
    ({f"{TASK}/gain": None}, "tasks.gmm-saturate.gain: missing", "how strongly"),
    ({f"{TASK}/settings": {"dps": {}}}, "tasks.gmm-saturate.settings.dps: no such method", "toy"),
    ({f"{TASK}/settings": {"toy": {"zet": 1}}}, "tasks.gmm-saturate.settings.toy.zet", "zeta"),
    ({"tasks/gmn-blur": DENOISE}, "tasks.gmn-blur: a task's name starts with its prior", "did you mean gmm?"),
    ({"tasks/gmm blur": DENOISE}, "tasks.gmm blur: not a name", "lower-case"),
    ({"priors/gmm/dataset": "digit"}, "priors.gmm.dataset: no such dataset", "did you mean digits?"),
    ({"priors/gmm/family": "atom"}, "priors.gmm.family: expected one of gmm, atoms", "did you mean atoms?"),
    ({"methods/toi": {}}, "methods.toi: no module methods/toi.py", "did you mean toy?"),
    ({"methods/reference": {}}, "methods.reference", "floor"),
    ({"methods/toy/num_step": 3}, "methods.toy.num_step: not a hyperparameter in methods/toy.py", "mean num_steps?"),
    ({"methods/toy/num_steps": 2.5}, "methods.toy.num_steps: expected int", "got 2.5"),
    ({"methods/toy/drift": "flatt"}, "methods.toy.drift: expected Literal", "flatt"),
]


@pytest.mark.parametrize("changes, where, hint", FAULTS)
def test_a_fault_is_one_line_with_file_and_key(folder, changes, where, hint):
    with pytest.raises(UserError) as caught:
        plan.load(suite_file(folder, **changes))
    message = str(caught.value)
    assert message.startswith(f"my.yaml: {where}")
    assert hint in message and "\n" not in message


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("name: x\n  tasks: [\n", "my.yaml, line 2: not valid YAML"),
        ("name: x\nname: y\n", "my.yaml, line 2: not valid YAML: key 'name' is given twice"),
        ("name: x\non: y\n", "my.yaml, line 2: not valid YAML: key True is not text"),
        ("", "my.yaml: expected a mapping"),
        ("[1, 2]", "my.yaml: expected a mapping"),
    ],
)
def test_what_is_not_a_suite_is_said_with_its_line(folder, text, complaint):
    Path("my.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        plan.load({"suite": "my.yaml"})
    assert str(caught.value).startswith(complaint) and "\n" not in str(caught.value)


def test_choice_of_a_suite(folder):
    suite_file(folder)
    content = yaml.safe_load(Path("my.yaml").read_text())
    assert plan.load({"suite": "my.yaml"}).root == plan.load(content, ["my.yaml"]).root == "results/mine"
    for config, files, complaint in [
        ({"suite": "smok"}, [], "did you mean smoke?"),
        ({"num_samples": 3}, [], "only suite="),
        (content | {"suite": "smoke"}, ["my.yaml"], "suites are not merged"),
        (content, ["my.yaml", "config/smoke.yaml"], "suites are not merged"),
    ]:
        with pytest.raises(UserError, match=complaint):
            plan.load(config, files)


@pytest.mark.parametrize("name", ["default", "smoke"])
def test_our_suites_pass_their_schema(name, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert plan.load({"suite": name}).root == f"results/{name}"


def test_every_key_of_the_schema_is_described():
    def undescribed(schema, where=()):
        for key, entry in schema.get("properties", {}).items():
            if "description" not in entry:
                yield ".".join([*where, key])
            yield from undescribed(entry, (*where, key))

    schema = yaml.safe_load((REPOSITORY / "config/schema.yaml").read_text())
    assert list(undescribed(schema)) == []


def test_specs_hold_what_a_command_needs(folder):
    specs = dict(plan.load(suite_file(folder, **{"tasks/gmm-saturate/settings": {"toy": {"zeta": 3}}})).specs())
    run = specs["results/mine/specs/runs/gmm-saturate/toy/seed0.json"]
    assert run["settings"] == {"zeta": 3} and run["module"] == "toy" and run["family"] == "gmm"
    assert specs["results/mine/specs/runs/gmm-saturate/toy-n5/seed0.json"]["settings"] == {"num_steps": 5}
    task = specs["results/mine/specs/tasks/shapes-phase.json"]
    assert task["dataset"] == "shapes" and task["parameters"] == {"oversample": 2.0} and task["num_reference"] == 32


def test_specs_are_written_only_when_they_changed(folder):
    write_specs(plan.load(suite_file(folder)))
    before = {path: path.stat().st_mtime_ns for path in Path("results").rglob("*.json")}
    write_specs(plan.load(suite_file(folder, **{"methods/toy-n5": {"num_steps": 6}})))
    changed = {str(path) for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {
        f"results/mine/specs/runs/{task}/toy-n5/seed0.json" for task in plan.load({"suite": "my.yaml"}).tasks
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"methods/toy": {"num_steps": 0}}, "my.yaml: methods.toy: num_steps must be positive, got 0"),
        (
            {"tasks/gmm-saturate/settings": {"toy": {"num_steps": 0}}},
            "my.yaml: tasks.gmm-saturate.settings.toy: num_steps must",
        ),
        ({"tasks/gmm-inpaint-box/box": 9}, "my.yaml: tasks.gmm-inpaint-box: "),
    ],
)
def test_impossible_values_are_found_by_trying_them(folder, changes, complaint):
    with pytest.raises(UserError) as caught:
        write_specs(plan.load(suite_file(folder, **changes)))
    assert str(caught.value).startswith(complaint)
    assert not Path("results").exists()


@pytest.mark.slow
def test_a_module_that_cannot_be_imported_is_left_to_its_runs(folder):
    write_specs(plan.load(suite_file(folder, **{"methods/broken": {"anything": 1}})))
    assert Path("results/mine/specs/runs/gmm-saturate/broken/seed0.json").exists()


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.csv.info.json", "a.safetensors"])
@pytest.mark.parametrize("harm", ["edit", "cut"])
def test_a_broken_artefact_is_named(tmp_path, name, harm):
    from bench.artefacts import write_tensors

    write_json(tmp_path / "deep/a.json", {"x": 1})
    write_csv(tmp_path / "deep/a.csv", "x\n1\n", {})
    write_tensors(tmp_path / "deep/a.safetensors", {"x": [1.0, 2.0]}, {})
    check_artefacts(str(tmp_path))
    path = tmp_path / "deep" / name
    data = path.read_bytes()
    path.write_bytes(data[:-2] if harm == "cut" else data.replace(b"1", b"2", 1) + b"2")
    with pytest.raises(ArtefactError, match=r"a\.(json|csv|csv\.info\.json|safetensors): .*delete it and run"):
        check_artefacts(str(tmp_path))


def test_a_csv_without_its_record_is_named(tmp_path):
    write_csv(tmp_path / "a.csv", "x\n1\n", {})
    (tmp_path / "a.csv.info.json").unlink()
    with pytest.raises(ArtefactError, match=r"a\.csv: its record .* is gone"):
        check_artefacts(str(tmp_path))


def test_a_folder_belongs_to_one_living_process(tmp_path):
    root = str(tmp_path / "suite")
    code = f"from bench.plan.folder import claim; claim({root!r}); print('mine', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "mine\n"
    with pytest.raises(UserError, match="another run is at work"):
        claim(root)
    left_behind = tmp_path / "suite/.metrics.csv.ab_cd012"
    left_behind.touch()
    other.kill()
    other.wait()
    claim(root)
    assert not left_behind.exists()


def test_sources_follow_the_imports(tmp_path, monkeypatch):
    files = {
        "verb.py": "import json\nfrom bench.noun import thing\nfrom bench.cli import run",
        "noun/__init__.py": "def f():\n    import bench.deep.leaf",
        "noun/thing.py": "",
        "noun/other.py": "",
        "noun/table.json": "{}",
        "deep/__init__.py": "",
        "deep/leaf.py": "from bench.verb import x",
        "cli.py": "",
    }
    for name, text in files.items():
        (tmp_path / "bench" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bench" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    plan.suite.sources_of.cache_clear()
    expected = ["deep/__init__.py", "deep/leaf.py", "noun/__init__.py", "noun/table.json", "noun/thing.py", "verb.py"]
    assert plan.suite.sources_of("bench/verb.py") == tuple(f"bench/{name}" for name in expected)
    plan.suite.sources_of.cache_clear()


def test_the_plan_imports_nothing_heavy():
    code = "import sys, bench.plan; print([m for m in ('torch', 'numpy', 'pandas', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
