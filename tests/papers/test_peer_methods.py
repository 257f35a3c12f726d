"""Samplers of libraries are compared with ours of the same name; without a library, ours are shown alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from bench.papers import peer_methods
from bench.papers.public_errors import BOX, Bed, M, digits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors-of-public-code.md"
NUM_STEPS = 25


@pytest.fixture(scope="module")
def bed() -> Bed:
    prior, images = digits()
    return Bed(prior, images, BOX)


def test_the_page_has_a_line_for_each_sampler(bed, monkeypatch):
    monkeypatch.setattr(peer_methods, "find_spec", lambda name: True)
    monkeypatch.setattr(peer_methods, "azula_sampler", lambda name, about: None)
    monkeypatch.setattr(peer_methods, "azula_tds", lambda about: None)
    monkeypatch.setattr(peer_methods, "deepinv_ddrm", lambda about: None)
    monkeypatch.setattr(peer_methods, "deepinv_sampler", lambda name, about: None)
    listed = re.findall(r"^\| (\w+) \| (ours|azula|deepinv) \|", PAGE.read_text(), re.MULTILINE)
    assert listed == [(name, whose) for name, whose, _ in peer_methods.contenders(bed)]


def test_without_libraries_only_ours_are_listed(bed, monkeypatch):
    monkeypatch.setattr(peer_methods, "find_spec", lambda name: None)
    monkeypatch.setattr(peer_methods, "NUM_STEPS", NUM_STEPS)
    contenders = list(peer_methods.contenders(bed))
    assert {whose for _, whose, _ in contenders} == {"ours"}
    x = {name: draw for name, _, draw in contenders}["diffpir"]()
    assert tuple(x.shape) == (M, peer_methods.S, 1, 8, 8) and x.isfinite().all()


@pytest.mark.parametrize(
    ("library", "name"), [("azula", "pigdm"), ("deepinv", "ddrm"), ("deepinv", "diffpir")]
)
def test_a_library_draws_on_the_same_bed(bed, monkeypatch, library, name):
    pytest.importorskip(library)
    monkeypatch.setattr(peer_methods, "NUM_STEPS", NUM_STEPS)
    (draw,) = (d for n, w, d in peer_methods.contenders(bed) if (n, w) == (name, library))
    torch.manual_seed(0)
    x = draw()
    assert tuple(x.shape) == (M, peer_methods.S, 1, 8, 8)
    assert bed.energy(x) < 1
