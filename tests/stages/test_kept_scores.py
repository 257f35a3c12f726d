"""After a change of one run, only its own scores are computed, and metrics.csv is the same to the byte."""

import pytest
from helpers.tiny_task import METHODS, S, evaluated, posterior, write_run, write_task

from bench.core.artefacts import read_header, read_json, read_tensors, write_json, write_tensors
from bench.stages import evaluate


@pytest.fixture(name="spec")
def spec_of_evaluated_task(tmp_path):
    spec = write_task(tmp_path)
    evaluated(spec)
    return spec


@pytest.fixture
def scored(monkeypatch) -> list[str]:
    """The runs that are scored from now on, and `reference`."""
    names = []
    of_run, of_reference = evaluate.score_run, evaluate.score_reference

    def score_run(x, header, *rest):
        names.append(header["method"])
        return of_run(x, header, *rest)

    def score_reference(*parts):
        names.append("reference")
        return of_reference(*parts)

    monkeypatch.setattr(evaluate, "score_run", score_run)
    monkeypatch.setattr(evaluate, "score_reference", score_reference)
    return names


def again(spec, fresh: bool = False) -> str:
    """Evaluate as the workflow does, which removes metrics.csv first; fresh: with nothing kept."""
    folder = spec.parents[2] / "tasks/task"
    (folder / "metrics.csv").unlink(missing_ok=True)
    for name in (".scores.csv", ".scores.json") if fresh else ():
        (folder / name).unlink()
    evaluate.main(str(spec))
    return (folder / "metrics.csv").read_text()


def change_oracle(spec) -> None:
    header = read_header(spec.parents[2] / "tasks/task/observations.safetensors")
    tensors, _ = read_tensors(spec.parents[2] / "tasks/task/observations.safetensors")
    samples = posterior(tensors["y"], S, 9)
    write_run(spec.parents[2], "oracle", samples, header["observations_sha256"])


# a failed cell may have another number in another try, so its run is computed again, which takes no time
FAILED = ["broken", "crash"]


def test_only_a_changed_run_is_scored_again(spec, scored):
    change_oracle(spec)
    text = again(spec)
    assert sorted(scored) == sorted(["oracle", *FAILED])
    assert text == again(spec, fresh=True)
    assert {"reference", *METHODS} <= set(scored)


def test_a_new_run_and_one_that_has_gone_leave_the_others(spec, scored):
    change_oracle(spec)
    content = read_json(spec)
    write_json(spec, content | {"runs": [x for x in content["runs"] if x["method"] != "chain"]})
    text = again(spec)
    assert "\ntask,chain," not in text and sorted(scored) == sorted(["oracle", *FAILED])
    write_json(spec, content)
    assert again(spec) == again(spec, fresh=True)


@pytest.mark.parametrize("what", ["reference", "prior", "num_samples", "code", "plug-in"])
def test_all_are_scored_again_when_what_they_share_has_changed(spec, scored, what, monkeypatch):
    root = spec.parents[2]
    if what == "reference":
        path = root / "tasks/task/exact.safetensors"
        tensors, header = read_tensors(path)
        write_tensors(path, tensors | {"x_b": tensors["x_b"].flip(1)}, header)
    elif what == "prior":
        path = root / "priors/normal/gmm.safetensors"
        tensors, header = read_tensors(path)
        write_tensors(path, tensors | {"means": tensors["means"] + 0.1}, header)
    elif what == "num_samples":
        path = root / "runs/task"
        for name in METHODS:
            file = path / name / "seed0/samples.safetensors"
            tensors, header = read_tensors(file)
            write_tensors(file, {"x": tensors["x"][:, : S // 2]}, header)
        write_json(spec, read_json(spec) | {"num_samples": S // 2})
    elif what == "code":
        monkeypatch.setattr("bench.stages._kept_scores._contents", lambda: [("a.py", "edited")])
    else:
        monkeypatch.setenv("POSTERIOR_BENCH_PLUGINS", str(root))
        (root / "metrics").mkdir()
        (root / "metrics" / "mine.py").write_text("")
    again(spec)
    assert set(scored) == {"reference", *METHODS}


@pytest.mark.parametrize("name", [".scores.csv", ".scores.json"])
@pytest.mark.parametrize("damage", ["truncated", "edited", "removed", "folder"])
def test_damaged_leftovers_are_not_used(spec, scored, name, damage):
    path = spec.parents[2] / "tasks/task" / name
    text = again(spec)
    scored.clear()
    content = path.read_text()
    path.unlink()
    if damage == "truncated":
        path.write_text(content[: len(content) // 2])
    elif damage == "edited":
        path.write_text(content.replace("1", "2"))
    elif damage == "folder":
        path.mkdir()
    assert again(spec) == text
    assert set(scored) == {"reference", *METHODS}
