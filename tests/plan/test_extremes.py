"""Suites at the limits of YAML, file systems, numbers and workflows are refused in one line within a second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from helpers.suite_file import (
    folder_of_two_methods,  # noqa: F401 (a fixture)
    suite_file,
)

from bench import plan
from bench.core.errors import UserError
from bench.plan.schema import as_number
from bench.plan.yaml_file import read_yaml

TASK = "tasks/gmm-saturate"
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS = {
    "list as key": b"? [a, b]\n: 1\n",
    "mapping as key": b"? {a: 1}\n: 1\n",
    "number as key": b"1: a\n",
    "no integer": b"a: !!int abc\n",
    "no truth": b"a: !!bool abc\n",
    "no time": b"a: !!timestamp abc\n",
    "no number": b"a: !!float abc\n",
    "an object": b"a: !!python/object:os.system x\n",
    "anchor of itself": b"a: &a [*a]\n",
    "mapping of itself": b"a: &a {b: *a}\n",
    "alias of nothing": b"a: *b\n",
    "bomb": BOMB.encode(),
    "long": b"a: [" + b"1, " * 10**6 + b"1]\n",
    "many": b"a: [" + b"1," * 10**5 + b"1]\n",
    "deep": b"[" * 5000 + b"]" * 5000,
    "deeper": b"[" * 60_000 + b"]" * 60_000,  # libyaml's composer runs out of the C stack
    "deep by aliases": b"a0: &a0 [1]\n"
    + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 240)),
    "deep without ends": b"- " * 60_000,
    "bytes": b"\xff\xfe\xfa\n",
    "tab": b"a:\n\t- 1\n",
    "two documents": b"a: 1\n---\nb: 2\n",
    "huge integer": b"a: " + b"9" * 5000 + b"\n",
    "twice": b"a: 1\na: 2\n",
    "nul": b"a: \x00\n",
}


@pytest.mark.parametrize("what", TEXTS)
def test_yaml_beyond_the_plain_is_refused_in_one_line_within_a_second(tmp_path, what):
    (tmp_path / "x.yaml").write_bytes(TEXTS[what])
    begin = time.process_time()
    with pytest.raises(UserError) as caught:
        read_yaml(tmp_path / "x.yaml")
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'x.yaml'}") and "\n" not in line and len(line) < 500
    assert time.process_time() - begin < 1


def test_a_folder_in_the_place_of_a_suite_is_one_line(tmp_path):
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(UserError, match=r"x\.yaml: cannot be read"):
        read_yaml(tmp_path / "x.yaml")


FAULTS = [
    ({f"{TASK}/sigma_y": 1e-9}, "tasks.gmm-saturate.sigma_y: expected 1.0e-5 to 1.0e+9", "1e-09"),
    ({f"{TASK}/sigma_y": 1e300}, "tasks.gmm-saturate.sigma_y: expected 1.0e-5 to", "float32"),
    ({"tasks/gmm-" + "x" * 300: {"operator": "denoise", "sigma_y": 1}}, "tasks.gmm-x", "100"),
    ({"methods/toy-" + "x" * 300: {}}, "methods.toy-x", "not a name"),
    ({"name": "bad\n"}, "name: expected text", "letters, digits"),
    ({"name": "x" * 300}, "name: expected text", "letters, digits"),
    ({"methods/toy-\n": {}}, "methods.toy-: not a name", "letters"),
    ({"seeds": list(range(3000))}, "seeds: tasks, methods and seeds make 24000 runs", "20000"),
    ({"limits": {}}, "limits: expected a mapping, not empty", "row"),
    ({"limits": {"seconds": 0}}, "limits.seconds: expected a number, above 0", "got 0"),
    ({"limits": {"memory": 1}}, "limits.memory: unknown key", "memory_gib"),
    ({"methods/toy/limits": {"second": 1}}, "methods.toy.limits.second: unknown key", "seconds"),
    (
        {"priors/edm": {"family": "edm", "dataset": "digits", "channels": ["banana"]}},
        "priors",
        "a whole",
    ),
    ({f"{TASK}/sigma_y": "1e6"}, "tasks.gmm-saturate.sigma_y", "write 1.0e+6"),
]


@pytest.mark.parametrize(("changes", "where", "words"), FAULTS)
def test_extreme_values_are_one_line(folder, changes, where, words):
    with pytest.raises(UserError) as caught:
        plan.load(suite_file(folder, **changes))
    line = str(caught.value)
    assert line.startswith(f"my.yaml: {where}") and words in line and "\n" not in line


@pytest.mark.parametrize("text", ["1e6", "1.0e6", "1E-3", ".5e1", "1.5e300", "3", "0.25", "1_000"])
def test_a_hint_is_the_number_that_was_written(text):
    assert yaml.safe_load(as_number(text)) == float(text)


def test_limits_are_those_of_the_suite_and_then_of_the_row(folder):
    changes = {"limits": {"seconds": 9, "memory_gib": 2}, "methods/toy/limits": {"seconds": 3}}
    rules = plan.Rules(plan.load(suite_file(folder, **changes)))
    limits = {
        spec.method: (spec.limits.seconds, spec.limits.memory_gib)
        for path, spec in rules.specs.items()
        if "/runs/gmm-saturate/" in path
    }
    assert limits == {"toy": (3, 2), "toy-n5": (9, 2)}


def contents(folder: Path, **changes: object) -> dict[str, str]:
    rules = plan.Rules(plan.load(suite_file(folder, **changes)))
    runs = {
        run["method"]: run for run in rules.all["sample"].cases if run["task"] == "gmm-saturate"
    }
    return {
        name: rules._digest("sample", rules.spec_path("sample", run), run)
        for name, run in runs.items()
    }


def test_another_limit_reruns_only_runs_over_a_limit_and_a_shortage_is_tried_again(folder):
    from bench.core.retries import note_failure

    wide, tight = {"limits": {"seconds": 9}}, {"limits": {"seconds": 3}}
    assert contents(folder, **wide) == contents(folder, **tight) == contents(folder)
    made = plan.load(suite_file(folder)).layout.run("gmm-saturate", "toy", 0).samples
    over = {"seconds": 3.0, "memory_gib": None}
    note_failure(made, "exceeded 3 s", is_passing=False, over=over)
    before, after = contents(folder, **tight), contents(folder, **wide)
    assert before == contents(folder, **tight) and before["toy-n5"] == after["toy-n5"]
    assert before["toy"] != after["toy"]
    other = plan.load(suite_file(folder)).layout.run("gmm-saturate", "toy-n5", 0).samples
    note_failure(other, "can't allocate memory", is_passing=True)
    assert contents(folder, **wide)["toy-n5"] != after["toy-n5"]


@pytest.mark.parametrize("text", ["1e3", "2E2", "1_0e1"])
def test_the_number_to_write_is_whole_where_a_whole_one_is_expected(text):
    written = yaml.safe_load(as_number(text, whole=True))
    assert isinstance(written, int)
    assert written == float(text)
