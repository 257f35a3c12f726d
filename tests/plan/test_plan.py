"""The plan: what a suite's file may say, how it is told off, and which files belong to which command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench import plan
from bench.core.errors import UserError
from bench.core.specs import ToySpec
from bench.core.weights import missing
from bench.plan.folder import write_specs
from bench.plan.inputs import Inputs
from bench.plan.rules import Rules
from bench.plan.schema import suite_schema
from bench.plan.sources import sources_of
from bench.plan.suite_specs import specs_of

REPOSITORY = Path(__file__).resolve().parents[2]
TASK = "tasks/gmm-saturate"
DENOISE = {"operator": "denoise", "sigma_y": 1}
EDM = {"family": "edm", "dataset": "digits"}
MAP = {"family": "consistency", "dataset": "digits", "teacher": "gmm"}
SUITE = """
name: mine
seeds: [0]
num_measurements: 4
num_samples: 8
num_reference: 32
rows_per_chunk: 256
datasets: {digits: {}, shapes: {side: 16}}
priors:
  gmm: {family: gmm, dataset: digits, num_components: 5, shrinkage: 30, floor: 0.002}
  atoms: {family: atoms, dataset: digits}
  shapes: {family: atoms, dataset: shapes}
tasks:
  gmm-inpaint-box: {operator: inpaint-box, box: 4, sigma_y: 0.1}
  gmm-saturate: {operator: saturate, gain: 2.0, sigma_y: 0.2}
  atoms-sr2: {operator: average-pool, factor: 2, sigma_y: 0.8}
  shapes-phase: {operator: phase, oversample: 2.0, sigma_y: 0.5}
