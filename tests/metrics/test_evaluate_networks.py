"""metrics.csv with columns by networks: of single measurements, of sets, and without weights."""

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers.tiny_task import (
    METHODS,
    SHAPE,
    evaluated,
    normal,
    spec_of_tiny_task,  # noqa: F401 (a fixture)
)

from bench.core.artefacts import read_csv, read_json, read_tensors, write_json, write_tensors
from bench.core.catalogue import LPIPS, PERCEPTUAL
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.weights import missing
from bench.metrics._embeddings import classifier_embedding, embedded
from bench.problems.classifier import (
    classifier_path,
    definition_of,
    load_classifier,
    tensors_of,
    untrained,
)


@pytest.fixture
def with_networks(spec: Path) -> Path:
    """The same task of digits, with an untrained classifier, and a suite that asks for columns by networks."""
    root, rng = spec.parents[2], Rng(("test", "evaluate"), (0,), dtype=torch.float32)
    images = {
        part: normal(num, *SHAPE, seed=num)
        for part, num in (("train", 40), ("validation", 10), ("test", 11))
    }
    write_tensors(root / "data/digits.safetensors", images, {})
    classifier = untrained(definition_of("digits-cnn-v1"), rng)
    write_tensors(classifier_path(root, "digits-cnn-v1"), tensors_of(classifier), {})
    path = root / "tasks/task/observations.safetensors"
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"dataset": "digits"})
    settings = {"perceptual": {"networks": ["percept-digits-v1", "lpips-alex-v0.1"]}}
    settings |= {"sets": {"extractors": ["digits-cnn-v1"]}}
    write_json(spec, read_json(spec) | {"metrics": settings})
    return spec


def test_columns_by_networks(with_networks):
    rows = evaluated(with_networks)
    actual = {(row["method"], row["observation"], row["metric"]): row for row in rows}
    assert len(actual) == len(rows) and all(
        (row["value"] == "") != (row["reason"] == "") for row in rows
    )
    for name in ("mean", "sample", "pairwise"):
        assert {
            row["reason"] for row in rows if row["metric"] == f"lpips-alex-v0.1@[-1,1]_{name}"
        } == {
            "n/a (image smaller than 32)",
            "n/a (needs DECODER)",
            "failed (ValueError: no, really)",
            "failed (3 of 8 samples not finite)",
            "n/a (only the first 1 measurements)",
            "n/a (reference not admitted: two runs differ)",
        }
        assert float(actual["oracle", "0", f"percept-digits-v1_{name}"]["value"]) > 0
    assert 0.3 < float(actual["oracle", "0", "percept-digits-v1_pairwise_ratio"]["value"]) < 3
    x = read_tensors(with_networks.parents[2] / "runs/task/oracle/seed0/samples.safetensors")[0][
        "x"
    ]
    classifier = load_classifier(classifier_path(with_networks.parents[2], "digits-cnn-v1"))[0]
    vectors = embedded(x[1], classifier_embedding(classifier))
    expected = torch.pdist(vectors).square().mean().item()  # float32, 1500 terms
    assert float(actual["oracle", "1", "percept-digits-v1_pairwise"]["value"]) == pytest.approx(
        expected, rel=1e-4
    )


def test_set_metrics_are_one_number_per_run(with_networks):
    rows = [row for row in evaluated(with_networks) if row["observation"] == "all"]
    cells = {(row["method"], row["metric"]): row for row in rows}
    kid = "kid-digits-cnn-v1-n24"
    assert len(cells) == len(rows)
    low, value, high = (
        float(cells["oracle", f"{kid}{end}"]["value"]) for end in ("_low", "", "_high")
    )
    assert low < value < high
    assert cells["oracle", "fid-digits-cnn-v1-n24"]["reason"].startswith(
        "n/a (FID by digits-cnn-v1 needs 250 images"
    )
    reasons = {method: cells[method, kid]["reason"] for method in ("reference", *METHODS)}
    assert reasons == {
        "reference": "n/a (reference not admitted: two runs differ)",
        "oracle": "",
        "broken": "failed (3 of 24 samples not finite)",
        "decoder": "n/a (needs DECODER)",
        "crash": "failed (ValueError: no, really)",
        "chain": "",
        "first": "n/a (only the first 1 measurements)",
    }
    floors = {(row["method"], row["metric"]) for row in rows if "_floor_" in row["metric"]}
    assert {method for method, _ in floors} == {"reference"} and len(floors) == 12
    assert float(cells["reference", "coverage_floor_train-digits-cnn-v1-n24"]["value"]) > 0
    definitions = read_csv(with_networks.parents[2] / "tasks/task/metrics.csv")[1]["definitions"]
    assert {metric for _, metric in cells} <= set(definitions)


def test_absent_weights_stop_an_evaluation_before_any_work_where_the_suite_says_so(
    with_networks, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    smaller = dataclasses.replace(LPIPS["lpips-alex-v0.1"], min_side=8)
    monkeypatch.setitem(PERCEPTUAL, "lpips-alex-v0.1", smaller)
    # whatever comes next
    (with_networks.parents[2] / "tasks/task/exact.safetensors").rename(tmp_path / "moved")
    content = read_json(with_networks)
    strict = {
        name: parameters | {"absent_weights": "stop"}
        for name, parameters in content["metrics"].items()
    }
    write_json(with_networks, content | {"metrics": strict})
    with pytest.raises(UserError) as error:
        evaluated(with_networks)
    assert str(error.value) == missing("alexnet")
    (tmp_path / "moved").rename(with_networks.parents[2] / "tasks/task/exact.safetensors")
    write_json(with_networks, content)
    rows = [
        row for row in evaluated(with_networks) if row["metric"] == "lpips-alex-v0.1@[-1,1]_mean"
    ]
    assert rows[3]["method"] == "oracle" and rows[3]["reason"] == (
        "n/a (weights absent: python -m bench weights fetch alexnet)"
    )
