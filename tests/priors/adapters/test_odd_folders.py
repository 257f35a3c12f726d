"""Odd folders in the diffusers format, broken or with weights in other files, are read or refused in one line."""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.priors import _networks as networks
from bench.priors._checkpoint import Checkpoint
from bench.priors.adapters.diffusers import (
    EDM,
    WEIGHTS,
    Pipeline,
    open_pipeline,
    scheduler_of,
    write_pipeline,
)
from bench.priors.adapters.preconditioning import denoiser_of


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A small pipeline of grey images of 8 x 8 pixels."""
    folder = tmp_path_factory.mktemp("written")
    unet = networks.new_unet((1, 8, 8), (4, 4), 0, Rng(("odd",), (0,), dtype=torch.float32))
    write_pipeline(folder, Pipeline(unet, scheduler_of(EDM, {})))
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "model")


def without_class(folder: Path) -> None:
    file = folder / "scheduler/scheduler_config.json"
    config = json.loads(file.read_text())
    del config["_class_name"]
    file.write_text(json.dumps(config))


def no_scheduler(folder: Path) -> None:
    file = folder / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({"_class_name": "__version__"}))


def changed(file: str, **changes: object):
    """Change entries of a config of the folder; None leaves one out."""

    def harm(folder: Path) -> None:
        config = json.loads((folder / file).read_text()) | changes
        config = {key: value for key, value in config.items() if value is not None}
        (folder / file).write_text(json.dumps(config))

    return harm


def deep(file: str):
    """Write JSON that is nested more deeply than Python can read."""
    text = '{"a": ' * 10**5 + "1" + "}" * 10**5
    return lambda folder: (folder / file).write_text(text)


UNET, SCHEDULER = "unet/config.json", "scheduler/scheduler_config.json"
INDEX, ODD = "model_index.json", "a\n\x1b[2J\ud800"
DDPM = {"_class_name": "DDPMScheduler"}
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n"
FAULTS = {
    "index": (lambda x: (x / "model_index.json").write_text("no json"), "model_index.json: is no"),
    "list": (lambda x: (x / "model_index.json").write_text("[]"), "holds a list"),
    "config": (lambda x: (x / "unet/config.json").write_text("{"), "config.json: is not JSON"),
    "no class": (without_class, "has no scheduler (none named"),
    "no scheduler": (no_scheduler, "has no scheduler __version__"),
    "lfs": (lambda x: (x / f"unet/{WEIGHTS}").write_text(LFS), "run git lfs pull"),
    "lfs index": (lambda x: (x / "model_index.json").write_text(LFS), "run git lfs pull"),
    "no size": (changed(UNET, sample_size=None), "sample_size in the network's config is None"),
    "size": (changed(UNET, sample_size="8"), "sample_size in the network's config is '8'"),
    "noise": (changed(SCHEDULER, **DDPM, beta_schedule="x"), "no DDPMScheduler has the settings"),
    "other class": (changed(SCHEDULER, _class_name="UNet2DModel"), "has no scheduler UNet2DModel"),
    "deep index": (deep(INDEX), "model_index.json: is not JSON (nested in more than 100 levels)"),
    "deep network": (deep(UNET), "unet/config.json: is not JSON"),
    "deep scheduler": (deep(SCHEDULER), "scheduler_config.json: is not JSON"),
    "odd class": (changed(SCHEDULER, _class_name=ODD), r"has no scheduler a\n\x1b[2J\ud800"),
    "long class": (changed(SCHEDULER, _class_name="x" * 10**6), "has no scheduler xxx"),
    "odd part": (changed(INDEX, **{ODD: ["a", "B"]}), r"has a a\n\x1b[2J\ud800; expected"),
    "long part": (changed(INDEX, **{"x" * 10**6: ["a", "B"]}), "has a xxx"),
    "odd size": (changed(UNET, sample_size=ODD), r"config is 'a\n\x1b[2J\ud800'"),
    "odd noise": (changed(SCHEDULER, **DDPM, beta_schedule=ODD), "no DDPMScheduler has the"),
    "odd block": (changed(UNET, down_block_types=[ODD, ODD]), "is broken or is not the config's"),
    "cut": (lambda x: (x / f"unet/{WEIGHTS}").write_bytes(b"abc"), "is broken"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_folder_is_refused_in_one_line(folder, fault):
    harm, words = FAULTS[fault]
    harm(folder)
    with pytest.raises(UserError) as caught:
        open_pipeline(folder)
    line = str(caught.value)
    assert words in line and line.isprintable() and len(line) < 1000


@pytest.mark.parametrize("size", ["10GB", 2000])  # in one file, or in shards
def test_weights_in_half_precision_alone_are_read(folder, size):
    whole = open_pipeline(folder).unet
    whole.half().save_pretrained(folder / "unet", variant="fp16", max_shard_size=size)
    (folder / f"unet/{WEIGHTS}").unlink()
    opened = open_pipeline(folder).unet
    for name, tensor in opened.state_dict().items():
        torch.testing.assert_close(tensor, whole.float().state_dict()[name])


def test_weights_in_shards_are_read(folder):
    whole = open_pipeline(folder).unet
    (folder / f"unet/{WEIGHTS}").unlink()
    whole.save_pretrained(folder / "unet", max_shard_size=2000)
    assert len(list((folder / "unet").glob("*.safetensors"))) > 1
    opened = open_pipeline(folder).unet.state_dict()
    assert all(torch.equal(opened[name], tensor) for name, tensor in whole.state_dict().items())


@pytest.mark.parametrize("out", [1, 3])
def test_a_network_of_other_channels_is_refused_in_one_line(tmp_path, out):
    """It would be spread over the channels, or cut: two channels have a mean and a variance of 2 or 4."""
    unet: Any = networks.new_unet((2, 8, 8), (4, 4), 0, Rng(("odd",), (0,), dtype=torch.float32))
    unet.register_to_config(out_channels=out)
    unet.conv_out = torch.nn.Conv2d(4, out, 3, padding=1)
    write_pipeline(tmp_path, Pipeline(unet, scheduler_of(EDM, {})))
    with pytest.raises(UserError, match=f"makes {out} channels of 2; expected as many"):
        open_pipeline(tmp_path)


LEVELS = {
    "no noise": ("DDPMScheduler", {"beta_start": 0.0, "beta_end": 0.0}),
    "one step": ("DDPMScheduler", {"num_train_timesteps": 1}),
    "none": (EDM, {"sigma_min": 0.0}),
    "upside down": (EDM, {"sigma_min": 90.0}),
}


@pytest.mark.parametrize("fault", LEVELS)
def test_noise_levels_that_do_not_increase_are_refused(folder, fault):
    pipeline = Pipeline(open_pipeline(folder).unet, scheduler_of(*LEVELS[fault]))
    with pytest.raises(UserError, match="do not increase, or are not finite"):
        denoiser_of(pipeline)


def test_a_hub_id_brings_its_shards_and_no_other_precision(folder, tmp_path, monkeypatch):
    """The hub's client fetches the files whose names match the patterns that it is given."""
    whole = open_pipeline(folder).unet
    (folder / f"unet/{WEIGHTS}").unlink()
    whole.save_pretrained(folder / "unet", max_shard_size=2000)
    (folder / "unet/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"other")

    def client(source, allow_patterns, local_files_only):
        for file in (x.relative_to(folder) for x in folder.rglob("*") if x.is_file()):
            if any(fnmatch(str(file), pattern) for pattern in allow_patterns):
                (tmp_path / "hub" / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / file, tmp_path / "hub" / file)
        return tmp_path / "hub"

    monkeypatch.setattr("huggingface_hub.snapshot_download", client)
    opened = open_pipeline("owner/name", local_files_only=False).unet.state_dict()
    assert all(torch.equal(opened[name], tensor) for name, tensor in whole.state_dict().items())
    assert not list((tmp_path / "hub").rglob("*fp16*"))


def test_a_path_from_the_home_folder_is_understood(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_pipeline("~/model").shape == (1, 8, 8)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 16, 16)])
def test_a_network_for_other_images_is_refused_in_one_line(folder, shape):
    with pytest.raises(UserError, match=r"is for images \(1, 8, 8\), the data set has"):
        Checkpoint(str(folder)).open(shape)
    assert Checkpoint(str(folder)).open((1, 8, 8)).shape == (1, 8, 8)
