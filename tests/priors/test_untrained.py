"""Public architectures with random weights: as many parameters as published, and the path of a timing suite."""

from __future__ import annotations

import csv
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from bench.core.artefacts import read_json
from bench.core.errors import UserError
from bench.plan import Suite, load
from bench.plan.commands import jobs
from bench.plan.config import read_suite
from bench.plan.rules import Rules
from bench.plan.suite_specs import specs_of
from bench.priors._networks import num_parameters
from bench.priors.adapters.architectures import ARCHITECTURES, outline
from bench.priors.untrained import UntrainedFamily
from bench.runtime.devices import networks_of
from bench.runtime.lease import FOLDER
from bench.stages import publish

# the consistency models' are those of the files on the hub (openai/diffusers-cd_bedroom256_l2 and -cd_imagenet64_l2);
# of ADM's what is said is 93.6 (the DPS paper's checkpoint) and 552.8 million (guided-diffusion, 256 x 256)
PUBLISHED = {
    "adm-ffhq-256": 93_563_910,
    "adm-imagenet-256": 552_814_086,
    "consistency-lsun-256": 526_304_771,
    "consistency-imagenet-64": 295_899_267,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name):
    network = outline(ARCHITECTURES[name])
    assert num_parameters(network) == PUBLISHED[name] and not list(network.buffers())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_narrow_one_denoises_and_decodes(name):
    prior = UntrainedFamily(name, width=0.125, side=32).load({}, Path(), None)
    assert len(networks_of(prior)) == 1 and prior.decode_nfe == 1
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for image in (prior.denoise(x, torch.tensor(0.5)), prior.decode(x)):
        assert (
            image.shape == x.shape
            and image.dtype == x.dtype
            and image.isfinite().all()
            and image.std() > 0
        )
    again = UntrainedFamily(name, width=0.125, side=32).load({}, Path(), None)
    assert torch.equal(again.decode(x), prior.decode(x))


def test_an_unknown_architecture_is_reported():
    with pytest.raises(ValueError, match="architecture: expected one of adm-ffhq-256"):
        UntrainedFamily("adm")
    with pytest.raises(
        ValueError, match="width: expected a share that leaves a multiple of 8 channels, got 0.01"
    ):
        UntrainedFamily("adm-ffhq-256", width=0.01)
    with pytest.raises(ValueError, match="side: expected a multiple of 32 pixels, got 48"):
        UntrainedFamily("adm-ffhq-256", side=48)
    with pytest.raises(UserError, match="is for 256 pixels, and the images have 8; set side"):
        UntrainedFamily("adm-ffhq-256").fit({"train": torch.zeros(1, 3, 8, 8)}, Path(), None)


def suite_of() -> Suite:
    """One small network, and a method that asks it a few times."""
    content = read_suite({"suite": "gpu_timing_cpu"})[1] | {"name": "times", "num_measurements": 1}
    content |= {
        "clock": {"num_samples": [1], "repeats": 5},
        "restrict": {},
        "datasets": {"noise-16": {"side": 16}},
    }
    content |= {"priors": {"small": content["priors"]["small"] | {"width": 1 / 24}}}
    content |= {"tasks": {"small-denoise": {"operator": "denoise", "sigma_y": 1.0}}}
    rwm = {"num_chains": 1, "num_warmup": 0, "num_adapt": 0, "thin": 1}
    return Suite("times.yaml", content | {"methods": {"latent_rwm": rwm, "oracle": {}}})