methods: {toy: {}, toy-n5: {num_steps: 5}}
"""
FAMILY = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Settings:
    width: int = 8
    pipeline: str | None = None

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"width must be positive, got {self.width}")
"""
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
    shutil.copytree(
        REPOSITORY / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/__init__.py").touch()
    (tmp_path / "methods/toy.py").write_text(METHOD)
    (tmp_path / "methods/broken.py").write_text("import nothing_of_that_name\n__all__ = ['X'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suite_file(folder: Path, **changes: object) -> dict:
    """Write my.yaml, the suite with changes (`a/b` reaches inside); return Snakemake's config for it."""
    content = yaml.safe_load(SUITE)
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


TUNE = {
    "seconds": 9,
    "num_measurements": 2,
    "num_samples": 4,
    "tasks": ["gmm-saturate"],
    "methods": ["ranged"],
}
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
    (
        {f"{TASK}/operator": "saturat"},
        "tasks.gmm-saturate.operator: expected one of",
        "did you mean saturate?",
    ),
    ({f"{TASK}/gian": 3}, "tasks.gmm-saturate.gian: unknown key", "did you mean gain?"),
    ({f"{TASK}/gain": None}, "tasks.gmm-saturate.gain: missing", "a number"),
    ({f"{TASK}/settings": {"dps": {}}}, "tasks.gmm-saturate.settings.dps: unknown key", "toy"),
    ({f"{TASK}/settings": {"toy": {"zet": 1}}}, "tasks.gmm-saturate.settings.toy.zet", "zeta"),
    (
        {"tasks/gmn-blur": DENOISE},
        "tasks.gmn-blur: a task's name starts with its prior",
        "did you mean gmm?",
    ),
    ({"tasks/gmm blur": DENOISE}, "tasks.gmm blur: not a name", "letters, digits"),
    (
        {"priors/gmm/dataset": "digit"},
        "priors.gmm.dataset: expected one of digits",
        "did you mean digits?",
    ),
    (
        {"priors/gmm/family": "atom"},
        "priors.gmm.family: expected one of atoms,",
        "did you mean atoms?",
    ),
    ({"priors/edm": {"family": "edm"}}, "priors.edm.dataset: missing", "the images"),
    ({"priors/edm": EDM | {"channel": 9}}, "priors.edm.channel: unknown key", "channels?"),
    (
        {"priors/edm": EDM | {"num_iterations": 9.5}},
        "priors.edm.num_iterations: expected a whole number",
        "got 9.5",
    ),
    (
        {"priors/edm": EDM | {"teacher": "gmm"}},
        "priors.edm.teacher: only a consistency prior has one",
        "not edm",
    ),
    ({"priors/map": MAP | {"teacher": None}}, "priors.map.teacher: expected one of", "got null"),
    (
        {"priors/map": {"family": "consistency", "dataset": "digits"}},
        "priors.map.teacher: missing",
        "it learns",
    ),
    (
        {"priors/map": MAP | {"teacher": "gnm"}},
        "priors.map.teacher: expected one of",
        "did you mean gmm?",
    ),
    (
        {"priors/map": MAP | {"teacher": "shapes"}},
        "priors.map.teacher: shapes is a prior of shapes",
        "digits",
    ),
    (
        {"priors/a": MAP, "priors/b": MAP | {"teacher": "a"}},
        "priors.b.teacher: a has a teacher itself",
        "gmm",
    ),
    (
        {"metrics": {"set": {}}},
        "metrics.set: no such metric; expected one of",
        "did you mean sets?",
    ),
    ({"metrics": {"sets": ["digits-cnn-v1"]}}, "metrics.sets: expected a mapping", "got"),
    (
        {"metrics": {"sets": {"extractor": []}}},
        "metrics.sets.extractor: not a parameter in",
        "mean extractors?",
    ),
    (
        {"metrics": {"sets": {"extractors": ["digits-cnn-v2"]}}},
        "metrics.sets.extractors: no such network",
        "-v1?",
    ),
    (
        {"metrics": {"sets": {"offline": "yes"}}},
        "metrics.sets.offline: expected true or false",
        '"yes"',
    ),
    (
        {"metrics": {"sets": {"tasks": ["gmm-saturat"]}}},
        "metrics.sets.tasks: no such task here",
        "mean gmm-saturate?",
    ),
    (
        {"restrict": {"toi": {"num_measurements": 2}}},
        "restrict.toi: unknown key",
        "did you mean toy?",
    ),
    (
        {"restrict": {"toy": {"tasks": ["gmm-saturat"]}}},
        "restrict.toy.tasks.0: expected one of",
        "mean gmm-saturate?",
    ),
    (
        {"restrict": {"toy": {"num_measurements": 5}}},
        "restrict.toy.num_measurements: expected at most",
        "= 4, got 5",
    ),
    (
        {"restrict": {"toy": {}}},
        "restrict.toy: expected a mapping, not empty",
        "Where a method runs",
    ),
    ({"restrict": {"toy": {"task": []}}}, "restrict.toy.task: unknown key", "did you mean tasks?"),
    ({"tune": TUNE | {"methods": ["toi"]}}, "tune.methods.0: expected one of", "did you mean toy?"),
    (
        {"tune": TUNE | {"tasks": ["gmm-saturat"]}},
        "tune.tasks.0: expected one of",
        "did you mean gmm-saturate?",
    ),
    (
        {"tune": TUNE | {"methods": ["toy"]}},
        "tune.methods: toy has nothing to tune",
        "methods/toy.py",
    ),
    ({"tune": TUNE | {"seconds": 0}}, "tune.seconds: expected a number, above 0", "got 0"),
    ({"tune": TUNE | {"secnods": 9}}, "tune.secnods: unknown key", "did you mean seconds?"),
    ({"tune": {"seconds": 9}}, "tune.num_measurements: missing", "of validation images"),
    ({"toys": {"moons": {}}}, "datasets: unknown key", "expected one of name, toys"),
    ({"methods/toi": {}}, "methods.toi: no module methods/toi.py", "did you mean toy?"),
    ({"methods/reference": {}}, "methods.reference", "floor"),
    ({"methods/toy/num_step": 3}, "methods.toy.num_step: unknown key", "mean num_steps?"),
    ({"methods/toy/num_steps": 2.5}, "methods.toy.num_steps: expected a whole number", "got 2.5"),
    (
        {"methods/toy/drift": "flatt"},
        "methods.toy.drift: expected one of prior, flat",
        "did you mean flat?",
    ),
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
        ("name: x\n? [a]\n: y\n", "my.yaml, line 2: not valid YAML: key ['a'] is not text"),
        ("name: &a [*a]\n", "my.yaml, line 1: not valid YAML: an anchor holds an alias of itself"),
        ("name: !!int abc\n", "my.yaml: not valid YAML: invalid literal"),
        ('name: "bad\\n"\ntoys: {a: {}}\n', "my.yaml: name: expected text, of letters"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{y}: &{y} [{','.join([f'*{x}'] * 9)}]\n"
                for x, y in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "my.yaml: its aliases stand for",
        ),
        ("tasks: {" + "x: {}, " * 300_000 + "}", "my.yaml: has 2.0 MiB; expected a suite's file"),
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
    assert (
        plan.load({"suite": "my.yaml"}).root
        == plan.load(content, ["my.yaml"]).root
        == "results/mine"
    )
    for config, files, complaint in [
        ({"suite": "smok"}, [], "did you mean smoke?"),
        ({"num_samples": 3}, [], "only suite="),
        (content | {"suite": "smoke"}, ["my.yaml"], "suites are not merged"),
        (content, ["my.yaml", "config/smoke.yaml"], "suites are not merged"),
    ]:
        with pytest.raises(UserError, match=complaint):
            plan.load(config, files)


@pytest.mark.parametrize("name", ["default", "smoke", "tuning"])
def test_our_suites_pass_their_schema(name, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert plan.load({"suite": name}).root == f"results/{name}"


def test_every_key_of_a_suite_is_described():
    def undescribed(schema, where=()):
        for key, entry in schema.get("properties", {}).items():
            if "description" not in entry:
                yield ".".join([*where, key])
            yield from undescribed(entry, (*where, key))

    assert list(undescribed(suite_schema({"timing_only": True}))) == []


def test_specs_hold_what_a_command_needs(folder):
    suite = plan.load(suite_file(folder, **{"tasks/gmm-saturate/settings": {"toy": {"zeta": 3}}}))
    specs = dict(specs_of(suite))
    run = specs["results/mine/specs/runs/gmm-saturate/toy/seed0.json"]
    assert run.settings == {"zeta": 3} and run.module == "toy" and run.family == "gmm"
    assert specs["results/mine/specs/runs/gmm-saturate/toy-n5/seed0.json"].settings == {
        "num_steps": 5
    }
    task = specs["results/mine/specs/tasks/shapes-phase.json"]
    assert (
        task.dataset == "shapes"
        and task.parameters == {"oversample": 2.0}
        and task.num_reference == 32
    )


TRAINABLE = (
    METHOD
    + """
    def train(self, prior, problem, *, rng):
        return {}
"""
)


def test_a_method_that_trains_has_a_spec_for_it(folder):
    (folder / "methods/trained.py").write_text(TRAINABLE)
    changes = {
        "methods/trained": {"zeta": 2.0},
        "restrict": {"trained": {"tasks": ["gmm-saturate"]}},
    }
    suite = plan.load(suite_file(folder, **changes))
    specs, name = dict(specs_of(suite)), "gmm-saturate/trained/seed0"
    assert [path for path in specs if "/train/" in path] == [
        f"results/mine/specs/train/{name}.json"
    ]
    training = specs[f"results/mine/specs/train/{name}.json"].content()
    facts = {
        "method": "trained",
        "module": "trained",
        "settings": {"zeta": 2.0},
        "seed": 0,
        "operator": "saturate",
    }
    facts.pop("seed")
    assert (
        facts.items() <= training.items()
        and not {"num_samples", "num_measurements"} & training.keys()
    )
    assert specs[f"results/mine/specs/runs/{name}.json"].trains
    assert not specs["results/mine/specs/runs/gmm-saturate/toy/seed0.json"].trains
    state = f"results/mine/runs/{name}/state.safetensors"
    assert state in Rules(suite).targets and state in Inputs(suite).training(
        "gmm-saturate", "trained", 0
    )
    assert Inputs(suite).training("gmm-saturate", "toy", 0) == []


def test_a_restricted_method_has_no_job_elsewhere(folder):
    suite = plan.load(
        suite_file(folder, restrict={"toy": {"tasks": ["gmm-saturate"], "num_measurements": 2}})
    )
    specs = dict(specs_of(suite))
    others = [task for task in suite.tasks if task != "gmm-saturate"]
    assert specs["results/mine/specs/suite.json"].left_out == tuple(
        (task, "toy") for task in others
    )
    assert specs["results/mine/specs/runs/gmm-saturate/toy/seed0.json"].num_measurements == 2
    assert specs["results/mine/specs/runs/gmm-saturate/toy-n5/seed0.json"].num_measurements is None
    for task in others:
        (run,) = specs[f"results/mine/specs/evaluate/{task}.json"].runs
        assert run.method == "toy-n5"
        assert Inputs(suite).samples(task) == [
            f"results/mine/runs/{task}/toy-n5/seed0/samples.safetensors"
        ]
        assert not any(f"{task}/toy/" in path for path in [*specs, *Rules(suite).targets])


def test_methods_are_tuned_where_the_suite_asks_for_it_and_runs_them(folder):
    ranged = METHOD.replace(
        "    num_steps", "    search: ClassVar[dict] = {'zeta': 1}\n    num_steps", 1
    )
    (folder / "methods/ranged.py").write_text(ranged)
    asked = TUNE | {
        "tasks": ["gmm-saturate", "atoms-sr2"],
        "methods": ["ranged", "ranged-b", "broken"],
    }
    changes = {
        "methods/ranged": {"zeta": 2.0},
        "methods/ranged-b": {},
        "methods/broken": {},
        "tune": asked,
    }
    suite = plan.load(
        suite_file(folder, **changes, restrict={"ranged-b": {"tasks": ["atoms-sr2"]}})
    )
    pairs = [f"gmm-saturate/{method}" for method in ("broken", "ranged")]
    pairs += [f"atoms-sr2/{method}" for method in ("broken", "ranged", "ranged-b")]
    assert Rules(suite).made("tune") == [f"results/mine/tuning/{pair}/trials.csv" for pair in pairs]
    assert set(Rules(suite).made("tune")) < set(Rules(suite).targets)
    specs = dict(specs_of(suite))
    assert [path for path in specs if "/tune/" in path] == [
        f"results/mine/specs/tune/{pair}.json" for pair in pairs
    ]
    spec = specs["results/mine/specs/tune/gmm-saturate/ranged.json"].content()
    assert spec["tune"] == {"seconds": 9, "num_measurements": 2, "num_samples": 4}
    assert (
        spec["settings"] == {"zeta": 2.0}
        and not {"seed", "num_samples", "num_measurements"} & spec.keys()
    )
    assert Rules(plan.load(suite_file(folder))).made("tune") == []


def test_a_prior_with_a_teacher_depends_on_it(folder):
    suite = plan.load(suite_file(folder, **{"priors/map": MAP | {"num_steps": 2}}))
    spec = dict(specs_of(suite))["results/mine/specs/priors/map.json"]
    assert (spec.teacher, spec.teacher_family, spec.parameters) == ("gmm", "gmm", {"num_steps": 2})
    assert (
        Inputs(suite).teacher("map") == ["results/mine/priors/gmm/gmm.safetensors"]
        and Inputs(suite).teacher("gmm") == []
    )
    fetched = {key: value for key, value in MAP.items() if key != "teacher"} | {
        "pipeline": "some/hub-id"
    }
    assert Inputs(plan.load(suite_file(folder, **{"priors/map": fetched}))).teacher("map") == []
    sources = {Path(file).name for file in Inputs(suite).prior_sources("map")}
    assert {"consistency.py", "gmm.py"} <= sources and "edm.py" not in sources


def test_a_suite_of_toys_has_nothing_else(folder):
    Path("my.yaml").write_text("name: mine\ntoys: {moons: {num_steps: 3}, roll: {}}\n")
    suite = plan.load({"suite": "my.yaml"})
    stems = ("results/mine/figures/moons", "results/mine/figures/roll")
    assert Rules(suite).targets == [
        f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "csv")
    ]
    specs = dict(specs_of(suite))
    assert specs.pop("results/mine/specs/toys/roll.json") == ToySpec(
        root="results/mine", toy="roll"
    )
    assert (
        specs.pop("results/mine/specs/toys/moons.json").parameters == {"num_steps": 3} and not specs
    )


def test_specs_are_written_only_when_they_changed(folder):
    write_specs(plan.load(suite_file(folder)))
    before = {path: path.stat().st_mtime_ns for path in Path("results").rglob("*.json")}
    write_specs(plan.load(suite_file(folder, **{"methods/toy-n5": {"num_steps": 6}})))
    changed = {str(path) for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {
        f"results/mine/specs/runs/{task}/toy-n5/seed0.json"
        for task in plan.load({"suite": "my.yaml"}).tasks
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes, complaint",
    [
        (
            {"methods/toy": {"num_steps": 0}},
            "my.yaml: methods.toy: num_steps must be positive, got 0",
        ),
        (
            {"tasks/gmm-saturate/settings": {"toy": {"num_steps": 0}}},
            "my.yaml: tasks.gmm-saturate.settings.toy: num_steps must",
        ),
        ({"tasks/gmm-inpaint-box/box": 9}, "my.yaml: tasks.gmm-inpaint-box: "),
        (
            {"datasets/shapes": {"side": 4}},
            "my.yaml: datasets.shapes: shapes: side must be a whole number of at least 8",
        ),
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


def test_sources_follow_the_imports(tmp_path, monkeypatch):
    files = {
        "verb.py": "import json\nfrom bench.noun import thing\nfrom bench.runtime.job import run",
        "noun/__init__.py": "def f():\n    import bench.deep.leaf",
        "noun/thing.py": "",
        "noun/other.py": "",
        "noun/notes.txt": "",
        "noun/page.html": "",
        "noun/table.json": "{}",
        "deep/__init__.py": "",
        "deep/leaf.py": "from bench.verb import x",
        "cli.py": "",
    }
    for name, text in files.items():
        (tmp_path / "bench" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bench" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    sources_of.cache_clear()
    expected = [
        "deep/__init__.py",
        "deep/leaf.py",
        "noun/__init__.py",
        "noun/page.html",
        "noun/table.json",
    ]
    expected += ["noun/thing.py", "verb.py"]
    assert sources_of("bench/verb.py") == tuple(f"bench/{name}" for name in expected)
    sources_of.cache_clear()


def test_the_plan_imports_nothing_heavy():
    code = "import sys, bench.plan; print([m for m in ('torch', 'numpy', 'pandas', 'sklearn') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


ONE_PRIOR = {
    "priors": {"shapes": {"family": "atoms", "dataset": "shapes"}},
    "datasets": {"shapes": {"side": 32}},
    "tasks": {"shapes-denoise": DENOISE},
}


def test_metrics_bring_their_classifier_and_their_images(folder):
    asked = {"perceptual": {"networks": ["percept-digits-v1", "lpips-vgg-v0.1"]}}
    asked |= {"sets": {"extractors": ["digits-cnn-v1"]}}
    plain = plan.load(suite_file(folder))
    assert (
        plain.classifiers == Inputs(plain).of_metrics("gmm-saturate") == plain.absent_weights == []
    )
    suite = plan.load(suite_file(folder, metrics=asked))
    # LPIPS is not for 8 x 8
    assert suite.classifiers == ["digits-cnn-v1"] and suite.absent_weights == []
    trained = "results/mine/classifiers/digits-cnn-v1/digits-cnn-v1.safetensors"
    assert Inputs(suite).of_metrics("gmm-saturate") == [
        trained,
        "results/mine/data/digits.safetensors",
    ]
    assert suite.classifier_of_reward("gmm-saturate") == []  # it is of no task's reward
    assert dict(specs_of(suite))["results/mine/specs/evaluate/gmm-saturate.json"].metrics == asked


def test_a_network_of_another_data_set_is_a_fault(folder):
    with pytest.raises(
        UserError,
        match="my.yaml: metrics.sets.extractors: digits-cnn-v1 needs a network trained on digits",
    ):
        plan.load(
            suite_file(folder, **ONE_PRIOR, metrics={"sets": {"extractors": ["digits-cnn-v1"]}})
        )


def test_absent_weights_stop_the_run_before_it_starts_unless_it_is_offline(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    asked = {"perceptual": {"networks": ["lpips-alex-v0.1"]}}
    with pytest.raises(SystemExit) as end:
        plan.open_suite(suite_file(folder, **ONE_PRIOR, metrics=asked), [], check=True)
    line = f"error: my.yaml: metrics: {missing('alexnet')}; or set offline: true there"
    assert end.value.code == line and not Path("results/mine/specs").exists()
    offline = plan.load(
        suite_file(
            folder, **ONE_PRIOR, metrics={"perceptual": {**asked["perceptual"], "offline": True}}
        )
    )
    assert offline.absent_weights == []
