"""The commands on foreign models: conversion of pickled files, and the examination of what was opened."""

from __future__ import annotations

import pytest
import torch
from helpers.guided_unet import SMALL, reference
from typer.testing import CliRunner

from bench.__main__ import app
from bench.conformance.checkpoints import convert, examine
from bench.core.checkpoints import CHECKPOINTS, Checkpoint
from bench.core.errors import UserError
from bench.priors.adapters.architectures import Architecture
from bench.priors.score_sde import random_pipeline


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A public model of random weights that has been fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    architecture = SMALL | {"out_channels": 6, "num_classes": 3}
    known = Checkpoint(
        "adm", "https://example.org/net.pt", "MIT", "net.pt", {"architecture": architecture}
    )
    monkeypatch.setitem(CHECKPOINTS, "net", known)
    known.path.parent.mkdir(parents=True)
    torch.save(reference(Architecture(**architecture)).state_dict(), known.path)
    return known


def test_a_model_is_converted_by_name_and_by_path(model, tmp_path, capsys):
    convert(["net"])
    assert f"{model.path} -> {model.path.with_suffix('.safetensors')}" in capsys.readouterr().out
    torch.save({"a": torch.ones(1)}, tmp_path / "own.bin")
    convert([str(tmp_path / "own.bin")])
    assert (tmp_path / "own.safetensors").is_file() and (tmp_path / "own.card.json").is_file()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pickled weights there"):
        convert([str(tmp_path / "empty")])


def test_random_weights_fail_the_examination_where_they_must(model, capsys):
    with pytest.raises(SystemExit) as end:
        examine(["net"])
    out = capsys.readouterr().out
    assert end.value.code == 1
    # an untrained network removes no noise
    assert "FAIL noise left at the highest level" in out
    assert "ok   difference of score and denoiser" in out
    assert "ok   noise seen at the lowest level" in out


def test_a_pipeline_is_examined_by_name(tmp_path, monkeypatch, capsys):
    from bench.priors.adapters.diffusers import write_pipeline

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    known = Checkpoint("score_sde", "nobody/net", "none", "net")
    monkeypatch.setitem(CHECKPOINTS, "net", known)
    write_pipeline(known.path, random_pipeline(8, (8, 16)))
    with pytest.raises(SystemExit):
        examine(["net"])
    assert "ok   difference of score and denoiser" in capsys.readouterr().out


def test_the_command_line_lists_and_checks_models(model):
    run = CliRunner().invoke
    listed = run(app, ["weights", "list"])
    assert listed.exit_code == 0 and "ffhq_10m" in listed.stdout
    checked = run(app, ["weights", "check", "net"])
    assert checked.exit_code == 0 and "is there" in checked.stdout
    absent = run(app, ["weights", "check", "ffhq_10m"])
    assert absent.exit_code == 1 and "weights absent" in absent.stdout