def test_a_suite_that_only_takes_times(tmp_path, monkeypatch):
    suite = suite_of()
    monkeypatch.setenv(FOLDER, str(tmp_path / "leases"))
    monkeypatch.chdir(tmp_path)
    for path, spec in specs_of(suite):
        spec.write(path)
    for job in jobs(suite):
        importlib.import_module(f"bench.stages.{job.stage}").main(
            job.spec, *([job.argument] if job.argument else [])
        )
    counts = {"data": 1, "prior": 1, "observe": 1, "clock": 2, "pool": 2, "timing": 1}
    assert Counter(job.stage for job in jobs(suite)) == counts
    assert not list(tmp_path.rglob("samples.safetensors")) and not list(tmp_path.rglob("*.png"))
    assert "unconditional" not in read_json("results/times/priors/small/card.json")

    timing = read_json("results/times/runs/small-denoise/latent_rwm/seed0/timing.json")
    assert (timing["device"], timing["precision"], timing["joint"]) == ("cpu", "float32", "chain")
    (cell,) = timing["curve"]
    assert cell["nfe"] == 3 and cell["nfe_vjp"] == 0 and cell["bare"] > 0 and cell["first"] > 0
    rows = list(csv.DictReader(Path("results/times/tables/timing.csv").read_text().splitlines()))
    assert [row["status"] for row in rows] == ["ok", "ok", "n/a"] and rows[-1][
        "reason"
    ] == "needs EXACT"
    for row in rows[:2]:
        per_row = float(row["seconds_per_sample"]) / float(row["nfe"]) * 1000
        assert (
            float(row["ms_per_nfe"]) == pytest.approx(per_row, rel=1e-4)
            and row["joules_per_sample"] == ""
        )
    assert rows[0]["ratio_to_batch_1"] == "1" and rows[0]["num_parameters"] == str(
        timing["num_parameters"]
    )
    publish.main("results/times", "--allow-dirty", "--into", "published")
    page = Path("published/times/timing.md").read_text()
    assert all(
        Path("published/times", name).is_file() for name in ("timing.csv", "provenance.json")
    )
    assert "Networks have random weights" in page and "latent_rwm" in page


def test_the_suites_of_the_repository_ask_for_published_networks():
    large, small = load({"suite": "gpu_timing"}), load({"suite": "gpu_timing_cpu"})
    assert large.num_gpus == 1 and small.num_gpus == 0 and large.timing_only and small.timing_only
    for name, entry in large.content["priors"].items():
        assert (
            "width" not in entry
            and small.content["priors"][name]["architecture"] == entry["architecture"]
        )
    visits_and_parts = re.compile(r"\d+\.json|noise-\d+\.safetensors|untrained\.safetensors")
    names = {Path(path).name for path in Rules(large).targets}
    made = {name for name in names if not visits_and_parts.fullmatch(name)}
    of_times = {"timing.json", "timing.csv", "timing.md"}
    timed = {"all_measurements.safetensors", "observations.safetensors"}
    assert made == of_times | timed | {"state.safetensors", "training.json"}  # no samples, no page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"timing_only": None},
            "untrained is for suites with timing_only: true, its images mean nothing",
        ),
        ({"timing_only": None, "priors": {}}, "priors: expected"),
        ({"metrics": {}}, "metrics: means nothing in a suite that is timing_only; leave it out"),
        ({"clock": None}, "clock: missing"),
        ({"device": "gpu"}, "device: expected one of cpu, cuda"),
        ({"precision": "tf32"}, "precision: tf32 is a mode of GPUs; with device: cpu take float32"),
        ({"cuda_graphs": True}, "cuda_graphs: expected device: cuda and compile: true beside it"),
        ({"rows_per_chunk": "all"}, "rows_per_chunk: expected a whole number, at least 1 or auto"),
        ({"rows_per_chunk": "auto"}, ""),
    ],
)
def test_senseless_fields_are_reported(tmp_path, changes, words):
    content = yaml.safe_load(Path("config/gpu_timing_cpu.yaml").read_text()) | {"name": "other"}
    if "timing_only" in changes:
        content |= {"num_samples": 2, "num_reference": 2, "rows_per_chunk": 2}
    content = {key: value for key, value in (content | changes).items() if value is not None}
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(content))
    if not words:
        assert read_suite({"suite": str(path)})[1]["rows_per_chunk"] == "auto"
        return
    with pytest.raises(UserError) as told:
        read_suite({"suite": str(path)})
    assert words in str(told.value)
