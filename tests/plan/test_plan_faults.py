"""Faulty suites are refused in one line with the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.suite_file import (
    DENOISE,
    MAP,
    TUNE,
    folder_of_two_methods,  # noqa: F401 (a fixture)
    suite_file,
)

from bench import plan
from bench.core.errors import UserError
from bench.core.weights import missing
from bench.plan.folder import write_specs

TASK = "tasks/gmm-saturate"
EDM = {"family": "edm", "dataset": "digits"}
ADM = {"family": "adm", "dataset": "digits", "weights": "my.pt", "architecture": "adm-ffhq-256"}
FAULTS = [  # changes, where and what the line says first, what else it says
    ({"num_sample": 8}, "num_sample: unknown key", "did you mean num_samples?"),
    ({"num_samples": None}, "num_samples: missing", "a whole number"),
    ({"num_samples": "8"}, "num_samples: expected a whole number", 'got "8"'),
    ({"num_samples": 8.0}, "num_samples: expected a whole number", "got 8.0"),
    ({"num_measurements": 301}, "num_measurements: expected at most 300, as digits", "got 301"),
    (
        {f"{TASK}/num_measurements": 301},
        "tasks.gmm-saturate.num_measurements: expected at most 300",
        "truth",
    ),
    ({"name": "Reference"}, "name: results/Reference holds committed results", "choose another"),
    (
        {"methods/Toy": {"plugin": "toy"}},
        "methods.toy: differs from Toy in capitals",
        "another name",
    ),
    ({"seeds": [10**30]}, "seeds.0: expected a whole number", "at most 4294967295"),
    ({"metrics": {"headline": "energy\n"}}, "metrics.headline: expected text", "letters, digits"),
    (
        {"metrics": {"columns": ["psnr", "a b"]}},
        "metrics.columns.1: expected text",
        "letters, digits",
    ),
    (
        {"tasks/gmm-..": {"operator": "saturate", "sigma_y": 0.1}},
        "tasks.gmm-..: not a name",
        "no . at",
    ),
    ({"num_measurements": 1001}, "num_measurements: expected a whole number", "at most 1000"),
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
    (
        {f"{TASK}/noise": "poisson", f"{TASK}/sigma_y": None, f"{TASK}/rate": 1e-300},
        "tasks.gmm-saturate.rate: expected 1.0e-20 to 1.0e+8, as files hold float32",
        "got 1e-300",
    ),
    ({f"{TASK}/noise": "poison"}, "tasks.gmm-saturate.noise: expected one of", "mean poisson?"),
    ({f"{TASK}/rate": 1.0}, "tasks.gmm-saturate.rate: unknown key", "did you mean"),
    ({f"{TASK}/noise": "poisson"}, "tasks.gmm-saturate.sigma_y: unknown key", "rate"),
    (
        {f"{TASK}/noise": "poisson", f"{TASK}/sigma_y": None},
        "tasks.gmm-saturate.rate: missing",
        "a number, above 0",
    ),
    (
        {f"{TASK}/noise": "poisson", f"{TASK}/sigma_y": None, f"{TASK}/rate": 0},
        "tasks.gmm-saturate.rate: expected a number, above 0",
        "got 0",
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
        "priors.gmm.family: expected one of adm, atoms,",
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
        {"priors/flow": {"family": "flow", "dataset": "digits", "teacher": "gmm"}},
        "priors.flow.teacher: the family flow takes no teacher",
        "leave it out",
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
    ({"methods/theirs": {}}, "methods.theirs: no module methods/theirs.py", "with the key plugin"),
    (
        {"methods/theirs": {"plugin": "toi"}},
        "methods.theirs.plugin: expected one of",
        "did you mean toy?",
    ),
    ({"methods/theirs": {"plugin": "toy", "zet": 1}}, "methods.theirs.zet: unknown key", "zeta"),
    ({"training_seeds": [1, 2]}, "training_seeds: expected those of seeds, [0]", "further ones"),
    ({"metrics": {"sets": ["digits-cnn-v1"]}}, "metrics.sets: expected a mapping", "got"),
    (
        {"metrics": {"sets": {"extractor": []}}},
        "metrics.sets.extractor: unknown key",
        "mean extractors?",
    ),
    (
        {"metrics": {"sets": {"extractors": ["digits-cnn-v2"]}}},
        "metrics.sets.extractors: no such network",
        "-v1?",
    ),
    (
        {"metrics": {"sets": {"absent_weights": "yes"}}},
        "metrics.sets.absent_weights: expected",
        '"yes"',
    ),
    (
        {"metrics": {"sets": {"tasks": ["gmm-saturat"]}}},
        "metrics.sets.tasks.0: expected one of",
        "mean gmm-saturate?",
    ),
    (
        {"metrics": {"vendi": {"colour": "red"}}},
        "metrics.vendi.colour: unknown key",
        "tasks",
    ),
    ({"datasets/digts": {}}, "datasets.digts: no such data set", "did you mean digits?"),
    (
        {"figures": {"distance": {"metrc": "energy"}}},
        "figures.distance.metrc: unknown key",
        "did you mean metric?",
    ),
    ({"figures": {"distance": {"metric": 3}}}, "figures.distance.metric: expected text", "got 3"),
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
        {"restrict": {"toy": {"seeds": [1]}}},
        "restrict.toy.seeds: expected [0], and possibly others of [0",
        "got [1]",
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
        ("name:\n\tseeds: [0]\n", "my.yaml, line 2: not valid YAML: a character that cannot stand"),
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
def test_a_file_that_is_not_a_suite_is_refused_with_its_line(folder, text, complaint):
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
            {"tasks/gmm-mri": {"operator": "fourier", "noise": "poisson", "rate": 1.0}},
            "my.yaml: tasks.gmm-mri: noise: poisson counts photons",
        ),
        (
            {"datasets/shapes": {"side": 4}},
            "my.yaml: datasets.shapes: shapes: side must be a whole number of at least 8",
        ),
        (
            {"metrics": {"headline": "psnr_meen"}},
            "my.yaml: metrics.headline: this suite has no column psnr_meen; did you mean psnr_mean?",
        ),
        (
            {"priors/adm": ADM},
            "my.yaml: priors.adm: my.pt is for images of 256 x 256 pixels, and those of the data set",
        ),
    ],
)
def test_impossible_values_are_found_by_trying_them(folder, changes, complaint):
    with pytest.raises(UserError) as caught:
        write_specs(plan.load(suite_file(folder, **changes)))
    assert str(caught.value).startswith(complaint)
    assert not Path("results").exists()


ONE_PRIOR = {
    "priors": {"shapes": {"family": "atoms", "dataset": "shapes"}},
    "datasets": {"shapes": {"side": 32}},
    "tasks": {"shapes-denoise": DENOISE},
}


@pytest.mark.slow
def test_operators_are_tried_on_the_vertices_of_a_mesh(folder):
    priors = {"sphere": {"family": "climate", "dataset": "sphere"}}
    suite = {
        "priors": priors,
        "datasets": {"sphere": {"content": "climate", "num_vertices": 42}},
        "tasks": {"sphere-stations": {"operator": "stations", "count": 42, "sigma_y": 0.1}},
    }
    write_specs(plan.load(suite_file(folder, **suite)))
    suite["tasks"]["sphere-stations"]["count"] = 43
    with pytest.raises(UserError, match="stations: count is 43, there are 42 vertices"):
        write_specs(plan.load(suite_file(folder, **suite)))


def test_a_network_of_another_data_set_is_a_fault(folder):
    with pytest.raises(
        UserError,
        match="my.yaml: metrics.sets.extractors: digits-cnn-v1 needs a network trained on digits",
    ):
        plan.load(
            suite_file(folder, **ONE_PRIOR, metrics={"sets": {"extractors": ["digits-cnn-v1"]}})
        )


def test_absent_weights_stop_the_run_before_it_starts_only_where_the_suite_says_so(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    asked = {"perceptual": {"networks": ["lpips-alex-v0.1"], "absent_weights": "stop"}}
    with pytest.raises(SystemExit) as end:
        plan.open_suite(suite_file(folder, **ONE_PRIOR, metrics=asked), [], check=True)
    line = f"error: my.yaml: metrics: {missing('alexnet')}; or set absent_weights: allow there"
    assert end.value.code == line and not Path("results/mine/specs").exists()
    for allowed in ({"absent_weights": "allow"}, {}):
        metrics = {"perceptual": {"networks": ["lpips-alex-v0.1"], **allowed}}
        assert plan.load(suite_file(folder, **ONE_PRIOR, metrics=metrics)).absent_weights == []
