"""The terms of networks that judge images, printed before anything is fetched."""

from __future__ import annotations

import pytest

from bench.core import weights
from bench.core.errors import UserError
from bench.core.weights import WEIGHTS
from bench.core.weights_command import TERMS, run


def test_every_network_has_terms():
    assert TERMS.keys() == WEIGHTS.keys()
    assert all("ImageNet" in terms for terms in TERMS.values())


def test_terms_are_printed_before_the_download(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    printed = []
    monkeypatch.setattr(weights, "_download", lambda known: printed.append(capsys.readouterr().out))
    with pytest.raises(SystemExit):  # nothing was downloaded
        run("fetch", ["vgg16"])
    assert printed == [f"vgg16: licence {TERMS['vgg16']}\n"]


def test_all_are_named_without_names_and_none_in_a_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_download", lambda known: None)
    for what, num in (("check", 0), ("fetch", len(TERMS))):
        with pytest.raises(SystemExit):
            run(what, [])
        assert capsys.readouterr().out.count(": licence ") == num


def test_an_unknown_network_is_still_refused_by_name():
    with pytest.raises(UserError, match="of alexnet, vgg16, inception, or a model .*, got 'vgg19'"):
        run("fetch", ["vgg19"])


def test_an_unknown_name_is_refused_before_a_known_one_is_fetched(capsys):
    with pytest.raises(UserError, match="got 'nothing'"):
        run("fetch", ["ffhq_10m", "nothing"])
    assert capsys.readouterr().out == ""
