"""The plan: the specs, inputs and targets that follow from a suite's file, and the files on which it depends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY
from helpers.suite_file import (
    MAP,
    METHOD,
    TUNE,
    folder_of_two_methods,  # noqa: F401 (a fixture)
    suite_file,
)

from bench import plan
from bench.core import weights
from bench.core.catalogue import PERCEPTUAL, Network
from bench.core.specs import ToySpec
from bench.plan import sources
from bench.plan.folder import write_specs
from bench.plan.inputs import Inputs
from bench.plan.rules import Rules
from bench.plan.schema import suite_schema
from bench.plan.sources import sources_of
from bench.plan.suite_specs import specs_of


@pytest.mark.parametrize(
    "name",
    [
        "default", "digits", "ablations", "smoke", "tuning", "photos", "photos-64", "photos-learned", "fashion",
        "fashion-learned",
    ],
)  # fmt: skip
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


def test_specs_have_everything_that_a_command_needs(folder):
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


def test_a_row_may_name_its_plug_in(folder):
    suite = plan.load(
        suite_file(folder, **{"methods/theirs-n5": {"plugin": "toy", "num_steps": 5}})
    )
    run = dict(specs_of(suite))["results/mine/specs/runs/gmm-saturate/theirs-n5/seed0.json"]
    assert (run.module, run.settings) == ("toy", {"num_steps": 5})
    assert "methods/toy.py" in Inputs(suite).method_sources("theirs-n5")


def test_trained_rows_may_have_more_seeds_than_others(folder):
    (folder / "methods/trained.py").write_text(TRAINABLE)
    changes = {"methods/trained": {}, "training_seeds": [0, 1, 2]}
    suite = plan.load(suite_file(folder, **changes))
    assert {(row, seed) for _, row, seed in suite.runs} == {
        ("toy", 0),
        ("toy-n5", 0),
        *(("trained", seed) for seed in range(3)),
    }
    whole = dict(specs_of(suite))["results/mine/specs/suite.json"]
    assert whole.seeds_of("trained") == (0, 1, 2)
    assert whole.seeds_of("toy") == (0,)


def test_a_row_may_have_fewer_seeds_than_the_suite(folder):
    (folder / "methods/trained.py").write_text(TRAINABLE)
    changes = {"methods/trained": {}, "training_seeds": [0, 1, 2]}
    suite = plan.load(suite_file(folder, **changes, restrict={"trained": {"seeds": [0]}}))
    assert {seed for _, row, seed in suite.runs if row == "trained"} == {0}
    assert dict(specs_of(suite))["results/mine/specs/suite.json"].seeds_of("trained") == (0,)


def test_a_task_may_draw_its_truth_from_the_prior_and_have_a_number_of_its_own(folder):
    own = {"operator": "denoise", "sigma_y": 1, "truth": "prior", "num_measurements": 64}
    restrict = {"toy": {"num_measurements": 32}}
    suite = plan.load(suite_file(folder, **{"tasks/gmm-drawn": own, "restrict": restrict}))
    specs = dict(specs_of(suite))
    task = specs["results/mine/specs/tasks/gmm-drawn.json"]
    assert (task.truth, task.num_measurements, task.parameters) == ("prior", 64, {})
    other = specs["results/mine/specs/tasks/gmm-saturate.json"]
    assert (other.truth, other.num_measurements) == ("data", 4) and "truth" not in other.content()
    suite_spec = specs["results/mine/specs/suite.json"]
    assert suite_spec.num_measurements == 4 and suite_spec.num_measured == {"gmm-drawn": 64}


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
    assert not set(Rules(suite).made("tune")) & set(Rules(suite).targets)
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


def test_a_prior_may_be_trained_on_draws_of_another_one(folder):
    edm = {"family": "edm", "dataset": "digits"}
    suite = plan.load(
        suite_file(folder, **{"priors/own": edm, "priors/of_draws": edm | {"teacher": "gmm"}})
    )
    assert Inputs(suite).teacher("of_draws") == ["results/mine/priors/gmm/gmm.safetensors"]
    assert Inputs(suite).teacher("own") == []
    assert suite.priors.index("of_draws") > suite.priors.index("gmm")


def test_the_server_of_jobs_imports_networks_for_suites_that_have_some(folder):
    assert Inputs(plan.load(suite_file(folder))).unused_packages == ["diffusers"]
    edm = {"family": "edm", "dataset": "digits"}
    assert Inputs(plan.load(suite_file(folder, **{"priors/own": edm}))).unused_packages == []
    Path("methods/wraps.py").write_text("import diffusers\n" + Path("methods/toy.py").read_text())
    assert Inputs(plan.load(suite_file(folder, **{"methods/wraps": {}}))).unused_packages == []


def test_claims_are_tested_where_the_suite_asks_for_it_and_quoted_elsewhere(folder):
    ledger = Path("results/reference/claims/claims.csv")
    ledger.parent.mkdir(parents=True)
    ledger.write_text("")
    asked, other = (plan.load(suite_file(folder, **given)) for given in ({"claims": True}, {}))
    made = [f"results/mine/tables/claims.{kind}" for kind in ("csv", "md")]
    assert Rules(asked).made("claims") == made and Inputs(asked).ledger == []
    assert Rules(other).made("claims") == [] and Inputs(other).ledger == [str(ledger)]
    of_pages = [dict(specs_of(suite))["results/mine/specs/suite.json"] for suite in (asked, other)]
    assert [spec.claims for spec in of_pages] == [True, False]


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
    clear_caches_of_sources()
    expected = [  # without deep/__init__.py, which holds no code
        "deep/leaf.py",
        "noun/__init__.py",
        "noun/page.html",
        "noun/table.json",
    ]
    expected += ["noun/thing.py", "verb.py"]
    assert sources_of("bench/verb.py") == tuple(f"bench/{name}" for name in expected)
    clear_caches_of_sources()


def clear_caches_of_sources():
    """Forget what was read of the files of another folder."""
    for kept in vars(sources).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()


def test_the_plan_imports_nothing_heavy():
    code = "import sys, bench.plan; print([m for m in ('torch', 'numpy', 'pandas', 'sklearn') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


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


def test_an_evaluation_depends_on_the_published_weights_that_are_there(
    folder, tmp_path, monkeypatch
):
    """So that the same command fills the cells that had none, once a file is there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(PERCEPTUAL, "lpips-alex-v0.1", Network(weights="alexnet", min_side=8))
    asked = {"perceptual": {"networks": ["lpips-alex-v0.1"]}}
    asked |= {"sets": {"extractors": ["digits-convnet-v1"]}}
    suite = plan.load(suite_file(folder, metrics=asked))
    assert suite.classifiers == ["digits-convnet-v1"]
    without = Inputs(suite).of_metrics("gmm-saturate")
    file = weights.folder() / weights.WEIGHTS["alexnet"].file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    assert set(Inputs(suite).of_metrics("gmm-saturate")) - set(without) == {str(file)}
