"""Families of foreign checkpoints: from a file in the original's format to a prior that a suite names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.guided_unet import SMALL, reference
from helpers.learned_priors import normal

from bench.conformance.checkpoints import convert
from bench.core.checkpoints import CHECKPOINTS
from bench.core.errors import UserError
from bench.core.foreign_files import digest, write_safetensors
from bench.core.registry import build
from bench.core.types import Cap
from bench.plan import Suite
from bench.plan.config import read_suite
from bench.plan.suite_specs import prior_spec
from bench.priors._checkpoint import Checkpoint
from bench.priors._foreign import Foreign, Scored
from bench.priors.adapters.architectures import Architecture
from bench.priors.adapters.diffusers import write_pipeline
from bench.priors.score_sde import random_pipeline

DATA = {"train": torch.zeros(1, 3, 8, 8)}
# the family, its architecture, the axes of its attention, the key in its file
FORMATS = {
    "adm": ({"out_channels": 6, "num_classes": 3}, 1, ""),
    "openai_edm": ({"qkv": "by_kind", "num_classes": 3}, 2, ""),
    "openai_consistency": ({"qkv": "by_kind", "num_classes": 3}, 2, ""),
    "flow_matching": ({"block_resampling": False, "scale_shift": False}, 1, "ema_model"),
}


def written(folder: Path, name: str, **fields: object):
    """A family with a file of random weights that the original network wrote."""
    changes, conv_dims, entry = FORMATS[name]
    architecture = SMALL | changes
    state = reference(Architecture(**architecture), conv_dims).state_dict()
    torch.save({entry: state, "step": 3} if entry else state, folder / "net.pt")
    label = {"label": 1} if "num_classes" in changes else {}
    given = {"weights": str(folder / "net.pt"), "architecture": architecture} | label
    return build("prior", name, given | fields)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_becomes_a_prior_with_a_card(tmp_path, name):
    family = written(tmp_path, name)
    tensors, card = family.fit(DATA, tmp_path / "prior", None)
    assert tensors == {} and card["num_parameters"] > 0
    assert card["weights"]["source"] == "net.pt"
    assert card["weights"]["pickled_sha256"] == digest(tmp_path / "net.pt")
    prior = family.load(tensors, tmp_path / "prior", None)
    opened, _ = family.opened()
    z = normal(2, 3, 8, 8)
    assert torch.equal(prior.decode(z), opened.decode(z))
    if Cap.DENOISER in prior.caps:
        sigma = torch.tensor(0.5, dtype=torch.float64)
        assert torch.equal(prior.denoise(z, sigma), opened.denoise(z, sigma))
        assert card["examination"]["difference of score and denoiser"]["holds"]
        assert card["examination"]["noise seen at the lowest level"]["holds"]


def test_a_pinned_hash_is_that_of_the_file(tmp_path):
    family = written(tmp_path, "adm")
    pinned = replace(family, sha256=digest(tmp_path / "net.pt"))
    assert isinstance(pinned.opened()[0], Scored)
    with pytest.raises(UserError, match="net.pt: has sha256 .*, expected 000"):
        replace(family, sha256="0" * 64).opened()


def test_a_path_from_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    family = replace(written(tmp_path, "adm"), weights="~/net.pt")
    assert family.opened()[1]["source"] == "net.pt"


def test_images_of_another_size_are_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"net.pt: is for images \(3, 8, 8\), the data set has \(1,"
    ):
        written(tmp_path, "adm").fit({"train": torch.zeros(1, 1, 8, 8)}, tmp_path, None)


def test_a_class_is_asked_for(tmp_path):
    with pytest.raises(UserError, match="label is None; the network is class-conditional: 0 to 2"):
        written(tmp_path, "adm", label=None).opened()


def test_images_are_kept_in_their_range_where_asked(tmp_path):
    prior, _ = written(tmp_path, "adm", clip_denoised=True).opened()
    assert isinstance(prior, Foreign)
    assert prior.denoise(50 * normal(2, 3, 8, 8), torch.tensor(40.0)).abs().max() == 1


def test_a_flow_of_transported_pairs_is_a_decoder_alone(tmp_path):
    family = written(tmp_path, "flow_matching", coupling="optimal_transport")
    _, card = family.fit(DATA, tmp_path / "prior", None)
    prior, _ = family.opened()
    assert prior.caps == Cap.DECODER and "examination" not in card
    assert written(tmp_path, "flow_matching").opened()[0].caps == Cap.DECODER | Cap.DENOISER


def test_a_consistency_model_has_its_teachers_denoiser_or_its_own_map(tmp_path):
    family = written(tmp_path, "openai_consistency")
    (tmp_path / "teacher").mkdir()
    teacher, _ = written(tmp_path / "teacher", "openai_edm").opened()
    family.fit(DATA, tmp_path / "prior", None)
    alone = family.load({}, tmp_path / "prior", None)
    taught = family.load({}, tmp_path / "prior", teacher)
    mapped = replace(family, map_as_denoiser=True).load({}, tmp_path / "prior", None)
    x, sigma = normal(2, 3, 8, 8), torch.tensor(0.7)
    assert alone.caps == Cap.DECODER and taught.caps == Cap.DECODER | Cap.DENOISER
    assert torch.equal(taught.denoise(x, sigma), teacher.denoise(x, sigma))
    assert torch.equal(mapped.denoise(x, sigma).float(), mapped.map(x.float(), sigma))


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("adm", {"weights": "a.pt"}, "architecture: missing; weights from a path need one"),
        ("adm", {"weights": "ffhq_10m", "schedule": "sigmoid"}, "schedule: expected one of linear"),
        ("adm", {"weights": "ffhq_10m", "width": 0.01}, "width: expected a share"),
        ("adm", {"weights": "ffhq_10m", "width": "half"}, "width: expected a share"),
        (
            "adm",
            {"weights": "ffhq_10m", "num_timesteps": 20},
            "num_timesteps: expected more than 20",
        ),
        ("adm", {"weights": "ffhq_10m", "num_ode_steps": 0}, "num_ode_steps: expected a whole"),
        (
            "openai_consistency",
            {"weights": "cd_cat256_l2", "num_steps": 0},
            "num_steps: expected a",
        ),
        (
            "consistency",
            {"pipeline": "a/b", "num_steps": 0},
            "num_steps must be a positive integer",
        ),
        ("flow_matching", {"weights": "icfm_cifar10", "solver": "rk4"}, "solver: expected euler"),
        ("flow_matching", {"weights": "icfm_cifar10", "coupling": "x"}, "coupling: expected"),
        (
            "openai_consistency",
            {"weights": "cd_cat256_l2", "num_steps": 2, "calls": [19, 0]},
            r"calls: expected num_steps = 2 numbers from 0 to 39, increasing, got \[19, 0\]",
        ),
        ("score_sde", {"pipeline": "random", "image_range": "[0, 255]"}, "image_range: expected"),
    ],
)
def test_impossible_fields_are_reported(name, fields, words):
    with pytest.raises(ValueError, match=words):
        build("prior", name, fields)


def test_a_fetched_pipeline_opens_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = "ncsnpp-ffhq-256"
    with pytest.raises(UserError, match=f"run posterior-bench weights fetch {name}"):
        Checkpoint(name).open()
    write_pipeline(CHECKPOINTS[name].path, random_pipeline(8, (8, 16)))
    prior, card = build("prior", "score_sde", {"pipeline": name}).opened()
    assert isinstance(prior, Scored) and card == {"source": name}


@pytest.mark.parametrize("name", [*FORMATS, "score_sde"])
def test_the_plan_compares_no_draws_of_networks_that_others_trained(name):
    content = read_suite({"suite": "smoke"})[1]
    dataset = next(iter(content["datasets"]))
    content["priors"] = {"theirs": {"family": name, "dataset": dataset}}
    assert not prior_spec(Suite("smoke.yaml", content), "theirs").quality


def test_public_names_bring_their_architecture(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    family = build("prior", "adm", {"weights": "imagenet64", "label": 3})
    assert family.chosen_schedule == "cosine"
    with pytest.raises(UserError, match="run posterior-bench weights fetch imagenet64"):
        family.opened()
    assert (
        build("prior", "flow_matching", {"weights": "otcfm_cifar10"}).chosen_coupling
        == "optimal_transport"
    )


def test_weights_that_lie_there_already_are_not_replaced_by_pickled_ones(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "net.pt")
    write_safetensors(tmp_path / "net.safetensors", {"other": torch.zeros(3)})
    before = (tmp_path / "net.safetensors").read_bytes()
    with pytest.raises(UserError, match="no net.card.json says that it was made of net.pt"):
        convert([str(tmp_path)])
    (tmp_path / "net.safetensors").rename(tmp_path / "mine.safetensors")
    convert([str(tmp_path)])
    convert([str(tmp_path)])  # what was made of it is known by its card
    assert (tmp_path / "mine.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w / 0, "has NaN or infinity"),
        (lambda w: w.to(torch.int8), "is of torch.int8, expected floating-point numbers"),
        (lambda w: w + 0j, "is of torch.complex64"),
    ],
)
def test_weights_that_are_not_finite_numbers_are_reported(tmp_path, change, words):
    family = written(tmp_path, "adm")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    name = "time_embed.0.weight"
    torch.save(state | {name: change(state[name])}, tmp_path / "net.pt")
    with pytest.raises(UserError, match=f"{name} {words}"):
        family.fit(DATA, tmp_path / "out", None)
